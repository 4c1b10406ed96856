"""What a stage is said to take, against what a tiny one really takes."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.model4d import Model4D
from fourreal_core.training.config_file import parse_config, read_config
from fourreal_core.training.devices import DEVICES, device_named
from fourreal_core.training.diffusers_bases import SyncedVideos
from fourreal_core.training.estimate import check_memory, estimate_step, optimizer_bytes
from fourreal_core.training.live_memory import LiveMemory
from fourreal_core.training.objective import grid_loss
from fourreal_core.training.preparing import choose_trained

from .tiny_bases import TEXT, library

OWN = """
[model]
width = 64
layers = 3
heads = 4
patch = 8
conv_width = 8
[data]
cache = "nowhere"
size = [64, 64]
[train]
batch = 4
micro_batch = 2
windows = [[3, 4]]
precision = "float32"
trains = "all"
ema = 0.0
"""
WAN = {"_class_name": "WanTransformer3DModel", "patch_size": [1, 2, 2], "num_attention_heads": 4, "text_dim": TEXT,
       "attention_head_dim": 24, "in_channels": 16, "out_channels": 16, "freq_dim": 16, "ffn_dim": 256,
       "num_layers": 4}  # fmt: skip


def own(**changes):
    return parse_config(OWN, "finetune4d", changes={k.replace("__", "."): v for k, v in changes.items()})


@pytest.fixture
def wan(tmp_path):
    library()
    (tmp_path / "config.json").write_text(json.dumps(WAN))
    text = OWN.replace('cache = "nowhere"', 'latents = "nowhere"').replace('"all"', '"sync"')
    text += f'[base]\ntransformer = "{tmp_path.as_posix()}"\nvae = "nowhere"\n'

    def make(**changes):
        return parse_config(text, "finetune4d", changes={k.replace("__", "."): v for k, v in changes.items()})

    return make


def real(config):
    """The same model, inputs and loss with contents; made for a forward and a backward pass."""
    torch.manual_seed(0)
    if config.base.transformer:
        settings = {k: v for k, v in WAN.items() if not k.startswith("_")}
        model = SyncedVideos(library().WanTransformer3DModel(**settings), config.model.variant)
        shape, text = (2, 3, 4, 16, 8, 8), torch.randn(2, 1, TEXT)
    else:
        model, shape, text = Model4D(config.model), (2, 3, 4, 3, 64, 64), None
    trained = choose_trained(model, config)
    clean, known = torch.randn(shape), torch.zeros(shape[:3], dtype=torch.bool)
    inputs = GridInputs(torch.randn(shape), torch.full(shape[:3], 0.5), known, text=text)

    def step() -> None:
        prediction = "velocity" if config.base.transformer else config.model.dit.prediction
        grid_loss(model(inputs), clean, clean, known, prediction).mean().backward()

    return model, trained, step


def peak_of_profiler(step) -> int:
    """The most bytes that the allocator had given out at once, as the profiler heard of it, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as heard:
        step()
    changes = [(e.start_ns(), e.nbytes()) for e in heard.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for _, change in sorted(changes, key=lambda c: c[0]):
        live += change
        peak = max(peak, live)
    return peak


def scores_flop(layers: int, width: int, tokens: int) -> int:
    """One product of queries and keys a layer, in two grids' columns of 3 and rows of 4 frames."""
    return 2 * layers * 2 * width * (3 * (4 * tokens) ** 2 + 4 * (3 * tokens) ** 2)


@pytest.mark.parametrize(("kind", "checkpointing"), [("own", False), ("wan", False), ("wan", True)])
def test_operations_and_memory_are_those_of_a_real_step(wan, kind, checkpointing):
    config = {"own": own, "wan": wan}[kind](train__checkpointing=checkpointing)
    made = estimate_step(config)
    model, trained, step = real(config)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        step()
    # attention by plain products keeps its scores, where the one that is reckoned with computes them again
    again = scores_flop(3, 64, 64) if kind == "own" else scores_flop(4, 96, 16)
    close = 0.002 if kind == "own" else 0.01  # in the first block of a frozen base nothing is computed backward
    assert made.flop == pytest.approx(2 * (counted.get_total_flops() + again), rel=close)
    assert made.parameters == sum(p.numel() for p in model.parameters())
    assert made.trained == sum(p.numel() for p in trained.values())
    assert made.weights == sum(p.nbytes for p in model.parameters()) and made.gradients == 4 * made.trained
    assert made.activations == pytest.approx(peak_of_profiler(step), rel=0.1)


def test_live_memory_counts_what_lives():
    there = torch.zeros(1000)
    with LiveMemory() as memory:
        a = torch.zeros(250)  # 1000 bytes
        b = a.view(5, 50).T  # a view
        c = there[10:]  # of what was there
        d = torch.cat([a, a])
        assert memory.live == 3000 and memory.peak == 3000
        del d
        e = a + 1
        assert memory.live == 2000 and memory.peak == 3000
        del a
        assert memory.live == 2000  # the view holds it
        del b, c, e
    assert memory.live == 0


def test_moments_of_eight_bits():
    config = own()
    assert optimizer_bytes(config, 100, 80) == 800
    assert optimizer_bytes(own(train__ema=0.9), 100, 80) == 1200
    assert optimizer_bytes(own(train__optimizer="adamw8bit"), 100, 80) == 2 * 80 + 8 * 20


def test_too_little_memory_is_a_sentence(wan):
    config = wan()
    needed = estimate_step(config).memory
    check_memory(config, needed, "this machine")
    with pytest.raises(InputError, match=r"GB of memory on this machine.*checkpointing = true.*micro_batch = 1"):
        check_memory(config, needed - 1, "this machine")


def test_devices_by_name_and_by_numbers():
    assert device_named("H100") is not None and device_named("h100").memory_gb == DEVICES["h100"].memory_gb
    assert device_named(None, 100, 10).seconds(4e13) == 1.0
    assert device_named("rtx-4090", memory_gb=48).memory_gb == 48
    with pytest.raises(InputError, match="one of h200"):
        device_named("abacus")
    with pytest.raises(InputError, match="more than 0"):
        device_named("abacus", 0, 1)


def test_the_command_says_it_and_does_not_start(tmp_path, capfd):
    (tmp_path / "own.toml").write_text(OWN)
    command = ["train", "finetune4d", "--config", str(tmp_path / "own.toml"), "--estimate"]
    assert main([*command, "--device", "rtx-3090"]) == 0
    said = capfd.readouterr().out
    assert "3 x 4 cells of 64 x 64, 768 tokens a grid" in said and "rtx-3090" in said and "h100" not in said
    assert main([*command, "--json"]) == 0
    made = json.loads(capfd.readouterr().out)
    assert made["memory"] > made["activations"] and len(made["devices"]) == len(DEVICES)
    assert main([*command, "--device", "abacus"]) == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["wan22_sync", "ltx_sync"])
def test_the_configurations_are_read(name):
    from pathlib import Path

    config = read_config(Path(__file__).parents[2] / "configs" / f"{name}.toml", "finetune4d")
    assert config.base.architecture and config.train.checkpointing
