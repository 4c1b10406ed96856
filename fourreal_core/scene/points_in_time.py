"""Where points of a scene are at a time: supplement eq. 3, ``dp[i, j] = dp_view[i] + dp_time[j]``, in one place.

A canonical point ``p`` appears in cell ``[v, t]`` at

    x[v, t] = R_v (p + dp_time(p, t)) + T_v + dp_view[v] = x[v, 0] + R_v dp_time(p, t)

``x[v, 0]`` is where the freeze-time clip's tracks saw it. In the world, which new cameras see, it is at
``p + dp_time(p, t)``. Rendering, fitting and proposals all ask ``displaced_points``; they differ in where the offsets
at the knots come from: the field, or parameters that are being fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .deformation_field import knot_weights
from .motion_residual import SampledResidual


@dataclass(frozen=True)
class TimeOffsets:
    """``dp_time`` of those of N points that move, ready for any time of the clip.

    Attributes:
        index: ``(M,)`` long, which of the points move.
        knots: For each of K knots in time the field's offsets ``(M, 3)`` in world units, motion weights included.
        times: Number of time steps T of the clip.
        residual: What tracks measured beyond the field, motion weights included; or None.
    """

    index: Tensor
    knots: Sequence[Tensor]
    times: int
    residual: SampledResidual | None = None

    def at(self, time: float) -> Tensor:
        """Offsets ``(M, 3)`` in world units at a time step, fractions allowed; held beyond the ends of the clip."""
        offsets = torch.zeros_like(self.knots[0])
        for k, weight in knot_weights(len(self.knots), clip_position(time, self.times)):
            offsets = offsets + weight * self.knots[k]
        return offsets if self.residual is None else offsets + self.residual.at(time)


def clip_position(time: float, times: int) -> float:
    """Time step ``0..T-1`` (fractions allowed) as a place in the clip in ``[0, 1]``; held beyond the ends."""
    return min(max(float(time) / max(times - 1, 1), 0.0), 1.0)


def displaced_points(rest: Tensor, offsets: TimeOffsets, time: float, rotation: Tensor | None = None) -> Tensor:
    """Points ``(N, 3)`` at a time step by supplement eq. 3; at time 0 ``rest`` itself.

    Args:
        rest: ``(N, 3)`` where the points are at time 0: canonical points in the world; or in a view's camera space,
            ``dp_view`` included.
        offsets: ``dp_time`` of these points.
        time: Time step, fractions allowed; held beyond the ends of the clip.
        rotation: ``(3, 3)`` of the view's camera, from the world; None in the world.
    """
    if time <= 0:
        return rest
    moved = offsets.at(time)
    return rest.index_add(0, offsets.index, moved if rotation is None else moved @ rotation.T)
