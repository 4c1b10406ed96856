#!/usr/bin/env python3
"""Makes the scorer that chooses among a cell's candidates, and says what each part of the choice is worth.

    python benchmarks/candidate_scorer.py worlds -o CELLS [--only NAME ...]
    python benchmarks/candidate_scorer.py train CELLS -o scorer.safetensors
    python benchmarks/candidate_scorer.py grids GRIDS -o REAL
    python benchmarks/candidate_scorer.py ablate REAL [--scorer scorer.safetensors]

``worlds`` renders procedural worlds of every family, spoils their views as those of video generators are (light,
blur, noise, small warps, and bent views), builds the scene of each from row 0 and column 0, and stores what is measured
of the candidates of eight cells beside their true errors; worlds that are there already are kept. ``train`` learns from
them: this is how the packaged scorer was made, and no real grid takes part. ``grids`` stores cells of real grids (see
real_grids.py) made smaller to WIDTH pixels, and ``ablate`` takes one part after the other out of their choice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import real_grids
import torch
import torch.nn.functional as F
from torch import Tensor

from fourreal_core import media
from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import psnr
from fourreal_core.proposals.candidate_features import candidate_features
from fourreal_core.proposals.candidate_scorer import PACKAGED, CandidateScorer, load_scorer
from fourreal_core.proposals.cell_candidates import KINDS
from fourreal_core.proposals.coherent_choice import ChoiceOptions, choose, draw_choice
from fourreal_core.proposals.complete_grid import ProposalOptions, SourceReader, propose_cell
from fourreal_core.proposals.scene_candidates import SceneCandidates
from fourreal_core.proposals.scored_proposal import ScoredCells
from fourreal_core.scene.pixel_points import pixel_points
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.training.scorer_training import ScoredPixels, ScorerOptions, color_errors, train_scorer

WIDTH, SIDE, CELLS, PIXELS = 256, 8, 8, 3000
WORLDS = (
    *("quadruped-1", "biped-2", "bird-3", "blob-4", "vehicle-5", "robot arm-6", "cloth-7", "arms-8", "tumbling-9"),
    *("insect-10", "mill-11", "fish-12", "stacked-13", "ribbon-14", "snake-15", "pendulum-16", "bouncing-17"),
    *("gears-18", "quadruped-19", "biped-20", "vehicle-21", "arms-22", "robot arm-23", "blob-24", "bird-25"),
    *("biped-26", "quadruped-27", "tumbling-28", "cloth-29", "insect-30"),
)
"""Family and seed of the worlds that the packaged scorer learned from."""
WITHOUT = {"all": (), **{f"without {kind}": (kind,) for kind in KINDS}, "without the row's": KINDS[5:10]}


def main() -> int:
    """Runs one of the four commands."""
    args = _parser().parse_args()
    try:
        args.run(args)
    except InputError as err:
        print(f"candidate_scorer: {err}", file=sys.stderr)
        return 2
    return 0


def worlds(args: argparse.Namespace) -> None:
    """Stores samples of the procedural worlds."""
    out = media.prepare_folder(args.out)
    for name in args.only or WORLDS:
        path = out / f"{name}.npz"
        if path.exists():
            continue
        grid, truth = world(name)
        rng = np.random.default_rng(sum(map(ord, name)))
        features, errors = [], []
        for found in cells_of(grid, some_cells(~grid.known, rng)):
            off = color_errors(found["candidates"], truth[found["cell"]].numpy()).reshape(len(KINDS), -1)
            chosen = rng.choice(off.shape[1], PIXELS, replace=False)
            features.append(found["features"].reshape(*off.shape, -1)[:, chosen])
            errors.append(off[:, chosen])
        arrays = {"features": np.concatenate(features, 1), "errors": np.concatenate(errors, 1)}
        np.savez(path, **{key: value.astype(np.float16) for key, value in arrays.items()})
        print(f"{name}: {len(features)} cells", flush=True)


def train(args: argparse.Namespace) -> None:
    """Trains a scorer on stored worlds."""
    paths = sorted(args.cells.glob("*.npz"))
    if not paths:
        raise InputError(f"no worlds in {args.cells}", "files NAME.npz", "make them with 'worlds'")
    samples = []
    for path in paths:
        with np.load(path) as stored:
            samples.append(ScoredPixels(stored["features"].astype(np.float32), stored["errors"].astype(np.float32)))
    scorer = train_scorer(samples, ScorerOptions(seed=args.seed))
    scorer.save(media.output_path(args.out.parent, args.out.name))
    print(f"{len(paths)} worlds, {sum(s.errors.shape[1] for s in samples)} pixels -> {args.out}")


def grids(args: argparse.Namespace) -> None:
    """Stores cells of real grids, with the hand-set rule's answer."""
    out = media.prepare_folder(args.out)
    for folder in sorted(path.parent for path in args.grids.glob("*/grid.json")):
        path = out / f"{folder.name}.npz"
        if path.exists():
            continue
        grid, truth, targets = real_grid(folder)
        stored: dict[str, list[Any]] = {key: [] for key in ("colors", "features", "truth", "verified", "frozen")}
        for found in cells_of(grid, some_cells(targets, np.random.default_rng(5)), verified=True):
            stored["colors"].append(found["candidates"].colors)
            stored["features"].append(found["features"])
            stored["truth"].append(truth[found["cell"]].numpy())
            stored["verified"].append(found["verified"])
            stored["frozen"].append(grid.frames[found["cell"][0], 0].numpy())
        np.savez(path, valid=grid.valid.numpy(), **{k: np.stack(v).astype(np.float16) for k, v in stored.items()})
        print(f"{folder.name}: {len(stored['truth'])} cells", flush=True)


def ablate(args: argparse.Namespace) -> None:
    """Prints mean PSNR over grids with all parts, and without one after the other."""
    scorer = load_scorer(args.scorer)
    rows: dict[str, list[list[float]]] = {}
    for path in sorted(args.cells.glob("*.npz")):
        with np.load(path) as stored:
            cells = {key: stored[key].astype(np.float32) for key in stored.files}
        found: dict[str, list[float]] = {}
        for k, truth in enumerate(cells["truth"]):
            made = {"frozen": cells["frozen"][k], "verified by hand-set rules": cells["verified"][k]}
            made |= choices(scorer, cells["colors"][k], cells["features"][k])
            for name, picture in made.items():
                figure = psnr(torch.from_numpy(picture), torch.from_numpy(truth), torch.from_numpy(cells["valid"] > 0))
                found.setdefault(name, []).append(figure)
        for name, figures in found.items():
            rows.setdefault(name, []).append(figures)
    for name, each in rows.items():
        print(f"{name:32s} {np.mean([np.mean(figures) for figures in each]):6.2f} dB", flush=True)


def choices(scorer: CandidateScorer, colors: np.ndarray, features: np.ndarray) -> dict[str, np.ndarray]:
    """One cell's picture with all parts of the choice, and without each."""
    made = {}
    for name, without in WITHOUT.items():
        kept = np.array([k for k, kind in enumerate(KINDS) if kind not in without])
        made[name] = drawn(colors[kept], scorer.scores(features[kept], kept), ChoiceOptions())
    scores = scorer.scores(features, np.arange(len(KINDS)))
    made["weighted mean alone"] = drawn(colors, scores, ChoiceOptions(detail_px=0))
    made["coherent choice by message passing"] = drawn(colors, scores, ChoiceOptions(rounds=4))
    made["best of each pixel alone"] = drawn(colors, scores, ChoiceOptions(detail_px=1e4))
    made["all candidates alike"] = drawn(colors, np.zeros_like(scores), ChoiceOptions(detail_px=0))
    return {name: picture.clip(0, 1) for name, picture in made.items()}


def drawn(colors: np.ndarray, scores: np.ndarray, options: ChoiceOptions) -> np.ndarray:
    """The picture that is made of scored candidates."""
    return draw_choice(choose(colors, scores, options), colors.__getitem__, colors.shape[1:3], options)


def world(name: str) -> tuple[FrameGrid, Tensor]:
    """A procedural world whose views disagree: its row 0 and column 0, and all its frames."""
    from fourreal_core.synthetic.grids import random_scene
    from fourreal_core.synthetic.mesh_renderer import RenderOptions, render
    from fourreal_core.synthetic.random_choices import SceneRng, scene_seed
    from fourreal_core.synthetic.view_errors import ViewErrors

    family, _, number = name.rpartition("-")
    seed, size, phases = int(number), (WIDTH * 9 // 16, WIDTH), np.linspace(0, 1, SIDE, dtype=np.float32)
    rng = np.random.default_rng(seed)
    bent = float(rng.choice([0.3, 0.8, 1.5])) * WIDTH / 512
    scene = random_scene(family, SceneRng(scene_seed("train", seed)), phases, phases, size)
    scene = replace(scene, view_errors=ViewErrors.random(SceneRng(seed + 1), SIDE, bent))
    frames = torch.from_numpy(spoilt(render(scene, RenderOptions()).frames.numpy(), rng))
    return FrameGrid.from_clips(frames[:, 0], frames[0], torch.ones(size, dtype=torch.bool)), frames


def spoilt(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames ``(V, T, H, W, 3)`` whose views differ from view 0 in light, sharpness and, cell by cell, in place."""
    out, (height, width) = frames.copy(), frames.shape[2:4]
    y, x = np.mgrid[:height, :width].astype(np.float32)

    def smooth(amount: float, count: int) -> np.ndarray:
        coarse = rng.normal(size=(count, 2 * count)).astype(np.float32) * amount
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    strength = rng.uniform(0, 1)
    for view in range(len(frames)):
        blur = rng.uniform(0, 0.9) * strength if view else 0.0
        light = 1 + smooth(0.03 * strength, 3) if view else np.ones((height, width), np.float32)
        for time in range(frames.shape[1]):
            picture = out[view, time]
            if view and time:
                dx, dy = (smooth(0.35 * strength * width / 256, 4) for _ in range(2))
                picture = cv2.remap(picture, x + dx, y + dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            if blur > 0.15:
                picture = cv2.GaussianBlur(picture, (0, 0), blur)
            noise = rng.normal(size=picture.shape).astype(np.float32) * 0.006
            out[view, time] = picture * light[..., None] + noise
    return (np.round(out.clip(0, 1) * 255) / 255).astype(np.float32)


def real_grid(folder: Path) -> tuple[FrameGrid, Tensor, Tensor]:
    """A real grid's row 0 and column 0 at WIDTH pixels, its frames, and which of them are targets."""
    grid = real_grids.load_grid(folder, "complete", clips=False)
    truth, targets = torch.zeros_like(grid.frames), torch.zeros_like(grid.known)
    for v, t in json.loads((folder / "grid.json").read_text(encoding="utf-8"))["targets"]:
        truth[v, t], targets[v, t] = real_grids.read_cell(folder, v, t), True
    height, width = grid.size
    size = (height * WIDTH // width, WIDTH)

    def smaller(frames: Tensor) -> Tensor:
        flat = F.interpolate(frames.flatten(0, 1).permute(0, 3, 1, 2), size=size, mode="area")
        return flat.permute(0, 2, 3, 1).reshape(*frames.shape[:2], *size, 3).contiguous()

    frames = smaller(grid.frames)
    valid = F.interpolate(grid.valid[None, None].float(), size=size, mode="area")[0, 0] > 0.999
    return FrameGrid.from_clips(frames[:, 0], frames[0], valid), smaller(truth), targets


def cells_of(grid: FrameGrid, cells: list[tuple[int, int]], verified: bool = False) -> Iterator[dict[str, Any]]:
    """Builds the scene of a grid and measures the candidates of some of its cells."""
    from fourreal_core.pipeline import PipelineOptions, run_pipeline

    scene: Scene4D = run_pipeline(grid, PipelineOptions(seed=0, proposal=ProposalOptions(colors="splats"))).scene
    options = ProposalOptions()
    candidates = SceneCandidates(scene, grid, FlowCache(grid.frames, grid.known), options.selection)
    scored = ScoredCells(candidates, options.scored)
    for cell in cells:
        with torch.no_grad():
            reader = SourceReader(grid, pixel_points(scene, cell[0]), candidates)
            flow, covered = (each.cpu().numpy() for each in reader.scene_flow(cell[1], 0))
            group = scored.groups(cell, 0, flow, covered, render_cell(scene, *cell))
            measured = candidate_features([(each.small, each.candidates) for each in group])
            found = {"cell": cell, "candidates": group[0].candidates, "features": measured}
            if verified:
                found["verified"] = propose_cell(reader, cell, options)[0].numpy()
            yield found


def some_cells(wanted: Tensor, rng: np.random.Generator) -> list[tuple[int, int]]:
    """At most CELLS of the wanted cells, in order."""
    cells = [(int(v), int(t)) for v, t in wanted.nonzero().tolist()]
    if len(cells) <= CELLS:
        return cells
    return [cells[k] for k in sorted(rng.choice(len(cells), CELLS, replace=False))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__, help=run.__doc__)
        added.set_defaults(run=run)
        return added

    make = command(worlds)
    make.add_argument("-o", "--out", type=Path, required=True)
    make.add_argument("--only", nargs="+", metavar="NAME", help="FAMILY-SEED")
    learn = command(train)
    learn.add_argument("cells", type=Path)
    learn.add_argument("-o", "--out", type=Path, required=True)
    learn.add_argument("--seed", type=int, default=0)
    real = command(grids)
    real.add_argument("grids", type=Path)
    real.add_argument("-o", "--out", type=Path, required=True)
    without = command(ablate)
    without.add_argument("cells", type=Path)
    without.add_argument("--scorer", type=Path, default=PACKAGED)
    return parser


if __name__ == "__main__":
    sys.exit(main())
