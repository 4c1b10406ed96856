"""A moment of a scene as ``.glb`` with ``KHR_gaussian_splatting``, written by the ``fourdgs`` package.

The axes are glTF's: x right, y up, z to the viewer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InputError
from ...media.files import whole_file
from ...progress import OnStep
from ..gaussians import Splats
from ..scene4d import Scene4D
from .axes import upright
from .packages import FOURDGS
from .ply import splats_at
from .scene_format import ExportOptions


def save_glb(splats: Splats, path: str | Path) -> None:
    """Writes splats in this project's axes, turned upright; the file appears whole or not at all.

    Raises:
        InputError: No ``fourdgs`` package, no splats, values that are not finite, or a folder that cannot be written.
    """
    model, gltf = FOURDGS.load("fourdgs"), FOURDGS.load("fourdgs.gltf")
    n = len(splats)
    if n == 0:
        raise InputError("a scene without splats", "at least one", "prune fewer floaters, or check the clip")
    means, scales, opacities, colors = (
        x.detach().cpu().numpy() for x in (upright(splats).means, splats.scales, splats.opacities, splats.colors)
    )
    if not all(np.isfinite(x).all() for x in (means, scales, opacities, colors)):
        raise InputError("splats with NaN or infinite values", "finite numbers", "fit the scene again")
    still = model.GaussianSet(
        positions=means,
        scales=np.repeat(scales[:, None], 3, 1),
        rotations=np.tile(np.array([0, 0, 0, 1], np.float32), (n, 1)),
        colors=np.concatenate([colors, opacities[:, None]], 1),
        motions=np.zeros((n, 3), np.float32),
        mu_t=np.zeros(n, np.float32),
        sigma_t=np.full(n, np.inf, np.float32),
        win_lo=np.zeros(n),
        win_hi=np.full(n, np.inf),
    )
    with whole_file(path) as part:
        gltf.to_gltf(
            str(part),
            still,
            0.0,
            cutoff=0.5,  # nothing fades
            coordinate_system="y-up-right-handed",
            color_space="srgb-rec709-display",
        )


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    save_glb(splats_at(scene, options.moment, options.view), path)
    on_step(1, 1)
    return [path]
