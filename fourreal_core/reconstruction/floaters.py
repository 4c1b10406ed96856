"""Boundary floaters are pruned: opacity is optimised by re-rendering the freeze-time frames; faint splats go."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import project
from ..errors import InputError
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .photometric_loss import photometric_loss
from .view_colors import gather_colors, in_light_of_views, view_appearance

log = logging.getLogger(__name__)


LEARNING_RATE = 0.35
"""Adam's, on opacity logits."""
PRUNE_BELOW = 0.5
"""Opacity under which a splat is removed that few views see."""
PRUNE_SUPPORTED_BELOW = 0.1
"""The same for a splat that at least half of the views see in whose pictures it falls: texture that differs between
views, as it does in generated clips, takes opacity from points that are where they should be."""


@dataclass(frozen=True)
class FloaterOptions:
    """How opacity is optimised.

    Attributes:
        rounds: Passes over the freeze-time frames.
        view_colors: Keep by how much each view shows other colours; false is the ablation.
    """

    rounds: int = 8
    view_colors: bool = True

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"{self.rounds} rounds", "at least one round", "leave it at its default")


def prune_floaters(
    scene: Scene4D,
    frames: Tensor,
    valid: Tensor | None = None,
    options: FloaterOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Scene4D:
    """Removes splats that the freeze-time frames contradict.

    Supplement 3, "Removing boundary floaters": every point's position in every frame's own space is known from the
    tracks, so each frame is re-rendered from there with no extrinsics, and the rendering loss moves the opacities.

    Args:
        scene: Canonical splats with their offsets.
        frames: ``(V, H, W, 3)`` in ``[0, 1]``, the freeze-time clip.
        valid: ``(H, W)`` bool, pixels that count.
        options: See FloaterOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a render, with the render as preview.
    """
    options = options or FloaterOptions()
    if frames.shape[0] != scene.views or tuple(frames.shape[1:3]) != tuple(scene.cameras.size):
        raise InputError(
            f"a clip of {tuple(frames.shape[:3])}",
            f"{scene.views} frames of {scene.cameras.size}",
            "give the freeze-time clip the scene was made from",
        )
    device = scene.splats.means.device
    frames = frames.to(device)
    valid = torch.ones(frames.shape[1:3], dtype=torch.bool) if valid is None else valid
    valid = valid.to(device)
    # without a view's light it would be taken for a fault of the splats; with its texture no fault would show
    appearance = view_appearance(scene, frames, valid)
    lit = in_light_of_views(scene, appearance)
    scene = gather_colors(scene, appearance, options.view_colors)
    logits = scene.splats.opacity_logits.detach().clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=LEARNING_RATE, betas=(0.8, 0.95))
    total = options.rounds * scene.views
    for k in range(total):
        view = k % scene.views
        with torch.enable_grad():
            trial = replace(lit, splats=replace(lit.splats, opacity_logits=logits))
            image = render_cell(trial, view, 0, raster).image
            loss = photometric_loss(image, frames[view], valid, 0.0) * frames[view].numel()
            adam.zero_grad(set_to_none=True)
            loss.backward()
        adam.step()
        on_step(k + 1, total, image.detach().clamp(0, 1))
    limit = torch.where(well_supported(scene), PRUNE_SUPPORTED_BELOW, PRUNE_BELOW)
    kept = torch.sigmoid(logits.detach()) >= limit
    if not bool(kept.any()):
        raise InputError(
            "a scene of which no splat explains the clip",
            "splats of this clip",
            "check that scene and grid belong together, or prune below a lower opacity",
        )
    log.info("floaters: %d of %d splats pruned", int((~kept).sum()), len(kept))
    return replace(scene, splats=replace(scene.splats, opacity_logits=logits.detach())).select(kept)


def well_supported(scene: Scene4D) -> Tensor:
    """Which splats ``(N,)`` bool are seen by at least half of the views in whose pictures they fall, and by two."""
    h, w = scene.cameras.size
    falls = torch.zeros(len(scene.splats), device=scene.visible.device)
    for v in range(scene.views):
        here = scene.in_view(v, 0)
        at = project(here, scene.cameras.intrinsics[v])
        falls += (here[:, 2] > 0) & (at >= 0).all(-1) & (at[:, 0] < w) & (at[:, 1] < h)
    seen = scene.visible.sum(0)
    return (seen >= 2) & (2 * seen >= falls)
