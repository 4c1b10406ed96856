"""LPIPS and ST-LPIPS through packages of the same interface, and LPIPS's own where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fourreal_core.errors import InputError
from fourreal_core.evaluation.evaluate import Evaluator
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.models import JudgeModels, judge_models
from fourreal_core.evaluation.perceptual import lpips, st_lpips

from .conftest import installed


class LPIPS(nn.Module):
    """Either package's network as far as it is called: here the mean difference, times the trunk's weight."""

    asked: dict[str, object]

    def __init__(self, net: str, verbose: bool, **more: object) -> None:
        super().__init__()
        assert net == "alex" and not verbose
        type(self).asked = more
        self.net = nn.ModuleDict({"slice1": nn.ModuleDict({"0": nn.Conv2d(3, 64, 11)})})

    def forward(self, a: Tensor, b: Tensor, normalize: bool) -> Tensor:
        assert normalize and a.shape[:2] == (1, 3) and float(a.min()) >= 0 and float(a.max()) <= 1
        return (a - b).abs().mean()[None, None] * float(self.net["slice1"]["0"].bias[0].round(decimals=3))


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both packages, installed."""
    for name in ("lpips", "stlpips_pytorch", "stlpips_pytorch.stlpips"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["stlpips_pytorch.stlpips"].LPIPS = sys.modules["lpips"].LPIPS = LPIPS
    sys.modules["stlpips_pytorch"].stlpips = sys.modules["stlpips_pytorch.stlpips"]


def alexnet(folder: Path, **changed: Tensor) -> Path:
    """Weights of a trunk that is one layer deep."""
    weights = {"features.0.weight": torch.zeros(64, 3, 11, 11), "features.0.bias": torch.full((64,), 3.0)}
    save_file({**weights, "classifier.1.bias": torch.zeros(2), **changed}, folder / "alexnet.safetensors")
    return folder / "alexnet.safetensors"


def test_distances_need_a_truth(packages: None, tmp_path: Path, true_frames: Tensor, frozen_frames: Tensor) -> None:
    models = judge_models(["stlpips", f"lpips:{alexnet(tmp_path)}"])
    assert LPIPS.asked == {"pnet_rand": True}, "what is not random is downloaded"
    evaluator = Evaluator(JudgeModels(learned=models.learned))
    made, truth = (EvaluatedGrid.of_frames("x", f[:3, :3]) for f in (frozen_frames, true_frames))
    found = evaluator(made, truth)
    apart = [(frozen_frames[v, t] - true_frames[v, t]).abs().mean() for v in (1, 2) for t in (1, 2)]
    assert found.values["lpips"] == pytest.approx(3 * float(sum(apart)) / 4, rel=1e-5)  # the file's weights count
    assert found.cells["lpips"][1, 2] == pytest.approx(3 * float(apart[1]), rel=1e-5)
    assert set(found.cells["stlpips"]) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert not {"lpips", "stlpips"} & set(evaluator(made).values)
    assert evaluator.figures()["lpips"].maker == "lpips, alex, alexnet.safetensors"


def test_what_is_not_there(packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="alex or vgg"):
        st_lpips("net")
    with pytest.raises(InputError, match="it is not downloaded here"):
        lpips("")
    save_file({"features.0.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors, which is of another network; expected AlexNet"):
        lpips(str(tmp_path / "other.safetensors"))
    with pytest.raises(InputError, match=r"without net.slice1.0.bias"):
        lpips(str(alexnet(tmp_path, **{"features.0.bias": torch.zeros(3)})))
    for name in ("stlpips_pytorch", "lpips"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="no stlpips_pytorch that works here"):
        st_lpips()
    with pytest.raises(InputError, match=r"no lpips that works here .*pip install lpips torchvision"):
        lpips(str(alexnet(tmp_path)))


@pytest.mark.parametrize(("kind", "first"), [("alexnet", (64, 3, 11, 11)), ("vgg16", (64, 3, 3, 3))])
def test_the_real_package_with_a_random_trunk(tmp_path: Path, kind: str, first: tuple[int, ...]) -> None:
    models = installed("torchvision").models
    installed("lpips")
    torch.manual_seed(0)
    trunk = getattr(models, kind)(weights=None).state_dict()
    assert tuple(trunk["features.0.weight"].shape) == first
    torch.save(trunk, tmp_path / "trunk.pth")
    a, b = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        distance = lpips(str(tmp_path / "trunk.pth")).network
        assert float(distance(a, a)) == 0 and float(distance(a, b)) > 0
        trunk["features.0.weight"] += 1.0
        torch.save(trunk, tmp_path / "trunk.pth")
        assert float(lpips(str(tmp_path / "trunk.pth")).network(a, b)) != float(distance(a, b))
