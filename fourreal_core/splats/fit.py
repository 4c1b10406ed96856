"""Fits the deformation: started from tracks in time, then by rendering the known cells (supplement 3, eq. 3)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..grid import FrameGrid
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..tracking.tracks import Tracks
from .deformation import Deformation, DeformationSpec
from .gaussians import Splats
from .losses import photometric_loss
from .motion import WorldMotion, motion_weights, world_motion
from .render import render_cell
from .scene import Scene4D

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """How the deformation is fitted.

    Attributes:
        track_steps: Adam steps on the tracks' displacements.
        track_batch: Track points a step.
        steps: Adam steps by rendering; each renders one known cell.
        learning_rate: Of the MLP on tracks; by rendering a tenth of it.
        color_rate: Of colours by rendering.
        scale_rate: Of log scales and opacity logits by rendering.
        ssim_weight: Share of structural dissimilarity in the rendering loss.
        still_px: Travel in pixels up to which a point counts as standing.
        margin_px: Pixels by which moving regions are widened.
        seed: Of the initial weights, the batches and the order of cells.
    """

    track_steps: int = 400
    track_batch: int = 8192
    steps: int = 60
    learning_rate: float = 3e-3
    color_rate: float = 5e-3
    scale_rate: float = 1e-2
    ssim_weight: float = 0.2
    still_px: float = 0.7
    margin_px: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.track_steps, self.steps, self.margin_px) < 0 or self.track_batch < 1:
            raise InputError(f"{self.track_steps} track steps, {self.steps} steps, batches of {self.track_batch}",
                             "numbers that are not negative", "leave them at their defaults")
        if not 0 <= self.ssim_weight <= 1:
            raise InputError(f"an SSIM weight of {self.ssim_weight}", "a share between 0 and 1", "use 0.2")


def fit_deformation(scene: Scene4D, grid: FrameGrid, time_tracks: Tracks | None, options: FitOptions | None = None,
                    raster: RasterOptions | None = None, on_step: OnStep = no_progress) -> Scene4D:
    """Animates canonical splats so that they follow the known cells.

    ``dp_view`` comes from the tracks of the freeze-time clip and stays fixed; ``dp_time`` is an MLP of canonical position
    and time, started from the tracks of the fixed-view clip and then fitted by rendering every known cell.

    Args:
        scene: Canonical splats with their view-dependent offsets.
        grid: The known cells.
        time_tracks: Of the fixed-view clip, or None to start from a scene that stands (the ablation).
        options: See FitOptions.
        raster: Rasterizer options.
        on_step: Progress over both phases, with renders as previews.
    """
    options = options or FitOptions()
    if grid.views != scene.views or tuple(grid.size) != tuple(scene.cameras.size):
        raise InputError(f"a grid of {grid.views} views of {grid.size}", f"{scene.views} views of {scene.cameras.size}",
                         "fit the scene to the grid it was made from")
    scene = replace(scene, times=grid.times)
    generator = torch.Generator().manual_seed(options.seed)
    total = options.track_steps + options.steps
    device = scene.splats.means.device
    if grid.times == 1:
        deformation = None
    else:
        deformation = Deformation(scene_spec(scene), generator).to(device)
        if time_tracks is None:
            scene = replace(scene, motion_weight=torch.ones_like(scene.motion_weight))
        else:
            motion = world_motion(scene, time_tracks)
            weight = motion_weights(scene, motion, options.still_px, options.margin_px)
            scene = replace(scene, motion_weight=weight)
            log.info("motion: %.1f %% of the splats move", 100 * float(weight.mean()))
            if bool((weight > 0).any()):
                regress_tracks(deformation, motion, options, generator,
                               lambda done, n, preview=None: on_step(done, total))
            else:
                deformation = None
    scene = replace(scene, deformation=deformation)
    return fit_by_rendering(scene, grid, options, raster, generator,
                            lambda done, n, preview=None: on_step(options.track_steps + done, total, preview))


def scene_spec(scene: Scene4D) -> DeformationSpec:
    """A deformation spec whose encoding spans the scene (its 95th percentile radius)."""
    means = scene.splats.means
    centre = means.median(0).values
    radius = (means - centre).norm(dim=-1).sort().values[int(0.95 * (len(means) - 1))]
    return DeformationSpec(centre=tuple(centre.tolist()), extent=float(radius.clamp_min(1e-3)))


def regress_tracks(deformation: Deformation, motion: WorldMotion, options: FitOptions, generator: torch.Generator,
                   on_step: OnStep = no_progress) -> None:
    """Fits the MLP in place to measured displacements; half of every batch are points that move."""
    if options.track_steps == 0:
        return
    times = motion.offsets.shape[0]
    moving = (motion.travel_px > options.still_px).nonzero()[:, 0]
    scale = motion.points[:, 2].abs().clamp_min(1e-3)
    adam = torch.optim.Adam(deformation.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.track_steps)
    half = options.track_batch // 2
    for step in range(options.track_steps):
        picks = moving[torch.randint(len(moving), (options.track_batch - half,), generator=generator)]
        if half:
            picks = torch.cat([picks, torch.randint(len(scale), (half,), generator=generator)])
        at = torch.randint(1, times, (len(picks),), generator=generator)
        predicted = deformation(motion.points[picks], at.to(motion.points) / (times - 1))
        error = (predicted - motion.offsets[at, picks]).norm(dim=-1) / scale[picks]
        loss = (error * motion.visible[at, picks]).mean()  # a norm, not its square: wrong tracks must not pull
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        schedule.step()
        on_step(step + 1, options.track_steps)


def fit_by_rendering(scene: Scene4D, grid: FrameGrid, options: FitOptions, raster: RasterOptions | None,
                     generator: torch.Generator, on_step: OnStep = no_progress) -> Scene4D:
    """Refines colours, scales, opacities and the deformation on the known cells, one cell a step."""
    if options.steps == 0:
        return scene
    device = scene.splats.means.device
    cells = grid.known.nonzero()
    frames, valid = grid.frames, grid.valid.to(device)
    leaves = {name: getattr(scene.splats, name).detach().clone().requires_grad_()
              for name in ("colors", "log_scales", "opacity_logits")}
    groups = [{"params": [leaves["colors"]], "lr": options.color_rate},
              {"params": [leaves["log_scales"], leaves["opacity_logits"]], "lr": options.scale_rate}]
    if scene.deformation is not None:
        groups.append({"params": list(scene.deformation.parameters()), "lr": options.learning_rate / 10})
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
    order = torch.empty(0, dtype=torch.long)
    for step in range(options.steps):
        if not len(order):
            order = torch.randperm(len(cells), generator=generator)
        view, time = cells[order[0]].tolist()
        order = order[1:]
        trial = replace(scene, splats=Splats(scene.splats.means, leaves["log_scales"], leaves["opacity_logits"],
                                             leaves["colors"]))
        image = render_cell(trial, view, time, raster).image
        loss = photometric_loss(image, frames[view, time].to(device), valid, options.ssim_weight)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        on_step(step + 1, options.steps, image.detach().clamp(0, 1))
    return replace(scene, splats=_fitted(scene.splats.means, leaves))


def _fitted(means: Tensor, leaves: dict[str, Tensor]) -> Splats:
    return Splats(means, leaves["log_scales"].detach(), leaves["opacity_logits"].detach(),
                  leaves["colors"].detach().clamp(0, 1))
