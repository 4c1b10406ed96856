"""``fourreal queue`` on stand-ins of hosts: what they are asked, what comes back, and hosts that vanish."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.queueing.host import Host, HostGone, Stopped, output_entries

from .fake_host import WORKFLOW, FakeHost

pytest.importorskip("websocket", reason="websocket-client is not installed")
SETTINGS = ["--set", "Clip v1.0.file={freeze_time}", "--set", "Fit.steps={n}", "--set", "3.prefix=q/{id}"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Six jobs; the third one fails on every host."""
    lines = ["id,freeze_time,n"]
    for i in range(6):
        (tmp_path / f"c {i}.mp4").write_bytes(f"clip {i}".encode() * 1000)
        lines.append(f"j{i},c {i}.mp4,{-1 if i == 2 else i}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    (tmp_path / "w.json").write_text(json.dumps(WORKFLOW))
    return tmp_path


def queue(rows: Path, *hosts: FakeHost, more: tuple[str, ...] = ()) -> int:
    named = [word for host in hosts for word in ("--host", host.address)]
    return main(["queue", str(rows / "w.json"), str(rows / "m.csv"), "-o", str(rows / "out"), *named, *SETTINGS, *more])


def index(rows: Path) -> dict[str, dict]:
    lines = (rows / "out" / "index.jsonl").read_text("utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_every_row_is_queued_followed_and_fetched(rows, capfd):
    with FakeHost() as host:
        assert queue(rows, host) == 1
        assert len(host.prompts) == 6 and len(host.uploads) == 6
        told = {p["3"]["inputs"]["prefix"]: p for p in host.prompts}
    assert sorted(told) == [f"q/j{i}" for i in range(6)] and told["q/j4"]["2"]["inputs"]["steps"] == 4
    uploaded = told["q/j4"]["1"]["inputs"]["file"]
    assert uploaded.startswith("fourreal/") and uploaded.endswith("_c_4.mp4")
    assert host.uploads[uploaded.removeprefix("fourreal/")] == b"clip 4" * 1000
    records = index(rows)
    assert records["j2"]["error"].startswith("the node Fit (2) failed on http://127.0.0.1")
    assert "steps is -1; expected" in records["j2"]["error"]
    for i in (0, 1, 3, 4, 5):
        (picture,) = (rows / "out" / f"j{i}").glob("*.png")
        assert json.loads(picture.read_text())["2"]["inputs"]["steps"] == i
        assert records[f"j{i}"]["files"] == [picture.name] and records[f"j{i}"]["tries"] == 1
    assert "5 of 6 jobs done, 0 of them before, 1 failed" in capfd.readouterr().out
    assert "p1.png" in (rows / "out" / "report.html").read_text()


def test_run_again_only_what_is_missing_is_queued(rows):
    with FakeHost() as host:
        queue(rows, host, more=("--quiet",))
        assert queue(rows, host, more=("--quiet",)) == 1 and len(host.prompts) == 7
        (rows / "m.csv").write_text((rows / "m.csv").read_text().replace("-1", "1").replace("c 5.mp4,5", "c 5.mp4,9"))
        assert queue(rows, host, more=("--quiet",)) == 0 and len(host.prompts) == 9
        workflow = json.loads((rows / "w.json").read_text())
        workflow["2"]["inputs"]["mode"] = "slow"
        (rows / "w.json").write_text(json.dumps(workflow))
        assert queue(rows, host, more=("--quiet",)) == 0 and len(host.prompts) == 15


def test_the_jobs_of_a_host_that_vanishes_go_to_the_other(rows):
    with FakeHost(0.1) as stays, FakeHost(0.1) as dies:
        dies.die_at = 2
        assert queue(rows, stays, dies, more=("--quiet",)) == 1
    records = index(rows)
    assert [r["id"] for r in records.values() if r["state"] == "failed"] == ["j2"]
    assert len(dies.prompts) >= 2 and max(r["tries"] for r in records.values()) == 2
    assert {r["host"] for r in records.values() if r["state"] == "done" and r["tries"] == 2} == {
        str(Host(stays.address))
    }
    assert len(list((rows / "out").glob("j*/*.png"))) == 5


def test_with_no_host_left_the_rest_fails_and_can_be_taken_up(rows):
    with FakeHost() as dies:
        dies.die_at = 3
        assert queue(rows, dies, more=("--quiet", "--at-once", "1")) == 1
    states = [r["state"] for r in index(rows).values()]
    assert states.count("done") == 2 and "no host is left" in index(rows)["j5"]["error"]
    with FakeHost() as host:
        assert queue(rows, host, more=("--quiet",)) == 1 and len(host.prompts) == 4


def test_the_least_busy_host_comes_first(rows):
    with FakeHost(0.01) as free, FakeHost(busy=50) as busy:
        assert queue(rows, busy, free, more=("--quiet", "--at-once", "8")) == 1
        assert len(free.prompts) == 6 and not busy.prompts


def test_the_end_is_found_where_the_websocket_missed_it(rows, monkeypatch):
    monkeypatch.setattr("fourreal_core.queueing.host._LOOK_SECONDS", 0.5)
    with FakeHost() as host:
        host.silent = True
        host.queue(WORKFLOW, "me")
        outputs = Host(host.address).run(WORKFLOW, lambda: False)
    assert [entry["filename"] for entry in output_entries(outputs)] == ["p2.png"]


def test_stopping_takes_the_prompt_back():
    with FakeHost(seconds=30) as host:
        start = time.monotonic()
        with pytest.raises(Stopped):
            Host(host.address).run(WORKFLOW, lambda: time.monotonic() - start > 1)
        assert host.deleted == ["p1"]


def test_a_host_that_dies_while_it_works_is_gone():
    with FakeHost(seconds=30) as host:
        threading.Timer(1, host.die).start()
        with pytest.raises(HostGone):
            Host(host.address, seconds=5).run(WORKFLOW, lambda: False)


def test_what_a_host_refuses_is_said(rows):
    with FakeHost() as host, pytest.raises(InputError, match=r"refuses \(Save: Bad prefix \(prefix\)\)"):
        prompt = json.loads(json.dumps(WORKFLOW))
        prompt["3"]["inputs"]["prefix"] = "refused"
        Host(host.address).run(prompt, lambda: False)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--host", "127.0.0.1:9"), "no answer from http://127.0.0.1:9"),
        (("--set", "Fit.mode={how}"), "no how"),
        (("--set", "Gone.x=1"), "no node 'Gone' in the workflow"),
        (("--at-once", "0"), "--at-once 0"),
    ],
)
def test_nothing_is_queued_when_something_is_wrong(rows, capsys, more, sentence):
    with FakeHost() as host:
        assert queue(rows, host, more=more) == 2
        assert sentence in capsys.readouterr().err and not host.prompts and not host.uploads


def test_rows_are_checked_against_the_host_and_a_dry_run_queues_nothing(rows, capsys):
    with FakeHost() as host:
        assert queue(rows, host, more=("--dry-run",)) == 0
        assert "6 jobs, 0 of them done; 1 hosts can run them" in capsys.readouterr().out
        (rows / "m.csv").write_text((rows / "m.csv").read_text().replace(",3", ",three").replace("c 4", "c 44"))
        assert queue(rows, host) == 2
        said = capsys.readouterr().err
        assert (
            "2 faults" in said and "Fit.steps: 'three', expected a whole number" in said and "c 44.mp4 does not" in said
        )
        assert not host.prompts


def test_a_clip_of_many_jobs_is_uploaded_once(rows):
    """Written again it would be cut short under a job that reads it."""
    (rows / "m.csv").write_text("id,freeze_time,n\n" + "".join(f"j{i},c 1.mp4,{i}\n" for i in range(8)))
    with FakeHost() as host:
        assert queue(rows, host, more=("--quiet", "--at-once", "4")) == 0
        assert host.upload_count == 1 and len({p["1"]["inputs"]["file"] for p in host.prompts}) == 1


def test_files_that_the_hosts_have_are_named(rows):
    (rows / "m.csv").write_text("id,freeze_time,n\nj0,there.mp4,1\n")
    with FakeHost() as host:
        assert queue(rows, host, more=("--upload", "", "--quiet")) == 0
        assert not host.uploads and host.prompts[0]["1"]["inputs"]["file"] == "there.mp4"
