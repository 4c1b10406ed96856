"""The 4D scene: canonical splats, temporal deformation, per-view offsets and cameras (design of supplement 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from .deformation_field import Deformation
from .gaussians import Splats
from .motion_residual import places_in_views, residual_offsets


@dataclass(frozen=True)
class Scene4D:
    """Everything needed to render the scene at any time from any camera.

    A splat is rendered into cell ``[v, t]`` at ``R_v (p + dp_time(p, t)) + t_v + view_offsets[v]``; a camera that is
    none of the clip's takes ``p + dp_time(p, t)`` alone.

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
        tracked_output: The deformation's output as the tracks gave it, before rendering fitted it to the splats; the
            views' own pixels follow that one. None where rendering fitted nothing.
    """

    splats: Splats
    cameras: Cameras
    view_offsets: Tensor
    visible: Tensor
    motion_weight: Tensor
    view_depth: Tensor
    view_motion: Tensor
    times: int
    deformation: Deformation | None
    background: Tensor
    motion_residual: Tensor | None = None
    view_colors: Tensor | None = None
    tracked_output: Tensor | None = None

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
        tracked = self.tracked_output
        if tracked is not None and (self.deformation is None or tracked.shape != self.deformation.out.shape):
            raise InputError(
                f"a tracked output of shape {tuple(tracked.shape)}", "that of the deformation's output", "leave it out"
            )

    @property
    def views(self) -> int:
        """Number of viewpoints V."""
        return len(self.cameras)

    def clip_time(self, time: int | float) -> float:
        """Time step ``0..T-1`` (fractions allowed) as a clip position in ``[0, 1]``; held beyond the ends."""
        return min(max(float(time) / max(self.times - 1, 1), 0.0), 1.0)

    def deformed(self, time: int | float) -> Tensor:
        """World positions ``(N, 3)`` of the splats at a time step: ``p + dp_time(p, t)``, and what tracks found beyond.

        The MLP sees only what moves.
        """
        means = self.splats.means
        index = self.motion_weight.nonzero()[:, 0]
        if self.deformation is None or time == 0 or not len(index):
            return means
        moving = means[index]
        offset = self.deformation(moving, self.clip_time(time))
        if self.motion_residual is not None:
            view, places = self.residual_places
            offset = offset + residual_offsets(self.motion_residual, view[index], places[index], moving[:, 2], time)
        return means.index_put((index,), moving + self.motion_weight[index, None] * offset)

    @cached_property
    def residual_places(self) -> tuple[Tensor, Tensor]:
        """Which view's residual every splat reads ``(N,)``, and where ``(N, 2)``; see places_in_views."""
        return places_in_views(self.splats.means, self.cameras, self.view_offsets, self.visible)

    def in_view(self, view: int, time: int | float, deformed: Tensor | None = None) -> Tensor:
        """Camera-space positions ``(N, 3)`` in cell ``[view, time]``, view-dependent offsets included (eq. 3).

        Args:
            view: Which of the clip's cameras.
            time: Time step, fractions allowed.
            deformed: World positions ``(N, 3)`` at that time where they are known already.
        """
        world = self.deformed(time) if deformed is None else deformed
        return self.cameras[view].to_camera(world)[0] + self.view_offsets[view]

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
        )
