"""Tries a small model on real grids that were shrunk to the sizes it was made for.

    python benchmarks/real_grids_small.py GRIDS [--model FILE] [--sizes 64x64 112x64 128x80] [--json FILE]

GRIDS is a folder as benchmarks/real_grids.py describes it. Row 0 and column 0 are given, and the cells that its file
``grid.json`` names as targets are scored where ``valid.png`` is white, at the shrunk size: figures to hold the model
against its own proposals, and no others.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fourreal_core import media  # noqa: E402
from fourreal_core.cli.arguments import parse_size  # noqa: E402
from fourreal_core.errors import InputError  # noqa: E402
from fourreal_core.metrics import psnr, ssim  # noqa: E402
from fourreal_core.model.model4d import Model4D  # noqa: E402
from fourreal_core.model.model_file import load_model  # noqa: E402
from fourreal_core.model.packaged import packaged_model  # noqa: E402
from fourreal_core.proposals.grid_proposals import propose_planes  # noqa: E402
from fourreal_core.proposals.plane_names import PLANE_SETS  # noqa: E402
from fourreal_core.training.completions import complete_frames  # noqa: E402


def shrunk(folder: Path, size: tuple[int, int]) -> tuple[dict[tuple[int, int], Tensor], Tensor, list[tuple[int, int]]]:
    """The known cells of a grid at a size, the pixels that count, and the cells that are scored."""
    meta = json.loads((folder / "grid.json").read_text(encoding="utf-8"))
    cells = {}
    for view, time in meta["known"]:
        path = next(p for p in (folder / f"v{view}_t{time}.{ext}" for ext in ("png", "jpg")) if p.exists())
        cells[view, time] = media.read_image(path, size)
    valid = media.read_image(folder / "valid.png", size).amin(-1) > 0.99
    return cells, valid, [tuple(cell) for cell in meta["targets"]]


def completions(model: Model4D, cells: dict[tuple[int, int], Tensor]) -> dict[str, Tensor]:
    """What copies, both flow proposals, their mean, the verified blend and the model make of row 0 and column 0."""
    views, times = (1 + max(cell[axis] for cell in cells) for axis in (0, 1))
    column = torch.stack([cells[v, 0] for v in range(views)])
    row = torch.stack([cells[0, t] for t in range(times)])
    frames = column[:, None].repeat(1, times, 1, 1, 1)
    frames[0] = row
    two = propose_planes(PLANE_SETS["flow"], column, row)
    return {
        "frozen scene": frames,
        "moved in time": two[0],
        "seen from the view": two[1],
        "mean of both": two.mean(0),
        "verified blend": propose_planes(("blend",), column, row)[0],
        "model": complete_frames(model, frames, torch.Generator().manual_seed(0)),
    }


def main() -> int:
    """Runs every grid at every size and prints the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grids", type=Path)
    parser.add_argument("--model", type=Path, help="model file; the packaged small one when left out")
    parser.add_argument("--sizes", nargs="+", default=["64x64", "112x64", "128x80"], metavar="WxH")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {}
    try:
        model = load_model(args.model or packaged_model("small"))
        folders = sorted(path.parent for path in args.grids.glob("*/grid.json"))
        if not folders:
            raise InputError(f"no grid under {args.grids}", "folders with a grid.json", "check the path")
        for size in args.sizes:
            sums: dict[str, list[list[float]]] = {}
            for folder in folders:
                cells, valid, targets = shrunk(folder, parse_size(size))
                for name, made in completions(model, cells).items():
                    pairs = [(made[cell], cells[cell], valid) for cell in targets]
                    sums.setdefault(name, []).append(
                        [sum(f(*pair) for pair in pairs) / len(pairs) for f in (psnr, ssim)]
                    )
            found[size] = {name: torch.tensor(rows).mean(0).tolist() for name, rows in sums.items()}
            ahead = sum(a[0] > b[0] for a, b in zip(sums["model"], sums["verified blend"], strict=True))
            print(
                f"{size}: "
                + ", ".join(f"{name} {p:.2f} dB / {s:.3f}" for name, (p, s) in found[size].items())
                + f"; the model is ahead of the blend on {ahead} of {len(folders)}",
                flush=True,
            )
    except InputError as err:
        print(f"real_grids_small: {err}", file=sys.stderr)
        return 2
    if args.json:
        media.write_bytes(args.json, json.dumps(found, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
