"""``fourreal demo --model NAME``: a model that comes with the package completes a seeded scene it has never seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import DEFAULT_COUNT, parse_size

if TYPE_CHECKING:
    from torch import Tensor

    from .bars import StageBars

_SIZE = "64x64"
_COMPARED = {"frozen": "copy", "flow_in_time": "flow in time", "flow_across_views": "flow in view"}


def execute_with_model(args: argparse.Namespace) -> None:
    """Runs ``demo`` with the model that ``--model`` names: clips, grid and report as the plain demo, and no 4D scene.

    Raises:
        InputError: No such model, a size that it doesn't take, or an output folder that can't be used.
    """
    from .. import media
    from ..model.model_file import load_model
    from ..model.packaged import packaged_model
    from ..progress import StageClock
    from ..synthetic.grids import GridOptions, make_grid
    from .bars import StageBars
    from .job import finish, write_clips

    size = parse_size(args.size or _SIZE)
    model = load_model(packaged_model(args.model))
    patch = model.spec.dit.patch
    if any(side % patch for side in size):
        raise InputError(f"frames of {size[1]} x {size[0]} pixels", f"sides that {patch} divides", "change --size")
    views, times = (DEFAULT_COUNT if n is None else n for n in (args.views, args.times))
    if min(views, times) < 2:
        raise InputError(f"{views} views and {times} times", "at least 2 of each", "ask for more")
    out = media.prepare_folder(args.out)
    clock = StageClock()
    with StageBars(args.quiet) as bars:
        with clock("sample scene"):
            made = make_grid("test", args.seed, GridOptions(views, times, size))
            truth = made.frames
        with clock("clips"):  # the model sees what a video file keeps of the frames
            clips = write_clips(truth[:, 0], truth[0], out)
            freeze, fixed = (clip[:, : size[0], : size[1]] for clip in media.read_clip_pair(*clips))
        with clock("model"):
            frames = _completed(model, freeze, fixed, args.seed, bars)
        with clock("compare"):
            figures = compare_with_floors(frames, truth, made.masks, freeze, fixed)
        with clock("write"):
            _write_grid(out, frames, bars)
    report = {"command": "demo", "model": args.model, "family": made.name, **figures, **_facts(clock, args, frames)}
    finish(
        out,
        report,
        f"{len(figures['cells'])} cells made, against the truth: PSNR {report['psnr_mean']:.2f} dB, "
        f"SSIM {report['ssim_mean']:.3f} (a frozen scene: {report['psnr_mean_frozen']:.2f} dB, the better 2D flow: "
        f"{max(report['psnr_mean_flow_in_time'], report['psnr_mean_flow_across_views']):.2f} dB)",
        args,
    )


def compare_with_floors(
    frames: Tensor, truth: Tensor, subject: Tensor, freeze_time: Tensor, fixed_view: Tensor
) -> dict[str, Any]:
    """Figures of the made cells against the truth, beside what copies and 2D flow make of the same clips.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``, completed.
        truth: Of the same shape.
        subject: ``(V, T, H, W)`` bool, what moves.
        freeze_time: ``(V, H, W, 3)``, as the model saw it.
        fixed_view: ``(T, H, W, 3)``, likewise.

    Returns:
        ``psnr_mean`` and ``ssim_mean`` over the cells that were not given, ``psnr_mean_subject``, the same of each
        floor as ``psnr_mean_NAME`` and ``psnr_mean_subject_NAME``, and ``cells``, PSNR and SSIM by name.
    """
    from ..metrics import psnr, ssim
    from ..proposals.baselines import floors
    from ..training.completions import first_row_and_column

    cells = (~first_row_and_column(*truth.shape[:2])).nonzero().tolist()
    shown = [(v, t) for v, t in cells if bool(subject[v, t].any())] or cells

    def means(made: Tensor) -> tuple[float, float]:
        masked = [psnr(made[v, t], truth[v, t], subject[v, t] if bool(subject[v, t].any()) else None) for v, t in shown]
        return sum(psnr(made[v, t], truth[v, t]) for v, t in cells) / len(cells), sum(masked) / len(masked)

    given = frames.clone()
    given[:, 0], given[0] = freeze_time, fixed_view
    simple = floors(given)
    found: dict[str, Any] = dict(zip(("psnr_mean", "psnr_mean_subject"), means(frames), strict=True))
    found["ssim_mean"] = sum(ssim(frames[v, t], truth[v, t]) for v, t in cells) / len(cells)
    for name, floor in _COMPARED.items():
        found[f"psnr_mean_{name}"], found[f"psnr_mean_subject_{name}"] = means(simple[floor])
    pairs = {f"v{v}_t{t}": (frames[v, t], truth[v, t]) for v, t in cells}
    found["cells"] = {name: (round(psnr(*pair), 3), round(ssim(*pair), 4)) for name, pair in pairs.items()}
    return found


def _completed(model: Any, freeze: Tensor, fixed: Tensor, seed: int, bars: StageBars) -> Tensor:
    import torch

    from ..training.completions import complete_frames

    frames = freeze[:, None].repeat(1, len(fixed), 1, 1, 1)
    frames[0] = fixed
    return complete_frames(model, frames, torch.Generator().manual_seed(seed), on_step=bars("model"))


def _write_grid(out: Path, frames: Tensor, bars: StageBars) -> None:
    from .. import media
    from ..media.films import write_film
    from ..media.video import there_and_back_order
    from ..training.completions import first_row_and_column
    from .job import CLIP_FPS

    views, times = frames.shape[:2]
    order = there_and_back_order(times, 4.0, CLIP_FPS)
    write_film(media.grid_wall(frames), out / "grid.mp4", CLIP_FPS, order=order)
    media.save_image(media.contact_sheet(frames, first_row_and_column(views, times)), out / "contact_sheet.png")
    folder, on_step = media.prepare_folder(out / "grid"), bars("cells")
    for i in range(views * times):
        media.save_image(frames[divmod(i, times)], folder / f"v{i // times}_t{i % times}.png")
        on_step(i + 1, views * times)


def _facts(clock: Any, args: argparse.Namespace, frames: Tensor) -> dict[str, Any]:
    import torch

    from ..metrics import peak_memory_mb
    from .versions import versions

    memory, source = peak_memory_mb()
    views, times, height, width, _ = frames.shape
    return {
        "grid": {"views": views, "times": times, "height": height, "width": width, "known_cells": views + times - 1},
        "seed": args.seed,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 3) for name, value in clock.seconds.items()},
        "seconds_total": round(sum(clock.seconds.values()), 3),
        "peak_memory_mb": None if memory is None else round(memory, 1),
        "peak_memory_source": source,
        "versions": versions(),
    }
