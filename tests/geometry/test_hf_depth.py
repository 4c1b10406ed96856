"""Hugging Face depth networks: a tiny random Depth Anything, saved to disk and used by its name."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.geometry.hf_depth import HuggingFaceDepth, kind_of

# In a process of its own: transformers looks for torchvision and torchaudio when it is imported, and where these were
# built for another torch nothing of it loads. The network does not need them.
SCRIPT = """
import sys
sys.modules["torchvision"] = sys.modules["torchaudio"] = None
import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor
from fourreal_core.errors import InputError
from fourreal_core.geometry.hf_depth import HuggingFaceDepth

folder = sys.argv[1]
torch.manual_seed(0)
backbone = Dinov2Config(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14,
                        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False)
config = DepthAnythingConfig(backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
                             fusion_hidden_size=8, head_hidden_size=4, patch_size=14)
model = DepthAnythingForDepthEstimation(config).eval()
with torch.no_grad():  # away from the small first weights, of which ReLU leaves little
    for weight in model.parameters():
        weight.normal_(0, 0.3)
    model.head.conv3.bias.fill_(5.0)
model.save_pretrained(folder)
processor = DPTImageProcessor(size={"height": 28, "width": 28}, keep_aspect_ratio=True, ensure_multiple_of=14)
processor.save_pretrained(folder)

frames = torch.rand(2, 40, 60, 3)
steps = []
pictures, kind = HuggingFaceDepth(folder).predict(frames, lambda done, total, preview=None: steps.append((done, total)))
assert pictures.shape == (2, 40, 60) and kind == "inverse" and steps == [(1, 2), (2, 2)]
one = (frames[1] * 255).round().to(torch.uint8).numpy()
with torch.no_grad():
    drawn = model(**processor(images=one, return_tensors="pt"))
expected = processor.post_process_depth_estimation(drawn, target_sizes=[(40, 60)])[0]["predicted_depth"]
assert torch.allclose(pictures[1], expected, atol=1e-5) and not torch.allclose(pictures[0], pictures[1], atol=1e-5)
for name in ("someone/not-on-this-disk", folder + "/nothing"):
    try:
        HuggingFaceDepth(name).predict(frames)
    except InputError as err:
        assert "can't be loaded" in str(err) and "hf download" in str(err), err
    else:
        raise AssertionError(name)
print("done")
"""


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_a_network_on_disk_draws_what_it_draws(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "tiny")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"depth_estimation_type": "relative", "model_type": "depth_anything"}, "inverse"),
        ({"depth_estimation_type": "metric", "model_type": "depth_anything"}, "metric"),
        ({"model_type": "dpt"}, "inverse"),
        ({"model_type": "zoedepth"}, "metric"),
        ({"model_type": "depth_pro"}, "metric"),
        ({"model_type": "new"}, "auto"),
    ],
)
def test_what_a_network_draws_is_in_its_configuration(config: dict[str, str], kind: str) -> None:
    assert kind_of(SimpleNamespace(**config)) == kind


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="python -m pip install transformers"):
        HuggingFaceDepth("any/name").predict(torch.zeros(2, 16, 16, 3))
