"""FVD and the Fréchet distance of other video networks, through packages of the same interface and the real one."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.models import judge_models
from fourreal_core.evaluation.video_distance import Fvd, Rows, frechet_distance, in_frames

from .conftest import installed, write_cells


def test_frechet_distance_of_known_gaussians() -> None:
    """In one dimension it is (m_a - m_b)^2 + (s_a - s_b)^2; features that are rotated together have the same."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    b = 2.0 * torch.randn(4000, 3, generator=generator, dtype=torch.float64) + torch.tensor([3.0, 0.0, 0.0])
    assert frechet_distance(a, b) == pytest.approx(9 + 3 * 1, rel=0.05)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b))
    from scipy.linalg import sqrtm

    cov = [torch.cov(x.T, correction=0).numpy() for x in (a, b)]
    slow = ((a.mean(0) - b.mean(0)) ** 2).sum() + (cov[0] + cov[1] - 2 * sqrtm(cov[0] @ cov[1]).real).trace()
    assert frechet_distance(a, b) == pytest.approx(float(slow))


class InceptionI3d(nn.Module):
    """The package's network as far as it is called: the mean colour, as three logits."""

    def __init__(self, classes: int, in_channels: int) -> None:
        super().__init__()
        assert (classes, in_channels) == (400, 3)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, video: Tensor) -> Tensor:
        assert video.shape == (1, 3, 16, 224, 224) and float(video.min()) >= -1 and float(video.max()) <= 1
        assert not self.training
        return self.scale * video.mean((2, 3, 4))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed ``cdfvd``."""
    names = ("cdfvd", "cdfvd.third_party", "cdfvd.third_party.i3d", "cdfvd.third_party.i3d.pytorch_i3d")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[names[-1]].InceptionI3d = InceptionI3d


def test_fvd_of_known_rows(package: None, tmp_path: Path) -> None:
    torch.save({"scale": torch.tensor([2.0])}, tmp_path / "i3d.pt")
    network = judge_models([f"fvd:{tmp_path / 'i3d.pt'}"]).videos[0]
    rows = torch.tensor([0.25, 0.75])[:, None, None, None, None].expand(2, 5, 20, 30, 3)
    torch.testing.assert_close(network.features(rows), 2 * torch.tensor([[-0.5] * 3, [0.5] * 3]))
    times = torch.arange(4.0)[None, :, None, None, None].expand(1, 4, 1, 1, 3)
    assert in_frames(times, 7)[0, :, 0, 0, 0].tolist() == [0, 0, 1, 2, 2, 2, 3]  # halves go to the even one


def test_rows_of_all_scenes_count_together(
    package: None, tmp_path: Path, true_frames: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"scale": torch.tensor([2.0])}, tmp_path / "i3d.pt")
    network = Fvd(str(tmp_path / "i3d.pt"))
    rows = Rows([network], ["truth", "a", "b"])
    grids = [EvaluatedGrid.of_frames("x", f) for f in (true_frames[:3, :2], true_frames[2:, 1:3])]
    for grid in grids:
        true, half = network.features(grid.frames[1:]), network.features(grid.frames[1:] * 0.5)
        rows.add([{"truth": true, "a": true, "b": half}])
    (found,) = rows.distances("truth")
    assert found.figure.name == "fvd" and found.figure.maker == "cdfvd, i3d.pt"
    true = torch.cat([network.features(grid.frames[1:]) for grid in grids])
    half = torch.cat([network.features(grid.frames[1:] * 0.5) for grid in grids])
    assert found.values == pytest.approx({"a": 0.0, "b": frechet_distance(half, true)}, abs=1e-9)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        assert Rows([network], ["truth", "a"]).distances("truth") == []
    assert "FVD: left out" in caplog.text


def test_the_command_shows_it(
    package: None, tmp_path: Path, true_frames: Tensor, frozen_frames: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"scale": torch.tensor([2.0])}, tmp_path / "i3d.pt")
    for name, frames in (("truth", true_frames), ("same", true_frames), ("other", frozen_frames * 0.5)):
        write_cells(frames[:3, :3], tmp_path / name)
    grids = [str(tmp_path / "same"), "--against", str(tmp_path / "other"), "--truth", str(tmp_path / "truth")]
    asked = ["--model", f"fvd:{tmp_path / 'i3d.pt'}", "--flow-width", "64", "-o", str(tmp_path / "out")]
    assert main(["evaluate", *grids, *asked]) == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("FVD"))
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert found["figures"]["fvd"]["better"] == "lower"
    values = found["all_scenes"]["fvd"]
    assert values["same"] == pytest.approx(0, abs=1e-6) and values["other"] > 1e-3
    assert said.split()[-1] == f"{values['other']:.3f}"
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<td class="best">0.000 <small>all scenes</small></td>' in page and "cdfvd, i3d.pt" in page


def test_what_is_not_there(package: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="name I3D's weights on this disk"):
        Fvd("")
    torch.jit.script(nn.Linear(1, 1)).save(str(tmp_path / "code.pt"))
    with pytest.raises(InputError, match=r"code.pt can't be read as I3D's weights .*TorchScript is code"):
        Fvd(str(tmp_path / "code.pt"))
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="other.pt can't be read as I3D's weights"):
        Fvd(str(tmp_path / "other.pt"))
    monkeypatch.setitem(sys.modules, "cdfvd.third_party.i3d.pytorch_i3d", None)
    with pytest.raises(InputError, match=r"no cdfvd that works here .*pip install cd-fvd"):
        Fvd(str(tmp_path / "other.pt"))


def test_the_real_package_with_a_random_network(tmp_path: Path) -> None:
    module = installed("cdfvd.third_party.i3d.pytorch_i3d")
    torch.manual_seed(0)
    torch.save(module.InceptionI3d(400, in_channels=3).state_dict(), tmp_path / "i3d.pt")
    rows = torch.rand(2, 4, 40, 60, 3, generator=torch.Generator().manual_seed(1))
    found = Fvd(str(tmp_path / "i3d.pt")).features(rows)
    assert (
        found.shape == (2, 400) and bool(torch.isfinite(found).all()) and float((found[0] - found[1]).abs().max()) > 0
    )
