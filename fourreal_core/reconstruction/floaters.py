"""Boundary floaters pruned: opacity is optimised by re-rendering the freeze-time frames; what it drives out goes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..cameras import project
from ..errors import InputError
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .photometric_loss import photometric_loss
from .view_colors import AppearanceOptions, gather_colors, in_light_of_views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FloaterOptions:
    """How opacity is optimised.

    Attributes:
        rounds: Passes over the freeze-time frames.
        learning_rate: Adam's, on opacity logits.
        prune_below: Opacity under which a splat goes that less than half of the views see in whose pictures it falls.
        prune_seen_below: The same for a splat that at least half of them see: there texture that differs from view to
            view, as it does in generated clips, takes opacity from points that are where they should be.
        appearance: How colours are gathered from the frames before; None keeps those the scene has.
    """

    rounds: int = 8
    learning_rate: float = 0.35
    prune_below: float = 0.5
    prune_seen_below: float = 0.1
    appearance: AppearanceOptions | None = field(default_factory=AppearanceOptions)

    def __post_init__(self) -> None:
        limits = (self.prune_below, self.prune_seen_below)
        if self.rounds < 1 or not (min(limits) > 0 and max(limits) < 1) or not self.learning_rate > 0:
            raise InputError(
                f"{self.rounds} rounds at a learning rate of {self.learning_rate} that prune below "
                f"opacities of {limits}",
                "at least one round, a positive rate, opacities in (0, 1)",
                "leave them at their defaults",
            )


def prune_floaters(
    scene: Scene4D,
    frames: Tensor,
    valid: Tensor | None = None,
    options: FloaterOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Scene4D:
    """Removes splats that spoil the freeze-time frames.

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
    lit = scene
    if options.appearance is not None:
        # without it a view's light would be taken for a fault of the splats; with its texture no fault would show
        lit = in_light_of_views(scene, frames, valid, options.appearance)
        scene = gather_colors(scene, frames, valid, options.appearance)
    logits = scene.splats.opacity_logits.detach().clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=options.learning_rate, betas=(0.8, 0.95))
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
    limit = torch.where(_supported(scene), options.prune_seen_below, options.prune_below)
    kept = torch.sigmoid(logits.detach()) >= limit
    if not bool(kept.any()):
        raise InputError(
            "a scene of which no splat explains the clip",
            "splats of this clip",
            "check that scene and grid belong together, or prune below a lower opacity",
        )
    log.info("floaters: %d of %d splats pruned", int((~kept).sum()), len(kept))
    return replace(scene, splats=replace(scene.splats, opacity_logits=logits.detach())).select(kept)


def _supported(scene: Scene4D) -> Tensor:
    """Which splats ``(N,)`` bool are seen by at least half of the views in whose pictures they fall, and by two."""
    h, w = scene.cameras.size
    falls = torch.zeros(len(scene.splats), device=scene.visible.device)
    for v in range(scene.views):
        here = scene.in_view(v, 0)
        at = project(here, scene.cameras.intrinsics[v])
        falls += (here[:, 2] > 0) & (at >= 0).all(-1) & (at[:, 0] < w) & (at[:, 1] < h)
    seen = scene.visible.sum(0)
    return (seen >= 2) & (2 * seen >= falls)
