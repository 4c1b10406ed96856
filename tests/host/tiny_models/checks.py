"""What the checks of the nodes share; everything runs inside the host's interpreter."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import comfy.sd
import families
import host_process
import torch
from families import TIMES, VIEWS

PIXELS = 32


def node(module: str, name: str) -> Any:
    return getattr(host_process.part(f"nodes.{module}"), name)


def outputs(made: Any) -> tuple[Any, ...]:
    return made.result if hasattr(made, "result") else made.args


def grid(size: int = PIXELS, known: torch.Tensor | None = None) -> Any:
    frame_grid = host_process.part("fourreal_core.grid").FrameGrid
    frames = torch.rand(VIEWS, TIMES, size, size, 3, generator=torch.Generator().manual_seed(9))
    if known is None:
        known = torch.zeros(VIEWS, TIMES, dtype=torch.bool)
        known[0] = known[:, 0] = True
    frames = frames * known[:, :, None, None, None]
    return frame_grid(frames, known, torch.ones(size, size, dtype=torch.bool))


def tiny_vae() -> Any:
    """The host's Wan 2.1 VAE with random weights, narrow where the host can read the width from the weights."""
    from comfy.ldm.wan.vae import WanVAE

    width = 8 if "conv_out_channels" in inspect.signature(WanVAE.__init__).parameters else 96
    module = WanVAE(
        dim=width,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        attn_scales=[],
        temperal_downsample=[False, True, True],
        dropout=0.0,
    )
    generator = torch.Generator().manual_seed(0)
    return comfy.sd.VAE(
        sd={
            name: torch.randn(x.shape, generator=generator) / max(1, x[0].numel()) ** 0.5
            for name, x in module.state_dict().items()
        }
    )


class FakeVae:
    """Any number of channels, no memory of other frames: eight-fold smaller averages, repeated."""

    def __init__(self, channels: int) -> None:
        self.channels, self.seen = channels, []

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(pixels.shape))
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return small.repeat(1, -(-self.channels // 3), 1, 1)[:, : self.channels, None]


def prepared(name: str, **settings: Any) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    model = families.build(name, torch.float32)
    return outputs(
        node("freeze_time_conditioning", "FreezeTimeConditioning").execute(
            model,
            FakeVae(families.FAMILIES[name].channels),
            grid(),
            families.conditioning(name, 3),
            families.conditioning(name, 4),
            **settings,
        )
    )[:3]


@contextlib.contextmanager
def refused(*words: str) -> Iterator[None]:
    """The block must raise InputError with these words in it, and leave no thread behind."""
    try:
        yield
    except ValueError as error:
        assert type(error).__name__ == "InputError", repr(error)
        missing = [word for word in words if word not in str(error)]
        assert not missing, (missing, str(error))
    else:
        raise AssertionError(f"nothing was refused; expected {words}")
    assert not left_over()


def left_over() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("4Real")]


def apply_sync(model: Any, **settings: Any) -> Any:
    return outputs(node("parallel_sync", "ApplyParallelSync").execute(model, **{"variant": "soft"} | settings))[0]


def run_checks(checks: dict[str, Any]) -> None:
    """Runs the functions ``check_...`` of a script, or those that PROBE_ONLY names, and reports each in a line."""
    logging.disable(logging.WARNING)
    torch.backends.mkldnn.enabled = False
    wanted = os.environ.get("PROBE_ONLY", "").split()
    for name, check in list(checks.items()):
        if not name.startswith("check_") or (wanted and name.removeprefix("check_") not in wanted):
            continue
        line: dict[str, Any] = {"name": name.removeprefix("check_"), "measured": {}}
        try:
            with torch.inference_mode():
                check()
        except BaseException:  # noqa: BLE001 - the test shows it; cancelling is no Exception on newer hosts
            line = {"name": name.removeprefix("check_"), "failed": traceback.format_exc()[-3000:]}
        print("PROBE " + json.dumps(line), flush=True)
