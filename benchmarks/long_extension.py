"""Extends seeded scenes to 120 frames, chunk by chunk, with and without far context: how soon is a side forgotten?

    python benchmarks/long_extension.py MODEL.safetensors -o OUT [--scenes 4] [--times 120] [--plot FILE.png]

8 views; row 0 and column 0 are given. A chunk sees the last 4 finished columns and the row's new frames. With far
context it also sees the first column: as known cells, and as what says how a view sees the row. Without it both come
from the columns that were made before, so that errors pass on. A refiner's proposals are made for every chunk:

1. the last finished column, moved as the row moves;
2. the row's frames seen from the view, by the flow between the views of the far column, or of the last finished one.

Figures are PSNR over views 1 to 7, means over scenes; a scene that is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fourreal_core.flow.flow_cache import FlowCache  # noqa: E402
from fourreal_core.flow.flow_field import warp  # noqa: E402
from fourreal_core.media import prepare_folder, save_image, write_bytes  # noqa: E402
from fourreal_core.media.line_plot import line_plot  # noqa: E402
from fourreal_core.metrics import psnr  # noqa: E402
from fourreal_core.model.codec import SpaceToDepth  # noqa: E402
from fourreal_core.model.model4d import Model4D  # noqa: E402
from fourreal_core.model.model_file import load_model  # noqa: E402
from fourreal_core.proposals.blending import blend_by_error  # noqa: E402
from fourreal_core.proposals.flow_candidates import INVERTED  # noqa: E402
from fourreal_core.proposals.grid_proposals import BLEND_DOUBT_GRAY, ERROR_GRAY, propose_planes  # noqa: E402
from fourreal_core.proposals.plane_names import (  # noqa: E402
    BLEND,
    FLOW_BACK,
    FROM_TIME,
    FROM_VIEW,
    RELIABILITY,
)
from fourreal_core.sampling.chunks import Chunk, ChunkOptions, plan_chunks  # noqa: E402
from fourreal_core.sampling.extend import StartClips, extend, model_completer  # noqa: E402
from fourreal_core.sampling.rectified_flow import SamplingOptions  # noqa: E402
from fourreal_core.sampling.stores import ChunkStore, MemoryStore  # noqa: E402
from fourreal_core.synthetic.grids import GridOptions, make_grid  # noqa: E402

VIEWS, KEEP = 8, 4
MODES = {"far context": "first", "no far context": "none"}


def chunk_proposals(
    clips: Tensor, column: Tensor, store: ChunkStore, far: bool, codec: SpaceToDepth, names: tuple[str, ...]
) -> Callable[[Chunk], Tensor]:
    """Makes a chunk's ``(1, v, t, P * C, h, w)`` proposals.

    Args:
        clips: ``(T, H, W, 3)``, row 0.
        column: ``(V, H, W, 3)``, column 0.
        store: With the chunks before.
        far: Whether column 0 says how a view sees the row.
        codec: Frames to latents.
        names: Planes that the model takes.
    """
    flows = FlowCache(column[:, None], torch.ones(len(column), 1, dtype=torch.bool))

    def proposals(chunk: Chunk) -> Tensor:
        times, views = list(chunk.window.times), list(chunk.window.views)
        last = max([t for t in times if t < chunk.new_times[0]], default=0)
        kept = (
            column
            if last == 0
            else torch.cat([clips[last][None], codec.decode(store.read([(v, last) for v in views[1:]])).clamp(0, 1)])
        )
        moved_times = [last, *(t for t in times if t > last)]
        moved = propose_planes(names, kept, clips[moved_times])
        if far and last > 0:
            seen = [np.stack([_seen(f.numpy(), flows, v) for f in clips[moved_times]]) for v in views]
            moved = with_seen(moved, names, torch.from_numpy(np.stack(seen)).clamp(0, 1))
        made = kept[None, :, None].repeat(len(names), 1, len(times), 1, 1, 1)  # earlier times are known cells
        made[:, :, [times.index(t) for t in moved_times]] = moved
        return codec.encode(made).movedim(0, 2).flatten(2, 3)[None]

    return proposals


def _seen(frame: np.ndarray, flows: FlowCache, view: int) -> np.ndarray:
    return frame if view == 0 else warp(frame, flows((view, 0), (0, 0)).best)


def with_seen(planes: Tensor, names: tuple[str, ...], seen: Tensor) -> Tensor:
    """Planes ``(P, V, T, H, W, 3)`` with another picture of how the row is seen ``(V, T, H, W, 3)``.

    It takes the place of what is seen from the view, and of the candidate that is closest to it.
    """
    found = planes.clone()
    for name in (FROM_TIME, f"{FROM_TIME}/{FLOW_BACK}", f"{FROM_TIME}/{INVERTED[1]}"):
        if name in names:
            found[names.index(name)] = seen
    if BLEND in names and RELIABILITY in names:
        errors = [found[names.index(RELIABILITY), ..., k].numpy() * ERROR_GRAY for k in (0, 1)]
        parts = [found[names.index(name)].numpy() for name in (FROM_VIEW, FROM_TIME)]
        found[names.index(BLEND)] = torch.from_numpy(blend_by_error(parts, errors, BLEND_DOUBT_GRAY)[0])
    return found


@torch.no_grad()
def run_scene(model: Model4D, index: int, times: int, mode: str) -> list[list[float]]:
    """PSNR of every time ``[T]`` over views 1 to 7, and the chunk ``[T]`` in which it was made."""
    truth = make_grid("test", index, GridOptions(VIEWS, times), flows=False).frames
    codec = SpaceToDepth(model.spec.dit.subpixel)
    plan = plan_chunks(VIEWS, times, ChunkOptions(keep=KEEP, far=MODES[mode]))
    store = MemoryStore(plan)
    given = StartClips(codec.encode(truth[:, 0]), codec.encode(truth[0]))
    proposal = None
    if model.spec.dit.proposals:
        proposal = chunk_proposals(truth[0], truth[:, 0], store, mode == "far context", codec, model.spec.dit.proposals)
    extend(
        plan,
        given,
        model_completer(model, SamplingOptions(steps=1), proposal=proposal),
        store,
        seed=index,
        on_step=lambda done, total, preview=None: print(
            f"scene {index}, {mode}: chunk {done} of {total}", file=sys.stderr, end="\r", flush=True
        ),
    )
    made = codec.decode(store.read([(v, t) for v in range(1, VIEWS) for t in range(1, times)])).clamp(0, 1)
    made = made.unflatten(0, (VIEWS - 1, times - 1))
    finished = plan.finished_by()
    figures = [
        sum(psnr(made[v - 1, t - 1], truth[v, t]) for v in range(1, VIEWS)) / (VIEWS - 1) for t in range(1, times)
    ]
    return [figures, [finished[1, t] for t in range(1, times)]]


def by_chunk(runs: list[list[list[float]]]) -> tuple[list[float], list[float]]:
    """The last time of every chunk, and the mean PSNR in it over scenes."""
    chunks = runs[0][1]
    places, values = [], []
    for chunk in sorted(set(chunks)):
        of_chunk = [k for k, c in enumerate(chunks) if c == chunk]
        places.append(of_chunk[-1] + 1.0)
        values.append(sum(run[0][k] for run in runs for k in of_chunk) / (len(runs) * len(of_chunk)))
    return places, values


def main() -> None:
    """Runs every scene in both ways, prints the means and draws the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of results, one file a scene and way")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--first", type=int, default=1000, help="number of the first scene in the split test")
    parser.add_argument("--times", type=int, default=120)
    parser.add_argument("--plot", type=Path, metavar="PNG")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, out = load_model(args.model), prepare_folder(args.out)
    curves = {}
    for mode in MODES:
        runs = []
        for index in range(args.first, args.first + args.scenes):
            path = out / f"{mode.replace(' ', '_')}_{index}_{args.times}.json"
            if not path.exists():
                write_bytes(path, json.dumps(run_scene(model, index, args.times, mode)).encode())
            runs.append(json.loads(path.read_text(encoding="utf-8")))
        places, values = curves[mode] = by_chunk(runs)
        mean = sum(sum(run[0]) for run in runs) / sum(len(run[0]) for run in runs)
        print(f"{mode}: {len(values)} chunks, mean {mean:.2f} dB; by chunk " + " ".join(f"{v:.2f}" for v in values))
    write_bytes(out / "curves.json", json.dumps(curves, indent=1).encode())
    if args.plot:
        save_image(line_plot(curves, "last frame of the chunk", "PSNR of the chunk in dB"), args.plot)


if __name__ == "__main__":
    main()
