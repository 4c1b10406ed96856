"""Learned figures through tiny random networks of the same interfaces."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from fourreal_core.errors import InputError
from fourreal_core.evaluation.evaluate import Evaluator
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.learned import FeatureConsistency, StLpips, frechet_distance
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


# In a process of its own: transformers looks for torchvision and torchaudio when it is imported, and where these were
# built for another torch nothing of it loads. The networks do not need them.
SCRIPT = """
import sys
sys.modules["torchvision"] = sys.modules["torchaudio"] = None
import torch
import transformers as tf
from torch.nn.functional import cosine_similarity as alike
from fourreal_core.errors import InputError
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.learned import FeatureConsistency, FrechetVideoDistance, frechet_distance

folder = sys.argv[1]
generator = torch.Generator().manual_seed(0)
truth = torch.rand(3, 4, 40, 60, 3, generator=generator)
frozen = truth[:, :1].expand_as(truth).clone()
frozen[0] = truth[0]
small = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}

torch.manual_seed(0)
tf.Dinov2Model(tf.Dinov2Config(**tiny, image_size=28)).save_pretrained(folder + "/dino")
tf.BitImageProcessor(**small).save_pretrained(folder + "/dino")
judge = FeatureConsistency("dino", folder + "/dino")
values, cells, reference = judge(EvaluatedGrid.of_frames("x", frozen), None)
assert abs(values["dino_time"] - 1) < 1e-5 and values["dino_view"] < 1 - 1e-6, values
assert set(values) == {figure.name for figure in judge.entries()} == set(reference)
expected = float(alike(judge.features(frozen[1, 2]), judge.features(frozen[2, 2]), dim=0))
assert abs(cells["dino_view"][2, 2] - expected) < 1e-6
steps = [float(alike(judge.features(truth[0, t]), judge.features(truth[0, t + 1]), dim=0)) for t in range(3)]
assert abs(reference["dino_time"] - sum(steps) / 3) < 1e-6

text = {**tiny, "intermediate_size": 16, "vocab_size": 32}
vision = {**tiny, "intermediate_size": 16, "image_size": 28, "patch_size": 14}
tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder + "/clip")
tf.CLIPImageProcessor(**small).save_pretrained(folder + "/clip")
judge = FeatureConsistency("clip", folder + "/clip")
assert judge.features(truth[0, 0]).shape == (8,)
values, _, _ = judge(EvaluatedGrid.of_frames("x", truth), None)
assert -1 <= values["clip_view"] <= 1 and -1 <= values["clip_time"] <= 1

video = tf.VideoMAEConfig(**tiny, image_size=32, num_frames=4, intermediate_size=16)
tf.VideoMAEModel(video).save_pretrained(folder + "/video")
tf.VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
    folder + "/video"
)
judge = FrechetVideoDistance(folder + "/video")
a, b = judge.features(truth), judge.features(frozen)
assert a.shape == (3, 16) and torch.allclose(a[0], b[0]) and frechet_distance(a, b) > 1e-7 > frechet_distance(a, a)

(__import__("pathlib").Path(folder) / "empty").mkdir()
try:
    FeatureConsistency("dino", folder + "/empty")
except InputError as err:
    assert "can't be loaded" in str(err), err
else:
    raise AssertionError
print("done")
"""


def test_networks_of_transformers(tmp_path: Path) -> None:
    """Tiny random DINOv2, CLIP and VideoMAE, saved as such networks are, and used by their folders."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.stdout.strip().endswith("done"), done.stderr[-3000:]


def test_what_is_not_on_this_disk(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a network's folder"):
        FeatureConsistency("dino", str(tmp_path / "none"))


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
