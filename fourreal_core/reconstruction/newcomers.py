"""Splats for what the canonical ones cannot show: what enters the clip, is uncovered, or changes shape as flames do.

Canonical splats stand for what the freeze-time clip saw, and can only move. Where the scene differs from a row of which
every time step is known, new splats are made of the row's own pixels, at the depth of what the scene has there. They
live at that time step only (see presence) and stand in front of what they replace. The paper has no counterpart.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..cameras import lift
from ..errors import InputError
from ..grid import FrameGrid
from ..rasterizer import RasterOptions, rasterize
from ..scene.gaussians import Splats
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D

log = logging.getLogger(__name__)
CHANNELS = 30
"""The rasterizer composites at most 32 channels at once."""


@dataclass(frozen=True)
class NewcomerOptions:
    """Where new splats are made, and which.

    Attributes:
        error_gray: Error of the render in grey levels of 255, in its surroundings, from which a pixel is made anew.
        around_px: Half the side of these square surroundings, for pictures 512 wide.
        stride: Every which pixel of a row becomes a splat.
        nearer: Share of the depth by which new splats stand in front of what they replace.
        opacity: Of a new splat.
        scale: Standard deviation of a new splat in its own spacing.
        most: New splats at most, as a share of those there are; the largest errors of every time step come first.
    """

    error_gray: float = 20.0
    around_px: float = 3.0
    stride: int = 2
    nearer: float = 0.01
    opacity: float = 0.88
    scale: float = 0.5
    most: float = 0.5

    def __post_init__(self) -> None:
        sizes = (self.error_gray, self.around_px, self.scale, self.most)
        if min(sizes) < 0 or self.stride < 1 or not (0 <= self.nearer < 1 and 0 < self.opacity < 1):
            raise InputError(
                f"sizes of {sizes}, a stride of {self.stride}, {self.nearer} nearer and an opacity of {self.opacity}",
                "no negative size, a stride of at least 1, shares below 1",
                "leave them at their defaults",
            )


def with_newcomers(
    scene: Scene4D, grid: FrameGrid, options: NewcomerOptions | None = None, raster: RasterOptions | None = None
) -> Scene4D:
    """Adds splats where the scene cannot show what wholly known rows show.

    Args:
        scene: Fitted to the known cells; it stays as it was.
        grid: Its known cells.
        options: See NewcomerOptions.
        raster: Rasterizer options.
    """
    options, raster = options or NewcomerOptions(), raster or RasterOptions()
    room = int(options.most * len(scene.splats) / max(scene.times - 1, 1))
    rows = [v for v in range(scene.views) if scene.times > 1 and bool(grid.known[v].all())]
    before = len(scene.splats)
    with torch.no_grad():
        for view in rows:  # one after the other: what one row has brought, the next one sees
            for time in range(1, scene.times):
                scene = _extended(scene, grid, (view, time), options, raster, room)
    if len(scene.splats) > before:
        log.info("newcomers: %d splats for what %d row(s) show anew", len(scene.splats) - before, len(rows))
    return scene


def _extended(
    scene: Scene4D,
    grid: FrameGrid,
    cell: tuple[int, int],
    options: NewcomerOptions,
    raster: RasterOptions,
    room: int,
) -> Scene4D:
    """The scene with new splats for what it shows wrongly of one cell, at most ``room`` of them."""
    view, time = cell
    rendered = render_cell(scene, view, time, raster)
    frame = grid.frames[cell].to(rendered.image)
    blocks = _wrong_blocks(rendered.image.clamp(0, 1), frame, grid.valid, rendered.alpha, options)[:room]
    if not len(blocks):
        return scene
    at = (blocks + 0.5) * options.stride
    row, column = (at.long().clamp_max(torch.tensor(scene.cameras.size, device=at.device) - 1)).unbind(-1)
    depth = rendered.depth[row, column] * (1 - options.nearer)
    intrinsics = scene.cameras.intrinsics[view]
    offsets, colors = _view_differences(scene, view, time, raster)
    offsets = offsets[:, row, column]
    pose = scene.cameras.world_to_cam[view]
    means = (lift(at.flip(-1), depth, intrinsics) - offsets[view] - pose[:3, 3]) @ pose[:3, :3]
    scales = options.scale * options.stride * depth / intrinsics[0, 0]
    logits = torch.logit(torch.full_like(depth, options.opacity))
    shown = _in_blocks(frame.movedim(-1, 0), options.stride)[:, blocks[:, 0], blocks[:, 1]].T
    own = None if colors is None else colors[:, row, column]
    new = Splats(means, scales.log(), logits, shown if own is None else shown - own[view])
    return _joined(scene, time, new, offsets, own)


def _wrong_blocks(image: Tensor, frame: Tensor, valid: Tensor, alpha: Tensor, options: NewcomerOptions) -> Tensor:
    """Squares of pixels ``(M, 2)``, row and column, that become a splat each, those of the largest error first."""
    radius = max(1, round(options.around_px * alpha.shape[1] / 512))
    error = (image - frame).abs().mean(-1)[None] * 255
    error = avg_pool2d(error, 2 * radius + 1, 1, radius, count_include_pad=False)
    shown = valid.to(alpha.device) & (alpha > 0.5)  # no depth is known where nothing is
    errors = _in_blocks(torch.where(shown, error, 0.0), options.stride)[0]
    index = (errors > options.error_gray).nonzero()
    return index[errors[index[:, 0], index[:, 1]].argsort(descending=True, stable=True)]


def _in_blocks(maps: Tensor, stride: int) -> Tensor:
    """Means ``(C, h, w)`` of squares of pixels."""
    return avg_pool2d(maps, stride, ceil_mode=True)


def _view_differences(scene: Scene4D, view: int, time: int, raster: RasterOptions) -> tuple[Tensor, Tensor | None]:
    """By how much every view offsets and colours what a cell shows: ``(V, H, W, 3)`` each, or no colours."""
    parts = [scene.view_offsets] + ([] if scene.view_colors is None else [scene.view_colors])
    channels = torch.cat([part.permute(1, 0, 2).flatten(1) for part in parts], 1)
    at, opacities = scene.in_view(view, time), scene.opacities_at(time)
    maps = []
    for some in channels.split(CHANNELS, 1):
        rendered = rasterize(
            at, scene.splats.scales, opacities, some, scene.cameras.intrinsics[view], scene.cameras.size, None, raster
        )
        maps.append(rendered.image / rendered.alpha[..., None].clamp_min(1e-6))
    split = torch.cat(maps, -1).unflatten(-1, (-1, 3)).movedim(-2, 0)
    return split[: scene.views], split[scene.views :] if len(parts) > 1 else None


def _joined(scene: Scene4D, time: int, new: Splats, offsets: Tensor, colors: Tensor | None) -> Scene4D:
    """The scene with new splats that live at one time step and do not move.

    Args:
        scene: What they are added to.
        time: When they live.
        new: M splats.
        offsets: ``(V, M, 3)`` by how much each view offsets them.
        colors: ``(V, M, 3)`` by how much each view colours them, where the scene has that.
    """
    n, m = len(scene.splats), len(new)
    old = scene.splats
    always = torch.tensor([0.0, scene.times - 1.0]).to(old.means).expand(n, 2)
    lives = always if scene.lifetimes is None else scene.lifetimes
    return replace(
        scene,
        splats=Splats(
            torch.cat([old.means, new.means]),
            torch.cat([old.log_scales, new.log_scales]),
            torch.cat([old.opacity_logits, new.opacity_logits]),
            torch.cat([old.colors, new.colors]),
        ),
        view_offsets=torch.cat([scene.view_offsets, offsets], 1),
        visible=torch.cat([scene.visible, scene.visible.new_ones(scene.views, m)], 1),
        motion_weight=torch.cat([scene.motion_weight, scene.motion_weight.new_zeros(m)]),
        view_colors=None if scene.view_colors is None or colors is None else torch.cat([scene.view_colors, colors], 1),
        lifetimes=torch.cat([lives, lives.new_full((m, 2), float(time))]),
    )
