"""Training on many GPUs, on paper and where it can be measured: FLOP and bytes a step, and how fast grids are read.

    python benchmarks/training_scale.py -o OUT [--config configs/paper.toml] [--tflops 400]

On paper: the configuration's model (parameters counted on models of one and two layers). A forward pass takes two FLOP
a parameter and token, and four times the width a layer and pair of tokens that attend to each other. The backward pass
takes as much for activations, as much again for weights where most of them are trained, and the forward pass once more
where activations are computed again. ``--tflops`` is what one GPU is taken to do in a second.

Measured: processor seconds of one thread to read a grid from shards of PNG cells at the configuration's size, and from
a cache of 64 x 64 pixels. A shard is 64 grids.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fourreal_core.model.model4d import Model4D
from fourreal_core.synthetic.grids import GridOptions, make_grid
from fourreal_core.training.config_file import read_config
from fourreal_core.training.data.assets import AssetShards, write_shard
from fourreal_core.training.data.cache import CachedGrids, CacheOptions, render_cache
from fourreal_core.training.options import TrainingConfig
from fourreal_core.training.preparing import choose_trained

_GRIDS_A_SHARD = 64
_GPUS = (8, 64)


def parameters(config: TrainingConfig) -> dict[str, int]:
    """Parameters of the whole model, of one layer of it, and of what the stage trains; no large model is made."""
    counts = {}
    for layers in (1, 2):
        spec = replace(config.model, dit=replace(config.model.dit, layers=layers))
        model = Model4D(spec, torch.Generator().manual_seed(0))
        trained = choose_trained(model, replace(config, model=spec))
        blocks = sum(
            p.numel() for name, p in model.named_parameters() if ".blocks." in name or name.startswith("blocks.")
        )
        everything = sum(p.numel() for p in model.parameters())
        counts[layers] = (everything, sum(p.numel() for p in trained.values()), blocks)
    more = config.model.dit.layers - 1
    everything, trained_all, blocks = (a + more * (b - a) for a, b in zip(counts[1], counts[2], strict=True))
    return {"all": everything, "trained": trained_all, "blocks": blocks, "a_layer": counts[2][0] - counts[1][0]}


def step_on_paper(config: TrainingConfig, tflops: float) -> dict[str, Any]:
    """FLOP and bytes of a step, and what must be read a second."""
    dit, train = config.model.dit, config.train
    views, times = train.windows[-1]
    height, width = config.data.size
    a_frame = (height // dit.patch) * (width // dit.patch)
    tokens = views * times * a_frame
    found = parameters(config)
    streams = 1 if views == 1 or config.model.variant in ("fused",) else 2
    attends = a_frame * (times if views == 1 else max(views, times))
    dense = 2 * (found["all"] + (streams - 1) * found["blocks"])
    attention = 4 * dit.width * attends * dit.layers * streams
    forward = tokens * (dense + attention)
    a_grid = forward * (2 + train.checkpointing + (found["trained"] > found["blocks"] / 2))
    pixels = views * times * height * width * 3
    step = {
        "batch": train.batch,
        "window": [views, times],
        "tokens_a_grid": tokens,
        "parameters": found,
        "tflop_a_grid": round(a_grid / 1e12, 1),
        "pflop_a_step": round(a_grid * train.batch / 1e15, 3),
        "mb_of_pixels_a_step": round(pixels * train.batch / 1e6, 1),
        "mb_of_gradients_a_step_float32": round(4 * found["trained"] / 1e6, 1),
    }
    for gpus in _GPUS:
        seconds = a_grid * train.batch / (gpus * tflops * 1e12)
        step[f"on_{gpus}_gpus"] = {
            "seconds_a_step": round(seconds, 3),
            "grids_a_second": round(train.batch / seconds, 3),
            "shards_a_second": round(train.batch / seconds / _GRIDS_A_SHARD, 5),
            "mb_of_pixels_a_second": round(pixels * train.batch / seconds / 1e6, 1),
        }
    return step


def reading(out: Path, size: tuple[int, int], count: int = 2) -> dict[str, Any]:
    """Grids and shards of 64 that one core reads in a second of its own time."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    shard = out / "assets.tar"
    if not shard.exists():
        sizes = GridOptions(8, 8, size)
        write_shard(shard, [(f"a{i}", make_grid("test", i, sizes)) for i in range(count)])
    cache = CacheOptions("test", 2 * _GRIDS_A_SHARD, _GRIDS_A_SHARD, GridOptions(8, 8, (64, 64)))
    render_cache(out / "cache", cache, 0)
    shards, cached = AssetShards([str(shard)], 8, 8, size), CachedGrids(out / "cache", "test")
    generator = torch.Generator().manual_seed(0)
    shards.draw(0, generator)
    found: dict[str, Any] = {"mb_a_grid_of_png": round(shard.stat().st_size / count / 1e6, 2)}
    for name, draw, grids in (
        ("png_shards", lambda i: shards.draw(i + 1, generator), 4 * count),
        ("cache_64", lambda i: cached.read(i % len(cached)), 512),
    ):
        start = time.process_time()
        for i in range(grids):
            draw(i)
        seconds = (time.process_time() - start) / grids
        found[name] = {
            "ms_a_grid": round(1e3 * seconds, 3),
            "grids_a_second_a_core": round(1 / seconds, 2),
            "shards_of_64_a_second_a_core": round(1 / seconds / _GRIDS_A_SHARD, 4),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/paper.toml"))
    parser.add_argument("--tflops", type=float, default=400.0)
    parser.add_argument("--no-reading", action="store_true")
    args = parser.parse_args()
    stages = {stage: read_config(args.config, stage) for stage in ("base", "finetune4d")}
    found: dict[str, Any] = {stage: step_on_paper(config, args.tflops) for stage, config in stages.items()}
    if not args.no_reading:
        found["reading"] = reading(args.out, stages["finetune4d"].data.size)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
