"""``fourreal evaluate`` on little grids: what it writes, and what it says of what can't be compared."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from fourreal_core.cli import main
from fourreal_core.media import save_image

pytest.importorskip("matplotlib", reason="matplotlib is not installed (evaluate extra)")
pytest.importorskip("scipy", reason="scipy is not installed (evaluate extra)")


def smooth(seed: int, views: int = 3, times: int = 3) -> torch.Tensor:
    """Cells of a soft picture that slides by a pixel a time and by two a view."""
    rough = torch.rand(1, 3, 10, 14, generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.interpolate(rough, (64, 96), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return torch.stack(
        [
            torch.stack([wide[:, 8:56, 8 + t + 2 * v : 72 + t + 2 * v].permute(1, 2, 0) for t in range(times)])
            for v in range(views)
        ]
    )


def write(frames: torch.Tensor, folder: Path) -> None:
    folder.mkdir(parents=True)
    for v in range(frames.shape[0]):
        for t in range(frames.shape[1]):
            save_image(frames[v, t], folder / f"v{v}_t{t}.png")


@pytest.fixture
def methods(tmp_path: Path) -> Path:
    """The truth of two scenes, one method that adds a little noise, and one that stands still."""
    for k, scene in enumerate(("left", "right")):
        truth = smooth(k)
        noise = 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(9))
        near = (truth + noise).clamp(0, 1)
        near[0], near[:, 0] = truth[0], truth[:, 0]
        frozen = truth[:, :1].expand_as(truth).clone()
        frozen[0] = truth[0]
        for name, frames in (("truth", truth), ("near", near), ("frozen", frozen)):
            write(frames, tmp_path / name / scene)
    return tmp_path


def test_methods_are_compared(methods: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = methods / "out"
    arguments = ["--against", f"still={methods / 'frozen'}", "--truth", str(methods / "truth"), "-o", str(out)]
    assert main(["evaluate", str(methods / "near"), *arguments, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    found = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert list(found["methods"]) == ["near", "still"] and found["command"] == "evaluate"
    near, still = (found["methods"][name]["means"] for name in ("near", "still"))
    assert near["psnr"]["value"] > still["psnr"]["value"] + 2 and near["psnr"]["scenes"] == 2
    assert still["warp_time"]["value"] == 0 and still["motion"]["value"] == 0 and near["motion"]["value"] > 0.5
    (psnr,) = (d for d in found["differences"] if d["figure"] == "psnr")
    assert psnr["value"] == pytest.approx(near["psnr"]["value"] - still["psnr"]["value"]) and psnr["wins"] == 2
    assert found["versions"]["torch"] and found["sources"]["near"]["left"].endswith("near/left")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4 and page.count("data:image/webp") == 4 * 4  # truth, near, its error, still
    assert "near, scene by scene" in page and "PSNR by scene" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page), "one file, nothing is fetched"
    worst = [float(x) for x in re.findall(r"view \d+, time \d+: ([\d.]+) dB", page)]
    assert len(worst) == 4 and worst == sorted(worst)


def test_scenes_may_be_spread_over_processes(methods: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(methods)
    grids = ["near", "--against", "still=frozen", "--truth", "truth", "--quiet"]
    assert main(["evaluate", *grids, "-o", "here"]) == 0
    assert main(["evaluate", *grids, "-o", "spread", "--engine", "pool", "--workers", "2"]) == 0
    here, spread = (json.loads((methods / out / "figures.json").read_text()) for out in ("here", "spread"))
    assert here == spread and list(here["methods"]["near"]["scenes"]) == ["left", "right"]


def test_a_scene_that_fails_elsewhere_ends_it(methods: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(smooth(3, 2), methods / "odd" / "left")
    write(smooth(3), methods / "odd" / "right")
    grids = [str(methods / "near"), "--against", str(methods / "odd"), "--truth", str(methods / "truth")]
    assert main(["evaluate", *grids, "-o", str(methods / "out"), "--engine", "pool", "--workers", "2"]) == 2
    assert "left" in capsys.readouterr().err.strip().splitlines()[-1]


def test_one_grid_alone(methods: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(methods / "near" / "left"), "-o", str(methods / "out")]) == 0
    text = capsys.readouterr().out
    assert "warping error across views" in text and "PSNR" not in text and "report in" in text
    page = (methods / "out" / "report.html").read_text(encoding="utf-8")
    assert "scene by scene" not in page and "By warping error across views" in page


def test_grids_of_other_names_are_one_scene_each(methods: Path) -> None:
    near, still = methods / "near" / "left", methods / "frozen" / "right"
    still.rename(methods / "frozen" / "other")
    out = methods / "out"
    assert (
        main(["evaluate", f"a={near}", "--against", f"b={methods / 'frozen' / 'other'}", "-o", str(out), "--quiet"])
        == 0
    )
    assert list(json.loads((out / "figures.json").read_text())["methods"]["b"]["scenes"]) == ["left"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["near", "--against", "frozen/left"], "left, which lacks right; expected the same scenes as near"),
        (["near", "--against", "near"], "two methods 'near'"),
        (["near", "--truth", "truth/left"], "no truth of right"),
        (["nowhere"], "does not exist"),
        (["near", "--model", "dust3r:none.safetensors"], "dust3r"),
        (["near/left", "near/left"], "two scenes 'left'"),
    ],
)
def test_what_does_not_fit(
    methods: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(methods)
    assert main(["evaluate", *arguments, "-o", "out", "--quiet"]) == 2
    text = capsys.readouterr().err
    assert says in text and text.count("\n") == 1


@pytest.mark.parametrize(("package", "install"), [("cv2", "opencv-python-headless"), ("scipy", "scipy")])
def test_what_is_missing_is_said_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str, install: str
) -> None:
    """Before grids are read or networks loaded: neither is there."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "fourreal_core.needed.opencv", raising=False)
    monkeypatch.delattr("fourreal_core.needed.opencv", raising=False)
    nothing = str(tmp_path / "none")
    assert main(["evaluate", nothing, "--model", f"dino:{nothing}", "-o", str(tmp_path / "out"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert f"pip install{' -U' if package == 'cv2' else ''} {install}" in said and not (tmp_path / "out").exists()
