"""The page of a scene, the local server and the runs it finds."""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
import torch

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.media import save_image
from fourreal_core.scene.formats.scene_file import save_scene
from fourreal_core.viewer import bundle
from fourreal_core.viewer.bundle import FOLDER, bundled
from fourreal_core.viewer.given_frames import frames_of_run
from fourreal_core.viewer.html import viewer_page
from fourreal_core.viewer.runs import find_runs
from fourreal_core.viewer.serve import ViewerServer

from .scenes import SIZE, lively_scene, unpack


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs below a folder, one with pictures."""
    root = tmp_path_factory.mktemp("runs")
    scene = lively_scene(300)
    for name in ("one", "deep/two & more"):
        (root / name).mkdir(parents=True)
        save_scene(scene, root / name / "scene.safetensors")
    (root / "one" / "grid").mkdir()
    picture = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(0))
    for cell in ("v0_t0", "v0_t2", "v3_t1"):
        save_image(picture, root / "one" / "grid" / f"{cell}.png")
    save_image(picture, root / "one" / "contact_sheet.png")
    return root


@pytest.fixture()
def server(runs: Path) -> Iterator[ViewerServer]:
    with ViewerServer(find_runs(runs)) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def get(server: ViewerServer, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(server.address.rstrip("/") + path) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_a_page_holds_the_payload_in_pieces_and_no_address() -> None:
    payload = bytes(range(256)) * 8000
    page = viewer_page(payload, "Me & <you>").decode()
    pieces = re.findall(r'<script type="text/plain">([^<]*)</script><script>feed.take\(\)</script>', page)
    assert len(pieces) == 3 and b"".join(base64.b64decode(piece) for piece in pieces) == payload
    assert "<title>Me &amp; &lt;you&gt;</title>" in page
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) == {"http://www.w3.org/2000/svg"}  # the name of a vocabulary


def test_modules_come_before_those_that_use_them() -> None:
    script = bundled("page")
    names = re.findall(r"^const module_(\w+) = \(\(\) => \{", script, re.MULTILINE)
    assert names[-1] == "page" and names.index("linear") < names.index("cameras") < names.index("viewer")
    others = {"grid_preview", "grid_style"}  # the host's front end loads these
    assert set(names) == {path.stem for path in FOLDER.glob("*.js")} - others
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


def test_modules_may_not_go_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = a;\n')
    with pytest.raises(AssertionError, match="a > b > a"):
        bundle.bundled.__wrapped__("a")


def test_runs_are_found_where_they_lie(runs: Path) -> None:
    assert {run.name for run in find_runs(runs)} == {"one", "deep/two & more"}
    assert [run.name for run in find_runs(runs / "one")] == ["one"]
    assert [run.name for run in find_runs(runs / "one" / "scene.safetensors")] == ["scene"]
    for place in (runs / "nowhere", runs / "one" / "grid"):
        with pytest.raises(InputError, match="check the path"):
            find_runs(place)


def test_given_frames_are_those_of_the_report_or_of_the_first_row_and_column(runs: Path) -> None:
    scene = lively_scene(300)
    frames = frames_of_run(runs / "one", scene)
    assert [(frame.view, frame.time) for frame in frames] == [(0, 0), (0, 2)]
    assert all(frame.data[8:12] == b"WEBP" for frame in frames)
    report = runs / "one" / "report.json"
    report.write_text(json.dumps({"grid": {"known": [[3, 1], [99, 0]]}}))
    assert [(frame.view, frame.time) for frame in frames_of_run(runs / "one", scene)] == [(3, 1)]
    report.unlink()
    assert frames_of_run(runs / "deep", scene) == []


def test_the_server_has_an_index_pages_modules_scenes_and_pictures(server: ViewerServer) -> None:
    assert server.address.startswith("http://127.0.0.1:")
    status, kind, body = get(server, "/")
    index = body.decode()
    assert status == 200 and "two &amp; more" in index
    number = next(k for k, run in enumerate(server.runs) if run.name == "one")
    assert f'src="/run/{number}/picture"' in index and f'src="/run/{1 - number}/picture"' not in index
    assert f'"/run/{number}/scene"' in get(server, f"/run/{number}/")[2].decode()
    assert get(server, "/web/page.js")[1].startswith("text/javascript")
    assert get(server, f"/run/{number}/picture")[2][:4] == b"\x89PNG"
    found = unpack(get(server, f"/run/{number}/scene")[2])
    assert found.head["title"] == "one" and set(found.frames) == {(0, 0), (0, 2)}


@pytest.mark.parametrize(
    "path", ["/web/../serve.py", "/web/none.js", "/run/7/", "/run/x/", "/run/0/other", "/%2e%2e/serve.py", "/run/-1x/"]
)
def test_what_is_not_there_is_not_served(server: ViewerServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_only_this_machine_is_answered(server: ViewerServer) -> None:
    connection = HTTPConnection("127.0.0.1", server.server_address[1])
    connection.request("GET", "/", headers={"Host": "example.org"})
    assert connection.getresponse().status == 403
    connection.close()


def test_a_scene_is_packed_again_when_it_has_changed(server: ViewerServer) -> None:
    first = server.payload(0)
    assert server.payload(0) is first
    save_scene(lively_scene(200), server.runs[0].scene)
    assert unpack(server.payload(0)).head["splats"] < 200


def test_a_scene_that_cannot_be_read_gets_a_sentence(server: ViewerServer) -> None:
    server.runs[1].scene.write_bytes(b"no scene")
    status, _, body = get(server, "/run/1/scene")
    assert status == 422 and b"safetensors" in body


def test_a_taken_port_is_named(server: ViewerServer, runs: Path) -> None:
    port = server.server_address[1]
    with pytest.raises(InputError, match=f"port {port}"):
        ViewerServer(find_runs(runs / "one"), port)


def test_export_writes_a_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_scene(lively_scene(300), runs / "one" / "scene.safetensors")
    out = tmp_path / "scene.html"
    assert main(["export", str(runs / "one"), "-o", str(out), "--json", "--device", "cpu"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["format"] == "html" and report["files"] == [str(out)]
    assert main(["export", str(runs / "one"), "-o", str(tmp_path / "small.html"), "--compact", "--quiet"]) == 0
    assert (tmp_path / "small.html").stat().st_size < out.stat().st_size - 5000
    assert main(["export", str(runs / "one"), "-o", str(tmp_path / "s.ply"), "--compact"]) == 2


@pytest.mark.parametrize("words", [["nowhere"], [".", "--port", "70000"]])
def test_view_refuses_what_it_cannot_show(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / words[0]), *words[1:], "--no-browser"]) == 2
    assert capsys.readouterr().err.startswith("fourreal: ")
