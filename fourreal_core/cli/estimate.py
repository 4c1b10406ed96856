"""``fourreal train --estimate``: what a stage would take, in a few lines."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.devices import Device
    from ..training.estimate import StepEstimate
    from ..training.options import TrainingConfig


def add_estimate_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    group = parser.add_argument_group("estimate")
    group.add_argument(
        "--estimate", action="store_true", help="say what memory, operations and time the stage would take, and end"
    )
    group.add_argument("--device", metavar="NAME", help="a device to reckon with (default: all that are known)")
    group.add_argument("--tflops", type=float, metavar="N", help="10^12 operations a second of the device, bfloat16")
    group.add_argument("--memory", type=float, metavar="GB", help="memory of the device, in 10^9 bytes")
    group.add_argument(
        "--share", type=float, metavar="N", help="share of the device's operations that is reached (default 0.4)"
    )


def tell_estimate(config: TrainingConfig, args: argparse.Namespace) -> None:
    """Prints an estimate.

    Raises:
        InputError: A device that isn't known, or a stage that can't be trained.
    """
    from ..training.devices import DEVICES, SHARE, device_named
    from ..training.estimate import estimate_step

    chosen = args.device or args.tflops or args.memory
    devices = [device_named(args.device, args.tflops, args.memory)] if chosen else list(DEVICES.values())
    share = SHARE if args.share is None else args.share
    made = estimate_step(config)
    rows = [_on(device, made, config, share) for device in devices]
    if args.json:
        print(json.dumps(asdict(made) | {"memory": made.memory, "share": share, "devices": rows}))
        return
    print(_words(config, made))
    for device, row in zip(devices, rows, strict=True):
        fits = "fits" if row["fits"] else "too small"
        encoding = f", encoding {row['grids_an_hour']:,.0f} grids an hour" if made.encoding_flop else ""
        print(
            f"  {device.name:<14}{device.tflops:>6.0f} TFLOP/s {device.memory_gb:>4.0f} GB  {fits:<9}"
            f"{row['seconds']:>8.2f} s a step, {row['hours']:,.1f} h{encoding}"
        )


def _on(device: Device, made: StepEstimate, config: TrainingConfig, share: float) -> dict[str, Any]:
    seconds = device.seconds(made.flop, share)
    encoding = device.seconds(made.encoding_flop, share)
    return {
        "device": device.name,
        "fits": device.holds(made.memory),
        "seconds": seconds,
        "hours": seconds * config.train.steps / 3600,
        "grids_an_hour": 3600 / encoding if encoding else None,
    }


def _words(config: TrainingConfig, made: StepEstimate) -> str:
    train, size = config.train, config.data.size
    recompute = "recomputed in the backward pass" if train.checkpointing else "all kept"
    views, times = max(train.windows, key=lambda w: w[0] * w[1])
    encoding = f"; {made.encoding_flop / 1e12:.1f} TFLOP for the VAE to encode one" if made.encoding_flop else ""
    return (
        f"{config.stage}: {views} x {times} cells of {size[1]} x {size[0]}, {made.tokens:,} tokens a grid, batch "
        f"{train.batch} in parts of {min(train.micro_batch, train.batch)}{encoding}\n"
        f"parameters {made.parameters / 1e6:,.0f} M, trained {made.trained / 1e6:,.1f} M\n"
        f"memory {made.memory / 1e9:.1f} GB: weights {made.weights / 1e9:.1f}, optimizer and average "
        f"{made.optimizer / 1e9:.1f}, gradients {made.gradients / 1e9:.1f}, activations {made.activations / 1e9:.1f} "
        f"({recompute}); a GPU's libraries take some more\n"
        f"{made.flop / 1e12:,.1f} TFLOP a step, {train.steps:,} steps"
    )
