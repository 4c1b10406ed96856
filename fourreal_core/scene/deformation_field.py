"""The temporal deformation field ``dp_time(p, t)`` of supplement eq. 3: an MLP of canonical position and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError


@dataclass(frozen=True)
class DeformationSpec:
    """Sizes of a deformation MLP; saved with a scene.

    Attributes:
        features: Hidden units, each a wave over the scene.
        frequencies: Lowest and highest frequency of the waves, in radians over the scene's radius.
        knots: Times, evenly spaced over the clip without its start, between which the motion is linear.
        depth_gain: How finely depth is resolved, relative to the image directions. Depths of one surface differ between
            views by more than its pixels do; a field that is smooth along the ray does not care.
        centre: Origin of the encoding in ray coordinates (see ray_coordinates).
        extent: Radius of what moves about ``centre``, in the same coordinates.
    """

    features: int = 512
    frequencies: tuple[float, float] = (2.0, 32.0)
    knots: int = 7
    depth_gain: float = 0.05
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    extent: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.frequencies
        if min(self.features, self.knots) < 1 or not 0 < low <= high or not (self.extent > 0 and self.depth_gain > 0):
            raise InputError(
                f"a deformation of {self.features} features between frequencies {low} and {high}, "
                f"{self.knots} knots and extent {self.extent}",
                "positive sizes, low before high",
                "leave them at their defaults",
            )


def ray_coordinates(points: Tensor, depth_gain: float) -> Tensor:
    """Canonical points ``(N, 3)`` as ``(x / z, y / z, depth_gain log z)``; even in pixels at any distance."""
    z = points[:, 2:].clamp_min(1e-2)
    return torch.cat([points[:, :2] / z, depth_gain * z.log()], 1)


class Deformation(nn.Module):
    """``dp_time``: offsets of canonical points at a time, zero at initialisation and at time 0 always.

    One hidden layer of sines at random frequencies (a positional encoding whose waves can be trained, after Fourier
    features, Tancik et al. 2020), and a linear output that gives the offset at every knot in time; the time encoding is
    the hat function of each knot. Since the output is linear, tracks start it in closed form (see solve_from_tracks)
    and rendering refines all of it. The paper gives no sizes for its MLP.

    Args:
        spec: Sizes.
        generator: Source of the frequencies.
    """

    def __init__(self, spec: DeformationSpec, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.spec = spec
        low, high = (math.log(f) for f in spec.frequencies)
        reach = torch.exp(torch.linspace(low, high, spec.features))
        self.waves = nn.Parameter(torch.randn(3, spec.features, generator=generator) * reach)
        self.phases = nn.Parameter(torch.rand(spec.features, generator=generator) * 2 * math.pi)
        self.out = nn.Parameter(torch.zeros(spec.features + 1, 3 * spec.knots))

    def encode(self, points: Tensor) -> Tensor:
        """Hidden activations ``(N, features + 1)`` of canonical points ``(N, 3)``; the last is constant."""
        rays = ray_coordinates(points, self.spec.depth_gain)
        unit = (rays - rays.new_tensor(self.spec.centre)) / self.spec.extent
        waves = torch.sin(unit @ self.waves + self.phases)
        return torch.cat([waves, torch.ones_like(waves[:, :1])], 1)

    def knot_weights(self, time: float) -> Tensor:
        """Weights ``(knots,)`` of the offsets at the knots for a clip position in ``[0, 1]``; all zero at time 0."""
        at = torch.arange(1, self.spec.knots + 1, dtype=self.out.dtype, device=self.out.device)
        return (1 - (time * self.spec.knots - at).abs()).clamp_min(0)

    def forward(self, points: Tensor, time: float) -> Tensor:
        """Offsets ``(N, 3)`` in world units of canonical points ``(N, 3)`` at a clip position in ``[0, 1]``."""
        by_knot = self.out.view(-1, self.spec.knots, 3)  # mixed in time first: one output in place of one a knot
        weights = torch.einsum("k,fkc->fc", self.knot_weights(time), by_knot)
        return self.encode(points) @ weights * self.reach(points)

    def at_knots(self, points: Tensor, output: Tensor | None = None) -> Tensor:
        """Offsets ``(N, knots, 3)`` at every knot; at any time they are mixed by knot_weights.

        Args:
            points: ``(N, 3)`` canonical.
            output: In place of ``out``, of its shape.
        """
        output = self.out if output is None else output
        return (self.encode(points) @ output * self.reach(points)).view(len(points), self.spec.knots, 3)

    def reach(self, points: Tensor) -> Tensor:
        """World units ``(N, 1)`` that an output of one stands for: what moves spans as much at the point's distance."""
        return points[:, 2:].clamp_min(1e-2) * self.spec.extent


@dataclass(frozen=True)
class TrackFitOptions:
    """How tracks start the deformation.

    Attributes:
        samples: Track points in the solution, drawn at random where there are more.
        ridge: Penalty on the output weights, relative to the data.
        unsure: Weight of a track where it was not surely seen, relative to where it was.
        rounds: Reweightings.
        robust_px: Error in pixels up to which a track counts fully.
    """

    samples: int = 20_000
    ridge: float = 1e-2
    unsure: float = 0.3
    rounds: int = 4
    robust_px: float = 0.3

    def __post_init__(self) -> None:
        if min(self.samples, self.rounds) < 1 or not (self.ridge > 0 and self.robust_px > 0 and 0 <= self.unsure <= 1):
            raise InputError(
                f"{self.samples} samples, {self.rounds} rounds, ridge {self.ridge}, unsure {self.unsure}",
                "positive numbers, unsure at most 1",
                "leave them at their defaults",
            )


def solve_from_tracks(
    deformation: Deformation,
    points: Tensor,
    offsets: Tensor,
    visible: Tensor,
    px_per_unit: Tensor,
    options: TrackFitOptions,
    generator: torch.Generator,
) -> float:
    """Sets the output weights in place so that the field follows measured displacements.

    Ridge regression, reweighted towards the L1 norm (wrong tracks must not pull); where a track was not
    surely seen, its offset is drawn towards what the last round's field says.

    Args:
        deformation: Its waves stay as they are.
        points: ``(M, 3)`` canonical points that move.
        offsets: ``(T, M, 3)`` displacements in world units, zero at time 0.
        visible: ``(T, M)`` bool, where they were measured.
        px_per_unit: ``(M,)`` pixels that one world unit spans at the point.
        options: See TrackFitOptions.
        generator: Of the random draw.

    Returns:
        Mean error of the seen displacements in pixels.
    """
    spec, times = deformation.spec, offsets.shape[0]
    if len(points) > options.samples:
        pick = torch.randperm(len(points), generator=generator)[: options.samples].to(points.device)
        points, offsets, visible, px_per_unit = points[pick], offsets[:, pick], visible[:, pick], px_per_unit[pick]
    basis = torch.stack([deformation.knot_weights(t / (times - 1)) for t in range(1, times)])
    to_knots = torch.linalg.pinv(basis)
    with torch.no_grad():
        phi = deformation.encode(points)
        reach = deformation.reach(points)
        measured = offsets[1:] / reach
        target = measured.clone()
        trust = torch.where(visible[1:], 1.0, options.unsure)
        weight = trust.mean(0)
        error_px = torch.zeros_like(weight)
        for _ in range(options.rounds):
            knots = torch.einsum("kt,tmc->mkc", to_knots, target).reshape(len(points), -1)
            weighted = phi * weight[:, None]
            gram = (weighted.T @ phi).double()
            gram.diagonal().add_(options.ridge * float(weight.sum()))
            solved = torch.linalg.solve(gram, (weighted.T @ knots).double()).to(phi.dtype)
            field = torch.einsum("tk,mkc->tmc", basis, (phi @ solved).view(len(points), spec.knots, 3))
            residual = ((field - measured) * reach).norm(dim=-1) * px_per_unit
            error_px = (residual * visible[1:]).sum(0) / visible[1:].sum(0).clamp_min(1)
            weight = trust.mean(0) / (error_px + options.robust_px)
            target = field + trust[..., None] * (measured - field)
        deformation.out.copy_(solved)
    return float(error_px.mean())
