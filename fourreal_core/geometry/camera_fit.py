"""The motion of a camera between two frames, from matches of which many may lie on things that move.

Motions are laddered from a shift, roll and zoom of the picture over turns to a camera that walks; the first that
explains what stands about as well as the best is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rotations import rotation_from_vector

Array = NDArray[np.float64]

ROUNDS = 12
"""Gauss-Newton steps of a fit."""
FIRST_WIDTH, WIDTH_SHRINKS, LEAST_WIDTH = 0.02, 0.7, 0.0025
"""Width of Geman-McClure's loss, as a share of the picture's width: at the start, its factor a step, and in the end."""
HYPOTHESES = 300
"""Motions of two matches that are tried as a start."""
SIMPLER_RATIO, SIMPLER_MARGIN = 1.15, 0.0002
"""A simpler motion does when the mean error of what stands is at most this multiple of the best one's plus this share
of the picture's width."""
_STEP = 1e-6  # of the numeric derivatives, in units in which half the picture's width is 1


@dataclass(frozen=True)
class PointMatches:
    """Points of a first frame and where another one shows them.

    Attributes:
        pixels: ``(N, 2)`` (x, y) from the picture's centre.
        seen: ``(N, 2)`` likewise in the other frame.
        weight: ``(N,)`` trust.
        inv_depth: ``(N,)`` in the first frame, about 1; None where no depth is known.
        width: Of the pictures in pixels.
        focal_px: Of the first frame's camera, None where it isn't known.
    """

    pixels: Array
    seen: Array
    weight: Array
    inv_depth: Array | None
    width: int
    focal_px: float | None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def half(self) -> float:
        """Half the width: the unit in which motions are solved."""
        return self.width / 2


@dataclass(frozen=True)
class FrameMotion:
    """Where the points of a first frame are in another one: ``x' ~ homography (x, y, 1) + inv_depth epipole``.

    Attributes:
        homography: ``(3, 3)`` on pixels from the picture's centre.
        epipole: ``(3,)``; zero for a camera that stands where it stood.
        model: Which motion of the ladder it is.
    """

    homography: Array
    epipole: Array
    model: str = "still"

    @classmethod
    def still(cls) -> FrameMotion:
        """No motion."""
        return cls(np.eye(3), np.zeros(3))

    @property
    def walks(self) -> bool:
        """Whether near things move against far ones."""
        return bool(self.epipole.any())

    @property
    def roll_degrees(self) -> float:
        """By how much the picture turns about its centre."""
        h = self.homography
        return float(np.degrees(np.arctan2(h[1, 0] - h[0, 1], h[0, 0] + h[1, 1])))

    @property
    def scale(self) -> float:
        """By how much the picture grows at its centre."""
        return float(np.sqrt(abs(np.linalg.det(self.homography[:2, :2]))) / self.homography[2, 2])

    def apply(self, pixels: Array, inv_depth: Array | float = 1.0) -> Array:
        """Where pixels ``(..., 2)`` (from the centre) at inverse depths ``(...)`` are seen."""
        h = self.homography
        at = pixels @ h[:, :2].T + h[:, 2]
        if self.walks:
            at = at + np.asarray(inv_depth)[..., None] * self.epipole
        moved: Array = at[..., :2] / np.maximum(at[..., 2:], 1e-3)
        return moved

    def after(self, earlier: FrameMotion) -> FrameMotion:
        """An earlier motion, then this one; what this one walks is left out."""
        return FrameMotion(self.homography @ earlier.homography, self.homography @ earlier.epipole, "chain")


Build = Callable[[Array, PointMatches], FrameMotion]


def _similarity(p: Array, matches: PointMatches) -> FrameMotion:
    a, b = 1 + p[0], p[1]
    return _in_pixels(np.array([[a, -b, p[2]], [b, a, p[3]], [0, 0, 1.0]]), np.zeros(3), matches, "shift")


def _turn(p: Array, matches: PointMatches) -> FrameMotion:
    return _pose(np.concatenate([p, np.zeros(3)]), matches, "turn")


def _pose(p: Array, matches: PointMatches, model: str = "walk") -> FrameMotion:
    f = (matches.focal_px or 0.0) / matches.half
    lens = np.array([f * np.exp(p[3]), f * np.exp(p[3]), 1.0])
    homography = lens[:, None] * rotation_from_vector(p[:3]) / np.array([f, f, 1.0])
    return _in_pixels(homography, lens * p[4:7], matches, model)


def _homography(p: Array, matches: PointMatches) -> FrameMotion:
    h = np.eye(3) + np.append(p, 0.0).reshape(3, 3)
    return _in_pixels(h, np.zeros(3), matches, "homography")


def _in_pixels(homography: Array, epipole: Array, matches: PointMatches, model: str) -> FrameMotion:
    s = np.array([matches.half, matches.half, 1.0])
    return FrameMotion(s[:, None] * homography / s, s * epipole, model)


def ladder(matches: PointMatches) -> list[tuple[Build, int]]:
    """The motions that can be told, simple ones first, with how many parameters they have."""
    out: list[tuple[Build, int]] = [(_similarity, 4)]
    if matches.focal_px is not None:
        out.append((_turn, 4))
    out.append((_homography, 8))
    if matches.focal_px is not None and matches.inv_depth is not None:
        out.append((_pose, 7))
    return out


def errors_px(motion: FrameMotion, matches: PointMatches) -> Array:
    """Distances ``(N,)`` in pixels between where points are seen and where a motion puts them."""
    depth = 1.0 if matches.inv_depth is None else matches.inv_depth
    errors: Array = np.linalg.norm(motion.apply(matches.pixels, depth) - matches.seen, axis=-1)
    return errors


def support(motion: FrameMotion, matches: PointMatches, width_px: float) -> float:
    """Share of the matches' weight that a motion explains, softly: half at ``width_px`` of error."""
    explained = 1 / (1 + (errors_px(motion, matches) / width_px) ** 2)
    return float((matches.weight * explained).sum() / max(matches.weight.sum(), 1e-12))


def fit_motion(matches: PointMatches, starts: list[FrameMotion], seed: int = 0) -> FrameMotion:
    """The camera's motion: what most of the picture's area agrees on.

    Args:
        matches: At least four.
        starts: First guesses, besides those that are drawn from the matches.
        seed: Of the draws.
    """
    width_px = LEAST_WIDTH * matches.width
    tried = [*starts, FrameMotion.still(), *_drawn(matches, seed)]
    best = max(tried, key=lambda motion: support(motion, matches, 2 * width_px))
    found = [_refined(build, count, best, matches) for build, count in ladder(matches)]
    found = [m if support(m, matches, width_px) >= support(best, matches, width_px) else best for m in found]
    errors = [errors_px(m, matches) for m in found]
    stands = np.min(errors, axis=0) < 3 * width_px
    if stands.sum() < 12:
        return best
    means = [float(np.average(e[stands], weights=matches.weight[stands])) for e in errors]
    enough = SIMPLER_RATIO * min(means) + SIMPLER_MARGIN * matches.width
    return next(m for m, mean in zip(found, means, strict=True) if mean <= enough)


def _refined(build: Build, count: int, start: FrameMotion, matches: PointMatches) -> FrameMotion:
    """Gauss-Newton under Geman-McClure weights whose width shrinks; derivatives are numeric.

    In the first steps a match counts by how well the start explains it, so any parametrisation can take the start over.
    """
    width_px = FIRST_WIDTH * matches.width
    trust = matches.weight / (1 + (errors_px(start, matches) / width_px) ** 2) ** 2
    depth = 1.0 if matches.inv_depth is None else matches.inv_depth
    p = np.zeros(count)
    for k in range(ROUNDS):
        motion = build(p, matches)
        if k > 2:
            width_px = max(LEAST_WIDTH, FIRST_WIDTH * WIDTH_SHRINKS ** (k - 2)) * matches.width
            trust = matches.weight / (1 + (errors_px(motion, matches) / width_px) ** 2) ** 2
        at = motion.apply(matches.pixels, depth)
        jacobian = np.stack(
            [(build(p + _STEP * e, matches).apply(matches.pixels, depth) - at) / _STEP for e in np.eye(count)], -1
        )
        residual = at - matches.seen
        normal = np.einsum("n,nai,naj->ij", trust, jacobian, jacobian)
        right = -np.einsum("n,nai,na->i", trust, jacobian, residual)
        normal += np.diag(1e-6 * np.diag(normal) + 1e-9)
        p = p + np.linalg.solve(normal, right)
    return build(p, matches)


def _drawn(matches: PointMatches, seed: int) -> list[FrameMotion]:
    """Shift, roll and zoom of two matches each, far apart."""
    rng = np.random.default_rng(seed)
    share = matches.weight / max(matches.weight.sum(), 1e-12)
    pick = rng.choice(len(matches), (HYPOTHESES, 2), p=share)
    a, b = (matches.pixels[pick[:, k]] @ [1, 1j] for k in (0, 1))
    c, d = (matches.seen[pick[:, k]] @ [1, 1j] for k in (0, 1))
    out = []
    for k in np.flatnonzero(np.abs(b - a) > 0.2 * matches.width):
        z = (d[k] - c[k]) / (b[k] - a[k])
        if 0.5 < abs(z) < 2:
            shift = c[k] - z * a[k]
            h = np.array([[z.real, -z.imag, shift.real], [z.imag, z.real, shift.imag], [0, 0, 1.0]])
            out.append(FrameMotion(h, np.zeros(3), "drawn"))
    return out
