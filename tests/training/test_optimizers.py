"""AdamW with moments of eight bits."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from fourreal_core.errors import InputError
from fourreal_core.training.optimizers import make_optimizer
from fourreal_core.training.options import TrainOptions
from fourreal_core.training.trainer import train_stage

EIGHT = TrainOptions(optimizer="adamw8bit", learning_rate=1e-2)


def test_a_missing_package_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(InputError, match="bitsandbytes can't be loaded.*pip install"):
        make_optimizer([{"params": [torch.nn.Parameter(torch.zeros(2))]}], EIGHT)
    with pytest.raises(InputError, match="adamw8bit"):
        TrainOptions(optimizer="sgd")


def test_moments_are_bytes_and_steps_like_those_of_32_bits():
    pytest.importorskip("bitsandbytes")
    weights = {}
    for name in ("adamw", "adamw8bit"):
        large = torch.nn.Parameter(torch.linspace(-1, 1, 8192).view(64, 128))
        made = make_optimizer(
            [{"params": [large], "weight_decay": 0.1}], TrainOptions(optimizer=name, learning_rate=1e-2)
        )
        for step in range(5):
            ((large - 0.1 * step) ** 2).sum().backward()
            made.step()
            made.zero_grad()
        weights[name] = large.detach()
    assert made.state[large]["state1"].dtype == torch.uint8
    moved = (weights["adamw"] - torch.linspace(-1, 1, 8192).view(64, 128)).abs().mean()
    assert (weights["adamw"] - weights["adamw8bit"]).abs().mean() < 0.1 * moved


def test_a_run_with_eight_bits_goes_on_to_the_same_losses(tiny, tmp_path):
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    changes = {"train__optimizer": "adamw8bit", "model__width": 64, "run__validation": 0, "train__warm_up": 1}
    losses = {}
    for name, stops in (("whole", (4,)), ("stopped", (2, 4))):
        for steps in stops:  # the rate of each step is the same whatever the end
            config = tiny("base", train__steps=steps, train__last_rate=1.0, run__out=str(tmp_path / name), **changes)
            train_stage(config)
        lines = [json.loads(line) for line in (config.folder / "log.jsonl").read_text().splitlines()]
        losses[name] = [line["loss"] for line in lines if "loss" in line]
    assert losses["whole"] == losses["stopped"] and len(losses["whole"]) == 4
    kept = load_file(config.folder / "checkpoints" / "step-00000004" / "optimizer.safetensors")
    assert any(x.dtype == torch.uint8 for x in kept.values())
