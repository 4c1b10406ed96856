"""Clips, grids and captions in, sync layers trained, their file in the node of a real host, on the native model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ..training.tiny_bases import configuration, save_base, save_data, transformer
from .native_names import native_weights
from .tiny_models import probe, result_of

pytestmark = pytest.mark.host
LEVEL = 0.6
"""Noise level of the one call that is compared."""


@pytest.fixture(scope="module", params=["wan", "ltx"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves, and what it says of a noisy grid with a caption."""
    if not os.environ.get("COMFYUI_PATH"):
        pytest.skip("COMFYUI_PATH names no ComfyUI checkout (and COMFYUI_PYTHON the interpreter of its environment)")
    pytest.importorskip("accelerate")
    pytest.importorskip("kornia")
    from fourreal_core.training.config_file import parse_config
    from fourreal_core.training.encoding import EncodeOptions, encode_stage
    from fourreal_core.training.trainer import train_stage

    family, out = request.param, tmp_path_factory.mktemp(request.param)
    text = configuration(save_base(family, out), save_data(out), out)
    for stage in ("pseudo4d", "finetune4d"):
        config = parse_config(text, stage, changes={"train.no_caption": 0.0})
        encode_stage(config, EncodeOptions(grids=3, per_shard=3))
        report = train_stage(config)
    save_file(native_weights(family, transformer(family).state_dict()), out / "native.safetensors")
    save_file(_said(family, config, Path(report["model"])), out / "said.safetensors")
    return out


def _said(family: str, config: object, sync: Path) -> dict[str, torch.Tensor]:
    """A grid, its caption, noise, and the clean latents that the trained model guesses from them in one step."""
    from fourreal_core.model.sync_file import load_sync
    from fourreal_core.training.batches import make_batch
    from fourreal_core.training.data.latents import LatentGrids
    from fourreal_core.training.diffusers_bases import SyncedVideos
    from fourreal_core.training.objective import noisy_inputs
    from fourreal_core.training.trainees import has_one_level

    model = SyncedVideos(transformer(family), "soft_trained").eval()
    model.sync = load_sync(sync, model.base_fingerprint())
    batch = make_batch(config, LatentGrids(config.data.latents, ("finetune4d",)), 0, range(1))
    batch = batch._replace(level=torch.where(batch.known, 0.0, LEVEL))
    inputs, clean, noise = noisy_inputs(batch, None, has_one_level(model))
    with torch.no_grad():
        guess = inputs.latents - LEVEL * model(inputs)
        without = inputs.latents - LEVEL * SyncedVideos(model.base, "identity").eval()(inputs)
    rows = {"clean": clean, "noise": noise, "guess": guess, "without": without}
    return {
        **{name: x[0].transpose(1, 2).contiguous() for name, x in rows.items()},
        "known": batch.known[0].float(),
        "text": batch.text,
    }


def test_the_node_runs_what_was_trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURREAL_TRAINED", str(folder))
    found = result_of(probe("probe_trained_sync.py"), folder.name.rstrip("0123456789"))
    # float32 sums in another order, in 3 layers; the trained layers change the guess by much more
    assert found["same words"] < 1e-4
    assert found["without sync"] > 20 * found["same words"]
    assert found["other base"] and "trained on a base model" in found["other base"]
