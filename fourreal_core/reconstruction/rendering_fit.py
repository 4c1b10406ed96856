"""Fits a scene by rendering its known cells: colours, sizes, opacities, the motion, and what views differ by.

A step of the optimiser renders several cells, so that no view's light or texture pulls alone. Only the output of the
deformation is refined, which is linear in its waves: they are encoded once, and a step costs little beside rendering.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, rasterize
from ..scene.gaussians import Splats
from ..scene.scene4d import Scene4D
from .anisotropic import draw_stretched, round_splats
from .photometric_loss import photometric_loss
from .regularizers import MotionRegularizers, motion_penalty
from .trained_motion import TrainedMotion
from .view_colors import common_colors


@dataclass(frozen=True)
class RenderingFitOptions:
    """How a scene is fitted by rendering; a rate of zero leaves that part as it was.

    Attributes:
        cells: Known cells in a step of the optimiser.
        color_rate: Of the splats' colours.
        view_color_rate: Of by how much each view shows another colour; nothing where the scene has none.
        scale_rate: Of log scales.
        opacity_rate: Of opacity logits.
        motion_rate: Of the deformation's output, in widths of what moves.
        motion_every: Steps whose pulls are gathered for one step of the motion.
        mean_rate: Of the splats' places, in pixels of the central view.
        view_offset_rate: Of the view-dependent offsets, in pixels. Zero keeps those of the tracks (supplement eq. 3);
            more is the compensation optimised by rendering of 4Real (2024).
        stretch_rate: Of an axis along which each splat is longer, in its own sizes: anisotropic splats, for comparison
            (see stretched). The fitted scene then has three round splats for each.
        pixels_follow: The views' own pixels, from which proposals are coloured, follow the fitted motion too instead of
            that of the tracks.
        ssim_weight: Share of structural dissimilarity in the loss.
        under_captions: By how much pixels that show a caption count, for which colours are taken from around it. Splats
            behind it would else take any colour.
        decay: Share of the steps, at the end, over which all rates fall to zero.
        regularizers: What keeps the motion plausible.
    """

    cells: int = 2
    color_rate: float = 0.02
    view_color_rate: float = 0.01
    scale_rate: float = 0.04
    opacity_rate: float = 0.05
    motion_rate: float = 4e-5
    motion_every: int = 4
    mean_rate: float = 0.0
    view_offset_rate: float = 0.0
    stretch_rate: float = 0.0
    pixels_follow: bool = False
    ssim_weight: float = 0.2
    under_captions: float = 0.05
    decay: float = 0.3
    regularizers: MotionRegularizers = field(default_factory=MotionRegularizers)

    def __post_init__(self) -> None:
        rates = (
            self.color_rate,
            self.view_color_rate,
            self.scale_rate,
            self.opacity_rate,
            self.motion_rate,
            self.mean_rate,
            self.view_offset_rate,
            self.stretch_rate,
        )
        if min(self.cells, self.motion_every) < 1 or min(rates) < 0:
            raise InputError(
                f"{self.cells} cells a step, {self.motion_every} steps for one of the motion and rates of {rates}",
                "at least one cell and one step, no negative rate",
                "leave them at their defaults",
            )
        shares = (self.ssim_weight, self.under_captions, self.decay)
        if min(shares) < 0 or max(shares) > 1:
            raise InputError(
                f"an SSIM weight, a weight under captions and a decay of {shares}",
                "shares between 0 and 1",
                "leave them at their defaults",
            )


class _Leaves:
    """The tensors of a scene that are fitted, each with its own gradient; those by view are one tensor a view."""

    def __init__(self, scene: Scene4D, options: RenderingFitOptions) -> None:
        splats = scene.splats
        pixel = float(splats.means[:, 2].clamp_min(1e-3).median() / scene.cameras.intrinsics[scene.views // 2, 0, 0])
        self.scene, self.pixels_follow = scene, options.pixels_follow
        self.colors, self.log_scales, self.logits, self.means = (
            x.detach().clone().requires_grad_()
            for x in (splats.colors, splats.log_scales, splats.opacity_logits, splats.means)
        )
        self.view_colors = _by_view(scene.view_colors) if options.view_color_rate > 0 else []
        self.offsets = _by_view(scene.view_offsets) if options.view_offset_rate > 0 else []
        size = float(splats.scales.median())
        self.axes = [_small_axes(splats.means, size).requires_grad_()] if options.stretch_rate > 0 else []
        self.motion = TrainedMotion(scene) if scene.deformation is not None else None
        groups = [
            ([self.colors], options.color_rate),
            ([self.log_scales], options.scale_rate),
            ([self.logits], options.opacity_rate),
            ([self.means], options.mean_rate * pixel),
            (self.axes, options.stretch_rate * size),
            (self.view_colors, options.view_color_rate),
            (self.offsets, options.view_offset_rate * pixel),
            ([] if self.motion is None else [self.motion.out], options.motion_rate),
        ]
        groups = [(params, rate) for params, rate in groups if params]
        for params, rate in groups:
            for param in params:
                param.requires_grad_(rate > 0)
        self.groups = [{"params": params, "lr": rate} for params, rate in groups if rate > 0]
        self.moves = self.motion is not None and self.motion.out.requires_grad
        for knot in [] if self.motion is None else self.motion.knots:
            knot.requires_grad_(self.moves)
        self._standing: dict[int, Tensor] = {}

    def positions(self, view: int, time: int) -> Tensor:
        """Camera-space positions ``(N, 3)`` in a known cell."""
        standing = self._where_standing(view)
        if self.motion is None or time == 0 or not len(self.motion.index):
            return standing
        turn = self.scene.cameras.world_to_cam[view, :3, :3]
        return standing.index_add(0, self.motion.index, self.motion.moved(time) @ turn.T)

    def _where_standing(self, view: int) -> Tensor:
        """The same of a scene that stands; worked out once a view where nothing of it is fitted."""
        if view in self._standing:
            return self._standing[view]
        offset = self.offsets[view] if self.offsets else self.scene.view_offsets[view]
        found = self.scene.cameras[view].to_camera(self.means)[0] + offset
        if not found.requires_grad:
            self._standing[view] = found
        return found

    def start_step(self) -> None:
        """Forgets the gradients of the last step; those of the motion's knots gather over several."""
        for param in (p for group in self.groups for p in group["params"]):
            param.grad = None

    def shown(self, view: int) -> Tensor:
        """Colours ``(N, 3)`` that a view shows."""
        if self.view_colors:
            return self.colors + self.view_colors[view]
        return self.colors if self.scene.view_colors is None else self.colors + self.scene.view_colors[view]

    def fitted(self) -> Scene4D:
        """The scene with everything fitted, colours inside ``[0, 1]`` in every view."""
        scene = self.scene
        colors = self.colors.detach().clamp(0, 1)
        splats = Splats(self.means.detach(), self.log_scales.detach(), self.logits.detach(), colors)
        own = scene.view_colors
        if own is not None:
            own = torch.stack([self.shown(v).detach().clamp(0, 1) for v in range(scene.views)]) - colors
        offsets = torch.stack([x.detach() for x in self.offsets]) if self.offsets else scene.view_offsets
        deformation = copy.deepcopy(scene.deformation)  # the one that was given stays as it is
        tracked = scene.tracked_output
        if self.moves:
            if self.pixels_follow:
                tracked = None
            elif tracked is None:
                tracked = deformation.out.detach().clone()
            with torch.no_grad():
                deformation.out.copy_(self.motion.out)
        found = common_colors(
            replace(
                scene,
                splats=splats,
                view_colors=own,
                view_offsets=offsets,
                deformation=deformation,
                tracked_output=tracked,
            )
        )
        return round_splats(found, self.axes[0].detach()) if self.axes else found


class _Targets:
    """What known cells should look like, and how much each pixel counts."""

    def __init__(self, grid: FrameGrid, under_captions: float, device: torch.device) -> None:
        self.grid, self.device = grid, device
        valid = grid.valid.to(device)
        self._hidden = ~valid if under_captions > 0 and not bool(valid.all()) else None
        self.weight = valid if self._hidden is None else torch.where(valid, 1.0, under_captions)
        self._behind: dict[tuple[int, int], Tensor] = {}

    def __getitem__(self, cell: tuple[int, int]) -> Tensor:
        """The picture ``(H, W, 3)`` of a cell, smooth where a caption hides it."""
        frame = self.grid.frames[cell].to(self.device)
        if self._hidden is None:
            return frame
        if cell not in self._behind:
            self._behind[cell] = fill_holes(frame, ~self._hidden)[self._hidden]
        frame = frame.clone()
        frame[self._hidden] = self._behind[cell]
        return frame


def _small_axes(means: Tensor, size: float) -> Tensor:
    """Axes ``(N, 3)`` too short to show and long enough to have a direction: across the view, every which way."""
    turn = torch.arange(len(means), device=means.device) * 2.4
    return 0.1 * size * torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)], 1).to(means)


def _by_view(values: Tensor | None) -> list[Tensor]:
    return [] if values is None else [x.detach().clone().requires_grad_() for x in values]


def fit_rendering(
    scene: Scene4D,
    grid: FrameGrid,
    renders: int,
    options: RenderingFitOptions | None = None,
    raster: RasterOptions | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep = no_progress,
) -> Scene4D:
    """Refines a scene on the known cells of a grid.

    Args:
        scene: Where the fit starts; it stays as it was.
        grid: Known cells.
        renders: Cells rendered in all.
        options: See RenderingFitOptions.
        raster: Rasterizer options.
        generator: Of the order of cells and the regularizers' samples.
        on_step: Progress, one step a render, with the render as preview.
    """
    options, generator = options or RenderingFitOptions(), generator or torch.Generator().manual_seed(0)
    if renders == 0:
        return scene
    with torch.enable_grad():
        leaves = _Leaves(scene, options)
        targets = _Targets(grid, options.under_captions, leaves.colors.device)
        fused = {p.device.type for group in leaves.groups for p in group["params"]} <= {"cpu", "cuda"}
        adam = torch.optim.Adam(leaves.groups, betas=(0.9, 0.99), fused=fused) if leaves.groups else None
        rates = [group["lr"] for group in leaves.groups]
        cells, done, gathered = _shuffled(grid.known.nonzero().tolist(), generator), 0, 0
        while done < renders:
            for group, rate in zip(leaves.groups, rates, strict=True):
                group["lr"] = rate * min(1.0, (renders - done) / max(options.decay * renders, 1e-9))
            batch = [next(cells) for _ in range(min(options.cells, renders - done))]
            leaves.start_step()
            for cell in batch:
                image = _render_and_pull(leaves, targets, cell, len(batch), options, raster)
                done += 1
                on_step(done, renders, image)
            gathered += 1
            steers = leaves.moves and (gathered % options.motion_every == 0 or done == renders)
            if leaves.moves:
                penalty = motion_penalty(leaves.motion, options.regularizers, generator)
                if penalty.requires_grad:
                    penalty.backward()
            if steers:
                leaves.motion.pull()
            if adam is not None:
                adam.step()
            if steers:
                leaves.motion.refresh()
    return leaves.fitted()


def _render_and_pull(
    leaves: _Leaves,
    targets: _Targets,
    cell: tuple[int, int],
    share: int,
    options: RenderingFitOptions,
    raster: RasterOptions | None,
) -> Tensor:
    """Renders a cell, adds its gradients to the leaves', and gives the picture ``(H, W, 3)``."""
    view, time = cell
    scene = leaves.scene
    points, scales, opacities = leaves.positions(view, time), leaves.log_scales.exp(), torch.sigmoid(leaves.logits)
    colors = leaves.shown(view)
    if leaves.axes:
        turned = leaves.axes[0] @ scene.cameras.world_to_cam[view, :3, :3].T
        points, scales, opacities = draw_stretched(points, scales, opacities, turned)
        colors = colors.repeat(3, 1)
    image = rasterize(
        points,
        scales,
        opacities,
        colors,
        scene.cameras.intrinsics[view],
        scene.cameras.size,
        scene.background,
        raster or RasterOptions(),
    ).image
    loss = photometric_loss(image, targets[cell], targets.weight, options.ssim_weight)
    if loss.requires_grad:
        (loss / share).backward()
    return image.detach().clamp(0, 1)


def _shuffled(cells: list[list[int]], generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """The cells over and over, every round in another order."""
    while True:
        for k in torch.randperm(len(cells), generator=generator).tolist():
            yield cells[k][0], cells[k][1]
