"""Pictures of a comparison: what each row makes of some scenes, and how strongly the sync layers act.

    python benchmarks/ablation_pictures.py benchmarks/ablations.toml -o docs/images [--grids 5 11] [--set KEY=VALUE ...]

``ablation_scene_N.png``: a method a line, cells far from the given ones side by side. ``sync_strength.png``: by layer,
of the refiner, the soft and the hard model as trained, and their untrained rules, over the comparison's first grids
(the paper's Figure 3; supplement 2). Rows that are not trained yet are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fourreal_core.cli.changes import add_changes, changes_of  # noqa: E402
from fourreal_core.media import prepare_folder, save_image, write_bytes  # noqa: E402
from fourreal_core.media.images import to_float as picture_to_float  # noqa: E402
from fourreal_core.media.images import to_uint8  # noqa: E402
from fourreal_core.media.line_plot import line_plot  # noqa: E402
from fourreal_core.model.sync_strength import recorded_sync  # noqa: E402
from fourreal_core.proposals.grid_proposals import propose_planes  # noqa: E402
from fourreal_core.proposals.plane_names import PLANE_SETS  # noqa: E402
from fourreal_core.synthetic.scene import to_float  # noqa: E402
from fourreal_core.training.completions import complete_frames  # noqa: E402
from fourreal_core.training.data.cache import CachedGrids  # noqa: E402
from fourreal_core.training.experiments.ablation import Ablation, read_ablation  # noqa: E402

CELLS = ((2, 2), (3, 6), (6, 3), (7, 7))
STRENGTHS = {
    "refiner (soft, trained)": "refiner",
    "soft, trained": "parallel soft, trained",
    "hard, trained": "parallel hard, trained",
    "soft, untrained": "parallel soft, untrained",
    "hard, untrained": "parallel hard, untrained",
}
"""Curves of the plot, and the rows they are of."""
_LABEL, _GAP = 150, 3


def scene_lines(ablation: Ablation, index: int, truth: Tensor, wanted: set[str]) -> dict[str, Tensor]:
    """Completions by name: the truth, proposals, and every row that is trained."""
    proposals = propose_planes(PLANE_SETS["flow"], truth[:, 0], truth[0])
    lines = {
        "truth": truth,
        "frozen scene": truth[:, :1].expand_as(truth),
        "flow, moved in time": proposals[0],
        "flow, seen from the view": proposals[1],
    }
    geometric = ablation.out / "geometric" / f"{index:05d}.safetensors"
    if geometric.exists():
        lines["geometric proposal"] = to_float(load_file(geometric)["cells"])
    for row in ablation.rows:
        if (not wanted or row.name in wanted) and ablation.model_file(row).is_file():
            generator = torch.Generator().manual_seed(ablation.evaluate.seed * 1_000_003 + index)
            lines[row.name] = complete_frames(ablation.model(row), truth, generator)
    return lines


def sheet(lines: dict[str, Tensor]) -> Tensor:
    """One line a completion, its name at the left, CELLS side by side."""
    import cv2

    height, width = next(iter(lines.values())).shape[2:4]
    picture = np.full((len(lines) * (height + _GAP) + _GAP, _LABEL + len(CELLS) * (width + _GAP), 3), 255, np.uint8)
    for k, (name, frames) in enumerate(lines.items()):
        top = _GAP + k * (height + _GAP)
        words, at = _broken(name, 21), top + height // 2 - 2
        for n, text in enumerate(words):
            cv2.putText(
                picture,
                text,
                (4, at + 14 * n - 7 * (len(words) - 1) + 5),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.36,
                (30, 30, 30),
                1,
                cv2.LINE_AA,
            )
        for column, (v, t) in enumerate(CELLS):
            left = _LABEL + column * (width + _GAP)
            picture[top : top + height, left : left + width] = to_uint8(frames[v, t])
    return picture_to_float(picture)


def _broken(text: str, most: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


@torch.no_grad()
def strengths(ablation: Ablation, grids: CachedGrids, count: int) -> dict[str, list[float]]:
    """Mean relative update of both streams by layer, over first guesses."""
    found: dict[str, list[float]] = {}
    rows = {row.name: row for row in ablation.rows}
    for label, name in STRENGTHS.items():
        if name not in rows or not ablation.model_file(rows[name]).is_file():
            continue
        model = ablation.model(rows[name])
        with recorded_sync(model) as recorder:
            for index in range(count):
                complete_frames(model, to_float(grids.read(index)[0]), torch.Generator().manual_seed(index))
        found[label] = recorder.by_layer().mean(0).tolist()
    return found


def main() -> None:
    """Writes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--grids", type=int, nargs="+", default=[5, 11])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows that are shown; all when left out")
    parser.add_argument("--strength-grids", type=int, default=8)
    add_changes(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    ablation = read_ablation(args.config, changes_of(args))
    out = prepare_folder(args.out)
    grids = CachedGrids(ablation.sections["data"]["cache"], ablation.evaluate.split)
    for index in args.grids:
        lines = scene_lines(ablation, index, to_float(grids.read(index)[0]), set(args.only))
        save_image(sheet(lines), out / f"ablation_scene_{index}.png")
    found = strengths(ablation, grids, args.strength_grids)
    for label, values in found.items():
        print(f"{label}: " + " ".join(f"{value:.3f}" for value in values))
    if found:
        curves = {label: (list(range(1, len(values) + 1)), values) for label, values in found.items()}
        save_image(line_plot(curves, "layer", "strength |x' - y| / |y|"), out / "sync_strength.png")
        write_bytes(ablation.out / "results" / "sync_strength.json", json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()
