"""Fits a scene by rendering its known cells: colours, sizes, opacities, the motion, and what views differ by.

A step of the optimiser renders several cells, so that no view's light or texture dominates it. Of the motion, the
weights of the deformation field are refined (see trained_motion).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, rasterize
from ..scene.gaussians import Splats
from ..scene.lifetimes import presence
from ..scene.points_in_time import displaced_points
from ..scene.scene4d import Scene4D
from .photometric_loss import photometric_loss
from .trained_motion import TrainedMotion
from .view_colors import common_colors

DECAY = 0.3
"""Share of the renders, at the end, over which all rates fall to zero."""


@dataclass(frozen=True)
class RenderingFitOptions:
    """How a scene is fitted by rendering; a rate of zero leaves that part as it was.

    Attributes:
        cells: Known cells in a step of the optimiser.
        color_rate: Of the splats' colours.
        view_color_rate: Of by how much each view shows another colour; nothing where the scene has none.
        scale_rate: Of log scales.
        opacity_rate: Of opacity logits.
        motion_rate: Of the deformation field's weights, in widths of what moves.
        motion_every: Steps whose gradients are gathered for one step of the motion.
        ssim_weight: Share of structural dissimilarity in the loss.
        under_captions: By how much pixels that show a caption count, for which colours are taken from around it. Splats
            behind it would else take any colour.
    """

    cells: int = 2
    color_rate: float = 0.02
    view_color_rate: float = 0.01
    scale_rate: float = 0.04
    opacity_rate: float = 0.05
    motion_rate: float = 4e-5
    motion_every: int = 4
    ssim_weight: float = 0.2
    under_captions: float = 0.05

    def __post_init__(self) -> None:
        rates = (self.color_rate, self.view_color_rate, self.scale_rate, self.opacity_rate, self.motion_rate)
        if min(self.cells, self.motion_every) < 1 or min(rates) < 0:
            raise InputError(
                f"{self.cells} cells a step, {self.motion_every} steps for one of the motion and rates of {rates}",
                "at least one cell and one step, no negative rate",
                "leave them at their defaults",
            )
        shares = (self.ssim_weight, self.under_captions)
        if min(shares) < 0 or max(shares) > 1:
            raise InputError(
                f"an SSIM weight and a weight under captions of {shares}",
                "shares between 0 and 1",
                "leave them at their defaults",
            )


class FitParameters:
    """What of a scene is fitted, and where that puts and how it colours the splats in every cell.

    Attributes:
        colors: ``(N, 3)``.
        log_scales: ``(N,)``.
        opacity_logits: ``(N,)``.
        view_colors: One ``(N, 3)`` a view, or none where they are not fitted.
        motion: The deformation; None where it is not fitted.
        groups: Parameter groups for the optimiser.
    """

    def __init__(self, scene: Scene4D, options: RenderingFitOptions) -> None:
        splats, field = scene.splats, scene.deformation
        self._scene = scene
        self._rest: dict[int, Tensor] = {}
        self.colors, self.log_scales, self.opacity_logits = (
            x.detach().clone() for x in (splats.colors, splats.log_scales, splats.opacity_logits)
        )
        self.view_colors: list[Tensor] = []
        if options.view_color_rate > 0 and scene.view_colors is not None:
            self.view_colors = [x.detach().clone() for x in scene.view_colors]
        self.motion = TrainedMotion(scene, field) if field is not None and options.motion_rate > 0 else None
        rates: list[tuple[list[Tensor], float]] = [
            ([self.colors], options.color_rate),
            ([self.log_scales], options.scale_rate),
            ([self.opacity_logits], options.opacity_rate),
            (self.view_colors, options.view_color_rate),
            ([] if self.motion is None else [self.motion.weights], options.motion_rate),
        ]
        self.groups: list[dict[str, Any]] = [
            {"params": params, "lr": rate} for params, rate in rates if params and rate > 0
        ]
        for group in self.groups:
            for parameter in group["params"]:
                parameter.requires_grad_()

    def zero_gradients(self) -> None:
        """Forgets the gradients of the last step; those at the knots of the motion gather over several."""
        for parameter in (p for group in self.groups for p in group["params"]):
            parameter.grad = None

    def render(self, view: int, time: int, raster: RasterOptions) -> Tensor:
        """The picture ``(H, W, 3)`` of a cell, differentiable in the parameters."""
        cameras = self._scene.cameras
        return rasterize(
            self._positions(view, time),
            self.log_scales.exp(),
            self._opacities_at(time),
            self._colors_in(view),
            cameras.intrinsics[view],
            cameras.size,
            self._scene.background,
            raster,
        ).image

    def _positions(self, view: int, time: int) -> Tensor:
        """Camera-space positions ``(N, 3)`` in a cell (eq. 3)."""
        if view not in self._rest:
            self._rest[view] = self._scene.in_view(view, 0)
        offsets = self._scene.splat_offsets if self.motion is None else self.motion.offsets
        if offsets is None:
            return self._rest[view]
        rotation = self._scene.cameras.world_to_cam[view, :3, :3]
        return displaced_points(self._rest[view], offsets, time, rotation)

    def _opacities_at(self, time: float) -> Tensor:
        """Opacities ``(N,)`` at a time step."""
        lifetimes, opacities = self._scene.lifetimes, torch.sigmoid(self.opacity_logits)
        return opacities if lifetimes is None else opacities * presence(lifetimes, time)

    def _colors_in(self, view: int) -> Tensor:
        """Colours ``(N, 3)`` that a view shows."""
        if self.view_colors:
            return self.colors + self.view_colors[view]
        return self.colors if self._scene.view_colors is None else self.colors + self._scene.view_colors[view]

    def fitted(self) -> Scene4D:
        """The scene with everything fitted, colours inside ``[0, 1]`` in every view."""
        scene = self._scene
        colors = self.colors.detach().clamp(0, 1)
        splats = Splats(scene.splats.means, self.log_scales.detach(), self.opacity_logits.detach(), colors)
        view_colors = scene.view_colors
        if view_colors is not None:
            shown = [self._colors_in(v).detach().clamp(0, 1) for v in range(scene.views)]
            view_colors = torch.stack(shown) - colors
        field, tracked = scene.deformation, scene.tracked_weights
        if field is not None and self.motion is not None:
            tracked = field.weights if tracked is None else tracked
            field = replace(field, weights=self.motion.weights.detach())
        return common_colors(
            replace(scene, splats=splats, view_colors=view_colors, deformation=field, tracked_weights=tracked)
        )


class Trust(Protocol):
    """How sure each pixel is, by cell; a tensor ``(V, T, H, W)`` is one."""

    def __getitem__(self, cell: tuple[int, int]) -> Tensor:
        """Of a cell's pixels, ``(H, W)`` in ``[0, 1]``."""


class Targets:
    """What known cells should look like, and how much each pixel counts.

    Args:
        grid: Known cells.
        under_captions: By how much pixels count that a caption hides.
        device: Where the pictures are compared.
        trust: By how much each pixel counts beside that; all alike if None.
    """

    def __init__(
        self, grid: FrameGrid, under_captions: float, device: torch.device, trust: Trust | None = None
    ) -> None:
        self._grid, self._device, self._trust = grid, device, trust
        valid = grid.valid.to(device)
        self._hidden = ~valid if under_captions > 0 and not bool(valid.all()) else None
        self._weight = valid if self._hidden is None else torch.where(valid, 1.0, under_captions)
        self._behind: dict[tuple[int, int], Tensor] = {}

    def weight(self, cell: tuple[int, int]) -> tuple[Tensor, float]:
        """By how much each pixel ``(H, W)`` of a cell counts, and the whole cell beside one that is sure."""
        if self._trust is None:
            return self._weight, 1.0
        weight = self._weight * self._trust[cell].to(self._device)
        return weight, float(weight.sum() / self._weight.sum().clamp_min(1))

    def __getitem__(self, cell: tuple[int, int]) -> Tensor:
        """The picture ``(H, W, 3)`` of a cell, smooth where a caption hides it."""
        frame = self._grid.frames[cell].to(self._device)
        if self._hidden is None:
            return frame
        if cell not in self._behind:
            self._behind[cell] = fill_holes(frame, ~self._hidden)[self._hidden]
        frame = frame.clone()
        frame[self._hidden] = self._behind[cell]
        return frame


def fit_rendering(
    scene: Scene4D,
    grid: FrameGrid,
    renders: int,
    options: RenderingFitOptions | None = None,
    raster: RasterOptions | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep = no_progress,
    trust: Trust | None = None,
) -> Scene4D:
    """Refines a scene on the known cells of a grid.

    Args:
        scene: Where the fit starts; it stays as it was.
        grid: Known cells.
        renders: Cells rendered in all.
        options: See RenderingFitOptions.
        raster: Rasterizer options.
        generator: Of the order of cells.
        on_step: Progress, one step a render, with the render as preview.
        trust: How sure each pixel of the known cells is; all alike if None.
    """
    options, raster = options or RenderingFitOptions(), raster or RasterOptions()
    generator = generator or torch.Generator().manual_seed(0)
    if renders == 0:
        return scene
    with torch.enable_grad():
        fit = FitParameters(scene, options)
        targets = Targets(grid, options.under_captions, fit.colors.device, trust)
        fused = fit.colors.device.type in ("cpu", "cuda")
        adam = torch.optim.Adam(fit.groups, betas=(0.9, 0.99), fused=fused) if fit.groups else None
        rates = [group["lr"] for group in fit.groups]
        cells, done, gathered = _shuffled(grid.known.nonzero().tolist(), generator), 0, 0
        while done < renders:
            for group, rate in zip(fit.groups, rates, strict=True):
                group["lr"] = rate * min(1.0, (renders - done) / (DECAY * renders))
            batch = [next(cells) for _ in range(min(options.cells, renders - done))]
            fit.zero_gradients()
            for cell in batch:
                image = fit.render(*cell, raster)
                weight, share = targets.weight(cell)
                loss = photometric_loss(image, targets[cell], weight, options.ssim_weight)
                if loss.requires_grad:
                    (loss * (share / len(batch))).backward()
                done += 1
                on_step(done, renders, image.detach().clamp(0, 1))
            gathered += 1
            motion = fit.motion if gathered % options.motion_every == 0 or done == renders else None
            if motion is not None:
                motion.project_gradients()
            if adam is not None:
                adam.step()
            if motion is not None:
                motion.update_knots()
    return fit.fitted()


def _shuffled(cells: list[list[int]], generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """The cells over and over, every round in another order."""
    while True:
        for k in torch.randperm(len(cells), generator=generator).tolist():
            yield cells[k][0], cells[k][1]
