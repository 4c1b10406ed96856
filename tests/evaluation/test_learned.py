"""CLIP, DINO and video networks of ``transformers``: tiny random ones, saved as such networks are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from fourreal_core.errors import InputError
from fourreal_core.evaluation.learned import FeatureConsistency

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
from fourreal_core.evaluation.learned import FeatureConsistency
from fourreal_core.evaluation.video_distance import FrechetVideoDistance, frechet_distance

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
