"""The server over HTTP: who may see what, and a hundred evaluators at once with the server killed in between."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fourreal_core.errors import InputError
from fourreal_core.study.store import AnswerStore
from fourreal_core.study.study_file import Pair, Study, write_study

from .evaluators import Visitor

pytest.importorskip("starlette", reason="starlette is not installed (study extra)")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (study extra)")

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Served:
    """``fourreal study serve`` as a process of its own."""

    def __init__(self, folder: Path, *more: str, port: int | None = None) -> None:
        self.folder, self.more, self.port = folder, more, port or free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "fourreal_core.cli", "study", "serve", str(self.folder)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *self.more],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert "the study is at http" in self.said

    def kill(self) -> None:
        """As a power cut would end it, for the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)


@pytest.fixture
def served(study_folder: tuple[Study, Path]) -> Iterator[Served]:
    server = Served(study_folder[1])
    yield server
    if server.process.poll() is None:
        server.stop()


def test_an_evaluator_from_start_to_end(served: Served, study_folder: tuple[Study, Path]) -> None:
    study, folder = study_folder
    visitor = Visitor(served.port, 0)
    status, page = visitor.ask("GET", "/")
    assert status == 200 and page.count("<li>") == 7 and "Begin" in page
    assert visitor.ask("GET", "/page")[0] == 303  # not begun
    visitor.visit(1)
    status, page = visitor.ask("GET", "/page")
    assert status == 200 and "page 2" in page
    assert not any(word in page.lower() for word in ("ours", "theirs", "boat", "a.mp4"))
    pair = re.search(r'data-pair="(\w+)"', page)[1]
    sides = {}
    for side in ("left", "right"):
        import http.client

        link = http.client.HTTPConnection("127.0.0.1", served.port)
        link.request("GET", f"/video/{pair}/{side}", headers={"Cookie": visitor.cookie, "Range": "bytes=0-99"})
        reply = link.getresponse()
        sides[side] = reply.read()
        assert reply.status == 206 and reply.getheader("content-type") == "video/mp4"
        assert not reply.getheader("content-disposition")
    shown = study.pair(pair)
    files = {(folder / "videos" / n).read_bytes()[:100] for n in (shown.first_video, shown.second_video)}
    assert set(sides.values()) <= files
    visitor.visit(5)
    assert len(set(visitor.pages)) == 2 and "That was all" in visitor.ask("GET", "/page")[1]
    mine = visitor.ask("GET", "/mine.json")[1]
    assert mine.count('"answer"') == 13 and "flipped" not in mine  # seven questions and six
    assert visitor.ask("POST", "/delete")[1].count("13 answers were removed") == 1
    assert AnswerStore(study, folder).rows() == []


def test_what_others_may_not(served: Served, study_folder: tuple[Study, Path]) -> None:
    study, _ = study_folder
    visitor, stranger = Visitor(served.port, 0), Visitor(served.port, 1)
    visitor.visit(1)
    assert stranger.ask("GET", f"/video/{study.pairs[0].key}/left")[0] == 404
    assert stranger.ask("GET", f"/video/{study.pairs[0].key}/..%2f..%2fstudy.json")[0] == 404
    assert stranger.ask("GET", "/mine.json")[0] == 403
    assert stranger.ask("POST", "/answer", '{"pair": "x", "question": "motion", "answer": "left"}')[0] == 403
    assert visitor.ask("POST", "/answer", "[]")[0] == 400
    assert visitor.ask("POST", "/answer", "x" * 100_000)[0] == 400
    import http.client

    for headers, status in (({"Host": "evil.example"}, 400), ({"Origin": "http://evil.example"}, 403)):
        link = http.client.HTTPConnection("127.0.0.1", served.port)
        link.request("POST", "/start", headers=headers)
        assert link.getresponse().status == status
    assert visitor.ask("POST", "/resume", "key=nobody")[0] == 404
    again = Visitor(served.port, 2)
    assert again.ask("POST", "/resume", f"key={visitor.cookie.split('=')[1]}")[0] == 303
    assert "page 2" in again.ask("GET", "/page")[1]


def test_a_token_where_other_machines_can_reach_it(study_folder: tuple[Study, Path]) -> None:
    server = Served(study_folder[1], "--host", "0.0.0.0")
    try:
        token = re.search(r"\?token=([\w-]{20,})", server.said)[1]
        visitor = Visitor(server.port, 0)
        for path in ("/", "/page", "/mine.json", "/?token=wrong"):
            assert visitor.ask("GET", path)[0] == 403
        assert visitor.ask("POST", "/start")[0] == 403
        assert visitor.ask("GET", f"/?token={token}")[0] == 303
        assert visitor.ask("GET", "/")[0] == 200
    finally:
        server.stop()


def many_pairs(folder: Path, pairs: int, evaluators: int) -> Study:
    """A study of pairs whose videos are a few bytes: nobody looks at them here."""
    (folder / "videos").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4"):
        (folder / "videos" / name).write_bytes(b"video")
    made = tuple(Pair(f"p{k:02}", f"s{k:02}", "A", "B", "a.mp4", "b.mp4", "Words.") for k in range(pairs))
    study = Study("Many", made, evaluators_a_pair=evaluators)
    write_study(study, folder)
    return study


def test_a_hundred_at_once_and_the_server_killed(tmp_path: Path) -> None:
    """Two hundred places, a hundred evaluators who want three pages each: half of what they want is not there."""
    study = many_pairs(tmp_path / "s", 20, 10)
    server = Served(tmp_path / "s")
    visitors = [Visitor(server.port, k) for k in range(100)]
    failed: list[BaseException] = []

    def visit(visitor: Visitor) -> None:
        try:
            visitor.visit(3)
        except BaseException as err:  # a thread's failure must fail the test
            failed.append(err)

    threads = [threading.Thread(target=visit, args=(v,)) for v in visitors]
    for thread in threads:
        thread.start()
    for share in (0.2, 0.55):  # of the answers there will be
        while sum(len(v.acknowledged) for v in visitors) < share * 20 * 10 * 7 and not failed:
            time.sleep(0.02)
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    server.stop()
    assert not failed, failed[0]
    rows = AnswerStore(study, tmp_path / "s").rows()
    kept = Counter((row["evaluator"], row["pair"], row["question"]) for row in rows)
    assert set(kept.values()) == {1}, "none twice"
    said = {(row["evaluator"], row["pair"], row["question"]): row["answer"] for row in rows}
    for visitor in visitors:
        key = visitor.cookie.split("=")[1]
        for pair, question, answer in visitor.acknowledged:
            assert said[key, pair, question] == answer, "none lost"
        assert len(set(visitor.pages)) == len(visitor.pages), "no pair twice"
    assert len(rows) == sum(len(v.acknowledged) for v in visitors) == 20 * 10 * 7
    assert set(AnswerStore(study, tmp_path / "s").progress().values()) == {10}
    sides = Counter((row["pair"], row["flipped"]) for row in rows if row["question"] == "motion")
    assert all(abs(sides[p.key, True] - sides[p.key, False]) <= 2 for p in study.pairs)


def test_addresses_that_cannot_be_used(study_folder: tuple[Study, Path]) -> None:
    from fourreal_core.study.server import StudyServer

    study, folder = study_folder
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match=r"can't be used"):
        StudyServer(study, folder, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="port 70000"):
        StudyServer(study, folder, port=70000)
    server = StudyServer(study, folder)
    assert server.token is None and server.address.startswith("http://127.0.0.1:")
    server.close()
