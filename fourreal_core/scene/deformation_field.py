"""The temporal deformation field ``dp_time(p, t)`` of supplement eq. 3.

Fourier features of the canonical position (Tancik et al. 2020) with a linear read-out at knots in time. The supplement
uses an MLP of position and time and gives no sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

NEAREST = 1e-2
"""Depth in world units below which points count as this far away, so that what is behind the camera stays finite."""
AT_ONCE = 8192
"""Points that are encoded at once: 513 numbers each, several times over, were most of a job's memory."""


@dataclass(frozen=True)
class DeformationSpec:
    """Sizes of a deformation field; saved with a scene.

    Attributes:
        features: Number of Fourier features.
        frequencies: Lowest and highest frequency, in radians over ``extent``.
        knots: Times, evenly spaced over the clip without its start, between which the motion is linear.
        depth_gain: How finely depth is resolved, relative to the image directions. Depths of one surface differ between
            views by more than its pixels do; a field that is smooth along the ray is not affected.
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


@dataclass(frozen=True)
class DeformationField:
    """``dp_time``: offsets of canonical points at a time, zero at time 0 always.

    ``dp_time(p, t) = z extent sum_k hat_k(t) [sin(B x(p) + phase), 1] W_k`` with ray coordinates ``x`` scaled to the
    extent of what moves, and one read-out ``W_k`` for each knot in time. It is linear in ``W``: tracks determine it in
    closed form (see fit_to_tracks), and rendering refines it (see rendering_fit).

    Attributes:
        spec: Sizes.
        frequencies: ``(3, F)`` the matrix ``B``.
        phases: ``(F,)`` in radians.
        weights: ``(F + 1, 3 K)`` the read-out; the last row belongs to the constant feature.
    """

    spec: DeformationSpec
    frequencies: Tensor
    phases: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        features, knots = self.spec.features, self.spec.knots
        got = [tuple(x.shape) for x in (self.frequencies, self.phases, self.weights)]
        expected = [(3, features), (features,), (features + 1, 3 * knots)]
        if got != expected:
            raise InputError(f"a deformation of shapes {got}", f"{expected}", "build it from its own specification")

    def encode(self, points: Tensor) -> Tensor:
        """Fourier features ``(N, F + 1)`` of canonical points ``(N, 3)``; the last is constant."""
        rays = ray_coordinates(points, self.spec.depth_gain)
        unit = (rays - rays.new_tensor(self.spec.centre)) / self.spec.extent
        features = torch.sin(unit @ self.frequencies + self.phases)
        return torch.cat([features, torch.ones_like(features[:, :1])], 1)

    def features(self, points: Tensor) -> Tensor:
        """The same for a read-out, ``(F + 1, N)``, worked out for some points at a time."""
        found = points.new_empty(len(self.phases) + 1, len(points))
        start = 0
        for some in in_blocks(points):
            found[:, start : start + len(some)] = self.encode(some).T
            start += len(some)
        return found

    def reach(self, points: Tensor) -> Tensor:
        """World units ``(N, 1)`` that a read-out of one stands for: the extent of what moves at a point's depth."""
        return points[:, 2:].clamp_min(NEAREST) * self.spec.extent

    def at_knots(self, points: Tensor) -> list[Tensor]:
        """Offsets ``(N, 3)`` in world units of canonical points ``(N, 3)`` at every knot."""
        found = [read_out(self.encode(some).T, self.weights, self.reach(some)) for some in in_blocks(points)]
        return found[0] if len(found) == 1 else [torch.cat(knot) for knot in zip(*found, strict=True)]


def random_field(
    spec: DeformationSpec, generator: torch.Generator, device: torch.device | str = "cpu"
) -> DeformationField:
    """A field that moves nothing yet, its frequencies and phases drawn at random.

    Args:
        spec: Sizes.
        generator: Of the draw, on the CPU.
        device: Where the field shall be.
    """
    low, high = (math.log(f) for f in spec.frequencies)
    lengths = torch.exp(torch.linspace(low, high, spec.features))
    frequencies = (torch.randn(3, spec.features, generator=generator) * lengths).to(device)
    phases = (torch.rand(spec.features, generator=generator) * 2 * math.pi).to(device)
    return DeformationField(spec, frequencies, phases, torch.zeros(spec.features + 1, 3 * spec.knots, device=device))


def ray_coordinates(points: Tensor, depth_gain: float) -> Tensor:
    """Canonical points ``(N, 3)`` as ``(x / z, y / z, depth_gain log z)``: evenly spaced in pixels at any distance."""
    z = points[:, 2:].clamp_min(NEAREST)
    return torch.cat([points[:, :2] / z, depth_gain * z.log()], 1)


def in_blocks(points: Tensor) -> tuple[Tensor, ...]:
    """Points ``(N, 3)`` in blocks of AT_ONCE and more, none much smaller: a product's last bits go with its shape."""
    blocks: tuple[Tensor, ...] = points.tensor_split(max(1, len(points) // AT_ONCE))
    return blocks


def read_out(features: Tensor, weights: Tensor, reach: Tensor) -> list[Tensor]:
    """Offsets ``(N, 3)`` at each of K knots.

    Args:
        features: ``(F + 1, N)``.
        weights: ``(F + 1, 3 K)``.
        reach: ``(N, 1)`` world units that a read-out of one stands for.
    """
    found = (weights.T @ features).view(weights.shape[1] // 3, 3, features.shape[1])
    return [offsets.T * reach for offsets in found]


def knot_weights(knots: int, position: float) -> list[tuple[int, float]]:
    """The knots that a place in the clip lies between, and their weights; none at its start.

    Args:
        knots: Their number; knot k lies at ``(k + 1) / knots``.
        position: In ``[0, 1]``.
    """
    at = torch.arange(1, knots + 1, dtype=torch.float32)
    hat = (1 - (position * knots - at).abs()).clamp_min(0)
    return [(k, w) for k, w in enumerate(hat.tolist()) if w]
