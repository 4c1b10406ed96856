"""Learned figures through tiny random networks of the same interfaces."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from fourreal_core.errors import InputError
from fourreal_core.evaluation.evaluate import Evaluator
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.learned import FeatureConsistency, FrechetVideoDistance, StLpips, frechet_distance
from fourreal_core.evaluation.models import JudgeModels


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


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(scope="module")
def dino(transformers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DINOv2 of two layers, saved as such networks are."""
    folder = tmp_path_factory.mktemp("dino")
    config = transformers.Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28)
    torch.manual_seed(0)
    transformers.Dinov2Model(config).save_pretrained(folder)
    transformers.BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(
        folder
    )
    return folder


def test_features_of_neighbours(dino: Path, true_frames: Tensor, frozen_frames: Tensor) -> None:
    judge = FeatureConsistency("dino", str(dino))
    frozen = EvaluatedGrid.of_frames("x", frozen_frames)
    values, cells, reference = judge(frozen, None)
    assert values["dino_time"] == pytest.approx(1, abs=1e-5) and values["dino_view"] < 1
    assert set(values) == {figure.name for figure in judge.entries()} == set(reference)
    a, b = (judge.features(frozen_frames[v, 2]) for v in (2, 3))
    assert cells["dino_view"][3, 2] == pytest.approx(float(torch.cosine_similarity(a, b, dim=0)))
    steps = [
        float(torch.cosine_similarity(*(judge.features(true_frames[0, t + k]) for k in (0, 1)), dim=0))
        for t in range(3)
    ]
    assert reference["dino_time"] == pytest.approx(sum(steps) / 3)


def test_a_clip_network(transformers: ModuleType, tmp_path: Path, true_frames: Tensor) -> None:
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 32,
    }
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 32,
        "patch_size": 16,
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        tmp_path
    )
    judge = FeatureConsistency("clip", str(tmp_path))
    assert judge.features(true_frames[0, 0]).shape == (8,)
    values, _, _ = judge(EvaluatedGrid.of_frames("x", true_frames[:2, :2]), None)
    assert -1 <= values["clip_view"] <= 1 and values["clip_time"] <= 1


def test_a_video_network(transformers: ModuleType, tmp_path: Path, true_frames: Tensor, frozen_frames: Tensor) -> None:
    config = transformers.VideoMAEConfig(
        image_size=32, num_frames=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    torch.manual_seed(0)
    transformers.VideoMAEModel(config).save_pretrained(tmp_path)
    transformers.VideoMAEImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    judge = FrechetVideoDistance(str(tmp_path))
    true, frozen = judge.features(true_frames), judge.features(frozen_frames)
    assert true.shape == (5, 16) and torch.equal(true[0], frozen[0])
    assert frechet_distance(true, frozen) > 1e-6 > frechet_distance(true, true)


def test_what_is_not_on_this_disk(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a network's folder"):
        FeatureConsistency("dino", str(tmp_path / "none"))
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(InputError, match="can't be loaded"):
        FeatureConsistency("dino", str(tmp_path))


class LPIPS(nn.Module):
    """The package's network as far as it is called: here the mean difference."""

    def __init__(self, net: str, variant: str, verbose: bool) -> None:
        super().__init__()
        assert (net, variant, verbose) == ("alex", "shift_tolerant", False)

    def forward(self, a: Tensor, b: Tensor, normalize: bool) -> Tensor:
        assert normalize and a.shape[:2] == (1, 3) and float(a.min()) >= 0 and float(a.max()) <= 1
        return (a - b).abs().mean()[None, None]


def test_st_lpips_needs_a_truth(monkeypatch: pytest.MonkeyPatch, true_frames: Tensor, frozen_frames: Tensor) -> None:
    for name in ("stlpips_pytorch", "stlpips_pytorch.stlpips"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["stlpips_pytorch.stlpips"].LPIPS = LPIPS
    sys.modules["stlpips_pytorch"].stlpips = sys.modules["stlpips_pytorch.stlpips"]
    evaluator = Evaluator(JudgeModels(learned=(StLpips(),)))
    made, truth = (EvaluatedGrid.of_frames("x", f[:3, :3]) for f in (frozen_frames, true_frames))
    found = evaluator(made, truth)
    by_hand = [(frozen_frames[v, t] - true_frames[v, t]).abs().mean() for v in (1, 2) for t in (1, 2)]
    assert found.values["stlpips"] == pytest.approx(float(sum(by_hand)) / 4, rel=1e-5)
    assert "stlpips" not in evaluator(made).values
    with pytest.raises(InputError, match="alex or vgg"):
        StLpips("net")
    monkeypatch.setitem(sys.modules, "stlpips_pytorch", None)
    with pytest.raises(InputError, match="no stlpips_pytorch that works here"):
        StLpips()
