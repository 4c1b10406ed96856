"""Splats as ``.ply`` in the layout of 3D Gaussian Splatting, which viewers open; a moving scene is a file a time step.

Axes stay OpenCV's (y down, z forward), as in the files of Kerbl et al. 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...errors import InputError
from ...media.files import prepare_folder, write_bytes
from ...progress import OnStep, no_progress
from ..camera_paths import check_place
from ..gaussians import Splats
from ..scene4d import Scene4D
from .scene_format import ExportOptions

SH_C0 = 0.28209479177387814
"""Zeroth spherical harmonic: a viewer shows ``0.5 + SH_C0 f_dc``."""

_FIELDS = (
    "x",
    "y",
    "z",
    "nx",
    "ny",
    "nz",
    "f_dc_0",
    "f_dc_1",
    "f_dc_2",
    "opacity",
    "scale_0",
    "scale_1",
    "scale_2",
    "rot_0",
    "rot_1",
    "rot_2",
    "rot_3",
)


def ply_bytes(splats: Splats) -> bytes:
    """The file of some splats: binary little-endian, one float32 a field, identity rotations."""
    n = len(splats)
    table = np.zeros((n, len(_FIELDS)), "<f4")
    table[:, 0:3] = splats.means.detach().cpu().numpy()
    table[:, 6:9] = (splats.colors.detach().cpu().numpy() - 0.5) / SH_C0
    table[:, 9] = splats.opacity_logits.detach().cpu().numpy()
    table[:, 10:13] = splats.log_scales.detach().cpu().numpy()[:, None]
    table[:, 13] = 1.0
    if not np.isfinite(table).all():
        raise InputError("splats with NaN or infinite values", "finite numbers", "fit the scene again")
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {n}"]
    head += [f"property float {name}" for name in _FIELDS] + ["end_header", ""]
    return "\n".join(head).encode("ascii") + table.tobytes()


def save_ply(splats: Splats, path: str | Path) -> None:
    """Writes splats; the file appears whole or not at all.

    Raises:
        InputError: Values that are not finite, or a folder that cannot be written.
    """
    write_bytes(path, ply_bytes(splats))


def splats_at(scene: Scene4D, time: float, view: int | None = None) -> Splats:
    """The scene at a time step as splats in the world; only those that are there then.

    Args:
        scene: What to take them from.
        time: Time step, fractions allowed.
        view: One of the clip's cameras, whose view-dependent offsets and colours are taken along: that camera then
            sees exactly its cell. None takes none, which is what every other camera shows.

    Raises:
        InputError: A time or a view that the scene doesn't have.
    """
    check_place(scene, time, view)
    with torch.no_grad():
        means, colors, logits = scene.deformed(time), scene.splats.colors, scene.splats.opacity_logits
        if view is not None:
            colors = scene.colors_in(view)
            rot, trans = scene.cameras.world_to_cam[view, :3, :3], scene.cameras.world_to_cam[view, :3, 3]
            means = (scene.in_view(view, time) - trans) @ rot
        if scene.lifetimes is None:
            return replace(scene.splats, means=means, colors=colors)
        opacities = scene.opacities_at(time)
        logits = torch.where(opacities == scene.splats.opacities, logits, torch.logit(opacities, eps=1e-6))
        resolved = replace(scene.splats, means=means, colors=colors, opacity_logits=logits)
        return resolved.select(opacities > 0)


def save_ply_sequence(
    scene: Scene4D,
    folder: str | Path,
    times: Sequence[float] | None = None,
    view: int | None = None,
    on_step: OnStep = no_progress,
) -> list[Path]:
    """Writes one file a time step, ``frame_0000.ply`` and on, which viewers play as a sequence.

    Args:
        scene: What to write.
        folder: Made if needed.
        times: Time steps, fractions allowed; all of the scene's when None.
        view: See splats_at.
        on_step: Progress, one step a file.

    Raises:
        InputError: Times or a view that the scene doesn't have, values that are not finite, or a folder that cannot be
            written.
    """
    wanted = list(range(scene.times)) if times is None else list(times)
    for time in wanted:  # before the first file is written
        check_place(scene, time, view)
    folder, written = prepare_folder(folder), []
    for k, time in enumerate(wanted):
        written.append(folder / f"frame_{k:04}.ply")
        save_ply(splats_at(scene, time, view), written[-1])
        on_step(k + 1, len(wanted))
    return written


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    if path.suffix.lower() != ".ply":
        times = options.times if options.time is None else [options.time]
        return save_ply_sequence(scene, path, times, options.view, on_step)
    times = [options.moment] if options.times is None else options.times
    if len(times) != 1:
        raise InputError(f"{len(times)} times for one file", "one", "name a folder with -o, or one time")
    save_ply(splats_at(scene, times[0], options.view), path)
    on_step(1, 1)
    return [path]
