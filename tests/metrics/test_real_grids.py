"""The real-grid benchmark on a made-up folder: what a track may see, what it is scored on, and what it writes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fourreal_core.media import read_image, save_image, write_video
from fourreal_core.metrics import psnr, ssim

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "real_grids.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_grids", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def grids(tmp_path, pictures) -> Path:
    """One grid of 3 x 3 cells, all known but v1_t1; v1_t2 is held out of ``reconstruct``."""
    folder = tmp_path / "grids" / "one"
    folder.mkdir(parents=True)
    cells = pictures(9).reshape(3, 3, 32, 48, 3)
    known = [[v, t] for v in range(3) for t in range(3) if (v, t) != (1, 1)]
    for v, t in known:
        save_image(cells[v, t], folder / f"v{v}_t{t}.png")
    valid = torch.ones(32, 48, 3)
    valid[:6] = 0
    save_image(valid, folder / "valid.png")
    write_video(cells[:, 0], folder / "freeze_time.mp4", crf=0)
    write_video(cells[0], folder / "fixed_view.mp4", crf=0)
    inputs = [c for c in known if 0 in c]
    (folder / "grid.json").write_text(
        json.dumps(
            {
                "height": 32,
                "width": 48,
                "known": known,
                "inputs": inputs,
                "targets": [c for c in known if 0 not in c],
                "held_out": [[1, 2]],
            }
        )
    )
    return tmp_path / "grids"


def test_complete_sees_row_and_column(benchmark, grids):
    grid = benchmark.load_grid(grids / "one", "complete", clips=False)
    assert grid.known.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
    assert not grid.valid[:6].any() and grid.valid[6:].all()
    assert torch.equal(grid.frames[2, 0], read_image(grids / "one" / "v2_t0.png"))


def test_reconstruct_sees_all_but_the_held_out_cells(benchmark, grids):
    grid = benchmark.load_grid(grids / "one", "reconstruct", clips=False)
    assert grid.known.tolist() == [[True] * 3, [True, False, False], [True] * 3]
    assert not grid.frames[1, 2].any()


def test_clips_take_the_place_of_cells(benchmark, grids):
    cells, clips = (benchmark.load_grid(grids / "one", "complete", clips=c).frames[2, 0] for c in (False, True))
    assert 20 < psnr(cells, clips) < 60


def test_the_fixed_view_is_moved_and_the_rest_is_not(benchmark, grids):
    still = benchmark.load_grid(grids / "one", "complete", clips=False)
    panned = benchmark.load_grid(grids / "one", "complete", False, None, benchmark.Moved(pan_px=3))
    assert torch.equal(panned.freeze_time, still.freeze_time)
    for t in (1, 2):  # whole pixels: what was at x is at x + 3 t, and the rim is repeated
        torch.testing.assert_close(panned.frames[0, t, :, 3 * t :], still.frames[0, t, :, : -3 * t])
        torch.testing.assert_close(panned.frames[0, t, :, 0], still.frames[0, t, :, 0])
    shaken = benchmark.Moved(shake_px=2).apply(still.fixed_view)
    assert torch.equal(shaken[0], still.fixed_view[0]) and not torch.equal(shaken[1], still.fixed_view[1])
    rolled = benchmark.Moved(roll_degrees=180).apply(still.fixed_view)
    torch.testing.assert_close(rolled[1], still.fixed_view[1].flip(0, 1), atol=1e-4, rtol=0)
    assert benchmark.load_grid(grids / "one", "complete", False, (16, 24)).size == (16, 24)


@pytest.mark.parametrize(("track", "scored"), [("complete", [(1, 2), (2, 1), (2, 2)]), ("reconstruct", [(1, 2)])])
def test_figures_are_those_of_the_written_files(benchmark, grids, tmp_path, monkeypatch, capsys, track, scored):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["x", str(grids), "-o", str(out), "--track", track, "--method", "freeze"])
    assert benchmark.main() == 0
    report = json.loads((out / "report.json").read_text())
    truth = {cell: read_image(grids / "one" / f"v{cell[0]}_t{cell[1]}.png") for cell in scored}
    written = {cell: read_image(out / "one" / f"v{cell[0]}_t{cell[1]}.png") for cell in scored}
    valid = torch.arange(32)[:, None].expand(32, 48) >= 6
    for name, figure in (("psnr", psnr), ("ssim", ssim)):
        expected = sum(figure(written[c], truth[c], valid) for c in scored) / len(scored)
        assert report["grids"]["one"][name] == pytest.approx(expected)
    assert len(list((out / "one").iterdir())) == 9
    assert f"PSNR {report['mean']['psnr']:6.2f} dB" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["--only", "two"], ["--only", "../grids/one"]])
def test_grids_that_are_not_there_are_one_sentence(benchmark, grids, tmp_path, monkeypatch, capsys, args):
    monkeypatch.setattr(sys, "argv", ["x", str(grids), "-o", str(tmp_path / "out"), *args])
    assert benchmark.main() == 2
    assert "choose from ['one']" in capsys.readouterr().err and not (tmp_path / "out").exists()
