"""The 4D scene: canonical splats, temporal deformation, per-view offsets and cameras (design of supplement 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from .deformation_field import DeformationField
from .gaussians import Splats
from .lifetimes import presence
from .motion_residual import SampledResidual, places_in_views
from .points_in_time import TimeOffsets, displaced_points


@dataclass(frozen=True)
class Scene4D:
    """Everything needed to render the scene at any time from any camera.

    Splats move by supplement eq. 3 (see points_in_time): cells of the grid are rendered with the view-dependent
    offsets, a camera that is none of the clip's without them.

    Attributes:
        splats: Canonical splats; the world is the canonical frame's camera space.
        cameras: The V cameras of the freeze-time clip.
        view_offsets: ``(V, N, 3)`` what the tracks found beyond the rigid camera, in each camera's space (the
            view-dependent part of supplement eq. 3).
        visible: ``(V, N)`` bool, whether the view sees the splat at time 0.
        motion_weight: ``(N,)`` in ``[0, 1]``; multiplies ``dp_time``, so what was found static stays exactly.
        view_depth: ``(V, H, W)`` depth of what each view sees at time 0, from which its own frame is read again.
        view_motion: ``(V, H, W)`` the same weight as ``motion_weight``, of what each pixel of each view sees.
        times: Number of time steps T of the grid the scene belongs to.
        deformation: ``dp_time``, or None for a scene that does not move (yet).
        background: ``(3,)`` colour behind everything.
        motion_residual: ``(V, T, 3, h, w)`` what tracks in time found beyond ``dp_time``, see residual_maps; or None.
        view_colors: ``(V, N, 3)`` by how much each view shows a splat in another colour, the counterpart in colour of
            ``view_offsets``; or None. The paper has none: the views of generated clips differ in light and texture.
        tracked_weights: The field's weights as the tracks determined them, before rendering fitted them to the splats.
            The views' own pixels follow these, since rendering also makes up for faults of the splats. None where
            rendering fitted nothing.
        lifetimes: ``(N, 2)`` first and last time step at which each splat is there (see presence); None where all are
            there always. The paper has none: its canonical splats can only move.
    """

    splats: Splats
    cameras: Cameras
    view_offsets: Tensor
    visible: Tensor
    motion_weight: Tensor
    view_depth: Tensor
    view_motion: Tensor
    times: int
    deformation: DeformationField | None
    background: Tensor
    motion_residual: Tensor | None = None
    view_colors: Tensor | None = None
    tracked_weights: Tensor | None = None
    lifetimes: Tensor | None = None

    def __post_init__(self) -> None:
        v, n = len(self.cameras), len(self.splats)
        maps = (v, *self.cameras.size)
        got = [
            tuple(x.shape)
            for x in (
                self.view_offsets,
                self.visible,
                self.motion_weight,
                self.view_depth,
                self.view_motion,
                self.background,
            )
        ]
        expected = [(v, n, 3), (v, n), (n,), maps, maps, (3,)]
        if got != expected or self.times < 1:
            raise InputError(
                f"a scene of shapes {got} with {self.times} times",
                f"{expected} with at least 1 time",
                "build the scene from tracks of the same clip",
            )
        residual = self.motion_residual
        if residual is not None and (residual.ndim != 5 or residual.shape[:3] != (v, self.times, 3)):
            raise InputError(
                f"a motion residual of shape {tuple(residual.shape)} for {v} views and {self.times} times",
                f"({v}, {self.times}, 3, h, w)",
                "leave it out, or measure it on the same clips",
            )
        if self.view_colors is not None and self.view_colors.shape != (v, n, 3):
            raise InputError(
                f"view colours of shape {tuple(self.view_colors.shape)} for {v} views and {n} splats",
                f"({v}, {n}, 3)",
                "leave them out, or fit them to the same splats",
            )
        if self.lifetimes is not None and self.lifetimes.shape != (n, 2):
            raise InputError(
                f"lifetimes of shape {tuple(self.lifetimes.shape)} for {n} splats",
                f"({n}, 2)",
                "give every splat a first and a last time step, or leave them out",
            )
        tracked = self.tracked_weights
        if tracked is not None and (self.deformation is None or tracked.shape != self.deformation.weights.shape):
            raise InputError(
                f"tracked weights of shape {tuple(tracked.shape)}",
                "that of the deformation's weights",
                "leave them out",
            )

    @property
    def views(self) -> int:
        """Number of viewpoints V."""
        return len(self.cameras)

    @cached_property
    def residual_places(self) -> tuple[Tensor, Tensor]:
        """Which view's residual every splat reads ``(N,)``, and where ``(N, 2)``; see places_in_views."""
        return places_in_views(self.splats.means, self.cameras, self.view_offsets, self.visible)

    @cached_property
    def splat_offsets(self) -> TimeOffsets | None:
        """``dp_time`` of the splats, as it was fitted to them; None for a scene that does not move."""
        if self.deformation is None:
            return None
        return self.offsets_of(self.splats.means, self.motion_weight, *self.residual_places, self.deformation)

    def offsets_of(
        self, points: Tensor, motion_weight: Tensor, view: Tensor, places: Tensor, field: DeformationField
    ) -> TimeOffsets:
        """``dp_time`` of world points at any time.

        Args:
            points: ``(N, 3)`` at time 0.
            motion_weight: ``(N,)`` in ``[0, 1]``.
            view: ``(N,)`` whose motion residual each point reads.
            places: ``(N, 2)`` where in that view, in ``[-1, 1]``.
            field: The scene's, or what stands in for it.
        """
        index = motion_weight.nonzero()[:, 0]
        moving, weight, residual = points[index], motion_weight[index], None
        if self.motion_residual is not None:
            residual = SampledResidual(self.motion_residual, view[index], places[index], moving, weight)
        knots = [offsets * weight[:, None] for offsets in field.at_knots(moving)]
        return TimeOffsets(index, knots, self.times, residual)

    def deformed(self, time: float) -> Tensor:
        """World positions ``(N, 3)`` of the splats at a time step, fractions allowed: ``p + dp_time(p, t)``."""
        if self.splat_offsets is None:
            return self.splats.means
        return displaced_points(self.splats.means, self.splat_offsets, time)

    def in_view(self, view: int, time: float) -> Tensor:
        """Camera-space positions ``(N, 3)`` of the splats in cell ``[view, time]``, fractions of time allowed (eq. 3).

        Args:
            view: Which of the clip's cameras.
            time: Time step.
        """
        rest = self.cameras[view].to_camera(self.splats.means)[0] + self.view_offsets[view]
        if self.splat_offsets is None:
            return rest
        return displaced_points(rest, self.splat_offsets, time, self.cameras.world_to_cam[view, :3, :3])

    def opacities_at(self, time: float) -> Tensor:
        """Opacities ``(N,)`` at a time step: those of splats that are not always there fade."""
        opacities = self.splats.opacities
        return opacities if self.lifetimes is None else opacities * presence(self.lifetimes, time)

    def colors_in(self, view: int) -> Tensor:
        """Colours ``(N, 3)`` that one of the clip's views shows; a new camera shows those of the splats."""
        colors = self.splats.colors
        return colors if self.view_colors is None else colors + self.view_colors[view]

    def select(self, keep: Tensor) -> Scene4D:
        """The scene with only the splats picked by a bool mask or an index tensor."""
        colors = None if self.view_colors is None else self.view_colors[:, keep]
        return replace(
            self,
            splats=self.splats.select(keep),
            view_offsets=self.view_offsets[:, keep],
            visible=self.visible[:, keep],
            motion_weight=self.motion_weight[keep],
            view_colors=colors,
            lifetimes=None if self.lifetimes is None else self.lifetimes[keep],
        )
