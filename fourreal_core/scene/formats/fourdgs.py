"""A 4D scene as one ``.4dgs`` file, the container for splats that move, through the ``fourdgs`` package.

Its Gaussians live for a window of time and move evenly in it, so a splat that moves becomes one Gaussian a time step
and a splat that stands becomes one for the whole clip. What is not always there is cut to its lifetime, half a step of
its fading included; the container's own fading is a bell in time, which a scene has not. The frame is upright there (y
up, z to the viewer), a half-turn about x away from this project's.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...media.files import write_bytes
from ...progress import OnStep, no_progress
from ..lifetimes import FADE
from ..scene4d import Scene4D
from .packages import FOURDGS
from .scene_format import ExportOptions

Array = NDArray[np.float32]
_RIGHT_HANDED, _UP_Y, _FORWARD_MINUS_Z = 1, 1, 5  # the container's registry
_HALF_TURN = np.array([1.0, -1.0, -1.0], np.float32)


def save_fourdgs(scene: Scene4D, path: str | Path, fps: float = 8.0, on_step: OnStep = no_progress) -> None:
    """Writes a scene with its motion; the file appears whole or not at all.

    At every time step the splats are where the scene has them; between two steps they move evenly. The last step is
    held for one more ``1 / fps``.

    Args:
        scene: What to write.
        path: File name, usually ending in ``.4dgs``.
        fps: Time steps a second.
        on_step: Progress, one step a time step and one for writing.

    Raises:
        InputError: No ``fourdgs`` package, a scene that holds nothing or is not finite, or a folder that cannot be
            written.
    """
    package = FOURDGS.load("fourdgs")
    if not (fps > 0 and math.isfinite(fps)):
        raise InputError(f"{fps} time steps a second", "a positive number", "use 8")
    if len(scene.splats) == 0:
        raise InputError("a scene without splats", "at least one", "prune fewer floaters, or check the clip")
    rows = gaussians(scene, fps, on_step)
    if not all(np.isfinite(rows[name]).all() for name in rows if name != "sigma_t"):
        raise InputError("splats with NaN or infinite values", "finite numbers", "fit the scene again")
    frame = package.CoordinateFrame("", _RIGHT_HANDED, _UP_Y, _FORWARD_MINUS_Z)
    options = package.WriteOptions(
        profile="fine",
        library="4Real",
        provenance=package.Provenance(frames=[frame]),
        metadata={"coordinate_system": "y-up-right-handed"},
    )
    buffer = io.BytesIO()
    package.write(
        buffer,
        package.GaussianSet(**rows),
        scene.times / fps,
        options=options,
        camera=package.CameraTrajectory(**_camera(scene)),
    )
    write_bytes(path, buffer.getvalue())
    on_step(scene.times + 1, scene.times + 1)


def gaussians(scene: Scene4D, fps: float, on_step: OnStep = no_progress) -> dict[str, Array]:
    """The container's arrays by name, M Gaussians each.

    Positions are those at ``mu_t``, the start of the window ``[win_lo, win_hi)``, and ``motions`` are per second.
    """
    with torch.no_grad():
        places = []
        for t in range(scene.times):
            places.append(scene.deformed(t).cpu().numpy() * _HALF_TURN)
            on_step(t + 1, scene.times + 1)
    stands = np.ones(len(scene.splats), bool)
    for later in places[1:]:
        stands &= (later == places[0]).all(1)
    still, moving = np.nonzero(stands)[0], np.nonzero(~stands)[0]
    pieces = [_piece(still, places[0], np.zeros_like(places[0]), (0.0, scene.times / fps))]
    for t in range(scene.times):
        ahead = places[min(t + 1, scene.times - 1)]
        pieces.append(_piece(moving, places[t], (ahead - places[t]) * np.float32(fps), (t / fps, (t + 1) / fps)))
    pieces = [_in_lifetime(piece, scene, fps) for piece in pieces]
    index = np.concatenate([piece.pop("index") for piece in pieces])
    rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    splats = scene.splats
    scales = splats.scales.detach().cpu().numpy()[index]
    colors = splats.colors.detach().cpu().numpy().clip(0, 1)[index]
    opacities = splats.opacities.detach().cpu().numpy()[index]
    return rows | {
        "scales": np.repeat(scales[:, None], 3, 1),
        "rotations": np.tile(np.array([0, 0, 0, 1], np.float32), (len(index), 1)),
        "colors": np.concatenate([colors, opacities[:, None]], 1),
        "sigma_t": np.full(len(index), np.inf, np.float32),  # never fades within its window
    }


def _piece(index: NDArray[np.int64], positions: Array, motions: Array, window: tuple[float, float]) -> dict[str, Any]:
    """Some splats for a window of time in seconds."""
    count = len(index)
    return {
        "index": index,
        "positions": positions[index],
        "motions": motions[index],
        "mu_t": np.full(count, window[0], np.float32),
        "win_lo": np.full(count, window[0]),
        "win_hi": np.full(count, window[1]),
    }


def _in_lifetime(piece: dict[str, Any], scene: Scene4D, fps: float) -> dict[str, Any]:
    """A piece without what is not there in its window, and the windows of the rest no longer than their lives."""
    if scene.lifetimes is None:
        return piece
    lives = scene.lifetimes.detach().cpu().double().numpy()[piece["index"]]
    begin, end = (lives[:, 0] - FADE / 2) / fps, (lives[:, 1] + FADE / 2) / fps
    low = np.where(lives[:, 0] <= 0, piece["win_lo"], np.maximum(piece["win_lo"], begin))
    high = np.where(lives[:, 1] >= scene.times - 1, piece["win_hi"], np.minimum(piece["win_hi"], end))
    return {name: x[low < high] for name, x in (piece | {"win_lo": low, "win_hi": high}).items()}


def _camera(scene: Scene4D) -> dict[str, Any]:
    """Where a player starts: the central camera, looking at the middle of the scene."""
    middle = scene.views // 2
    rot, trans = scene.cameras.world_to_cam[middle, :3, :3].cpu(), scene.cameras.world_to_cam[middle, :3, 3].cpu()
    depth = float((scene.splats.means.detach().cpu() @ rot.T + trans)[:, 2].median())
    eye, ahead = -(rot.T @ trans), rot.T @ torch.tensor([0.0, 0.0, max(depth, 1e-3)])
    half = scene.cameras.size[0] / 2 / float(scene.cameras.intrinsics[middle, 1, 1])
    return {
        "fov_y_deg": math.degrees(2 * math.atan(half)),
        "position": tuple((eye.numpy() * _HALF_TURN).tolist()),
        "target": tuple(((eye + ahead).numpy() * _HALF_TURN).tolist()),
    }


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    save_fourdgs(scene, path, options.steps_per_second, on_step)
    return [path]
