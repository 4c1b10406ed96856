"""How joints and bodies move over a clip: swings, steps, bounces, turns, and chains of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .meshes import Floats, Mesh, rotation, vector
from .random_choices import SceneRng


@dataclass(frozen=True)
class MovingPart:
    """A part of the subject through the clip.

    Attributes:
        mesh: Its faces and texture coordinates; the mesh's own points are where it is at rest.
        positions: ``(T, N, 3)`` where its corners are, in world space.
        texture: Number of the subject's texture that it shows.
    """

    mesh: Mesh
    positions: Floats
    texture: int


@dataclass(frozen=True)
class Pose:
    """A rigid motion through the clip: ``x -> turn x + shift``.

    Attributes:
        turn: ``(T, 3, 3)``.
        shift: ``(T, 3)``.
    """

    turn: Floats
    shift: Floats

    @classmethod
    def rest(cls, times: int) -> Pose:
        """No motion."""
        return cls(np.tile(np.eye(3, dtype=np.float32), (times, 1, 1)), np.zeros((times, 3), np.float32))

    @classmethod
    def about(cls, pivot: Floats | Sequence[float], axis: Sequence[float], angles: Floats) -> Pose:
        """Turns by ``angles (T,)`` in radians about an axis through a pivot."""
        turn, pivot = rotation(axis, angles), np.asarray(pivot, np.float32)
        return cls(turn, (pivot - turn @ pivot).astype(np.float32))

    def then(self, outer: Pose) -> Pose:
        """This motion first, the outer one carrying its result along."""
        return Pose(outer.turn @ self.turn, np.einsum("tij,tj->ti", outer.turn, self.shift) + outer.shift)

    def __call__(self, points: Floats) -> Floats:
        """``(T, N, 3)`` of points ``(N, 3)``, or of ``(T, N, 3)`` that move themselves."""
        if points.ndim == 2:
            return np.asarray(np.einsum("tij,nj->tni", self.turn, points) + self.shift[:, None], np.float32)
        return np.asarray(np.einsum("tij,tnj->tni", self.turn, points) + self.shift[:, None], np.float32)

    def carry(self, mesh: Mesh, texture: int = 0) -> MovingPart:
        """A rigid piece that moves along."""
        return MovingPart(mesh, self(mesh.points), texture)


def shifted(offsets: Floats) -> Pose:
    """A motion without turning, by ``offsets (T, 3)``."""
    return Pose(np.tile(np.eye(3, dtype=np.float32), (len(offsets), 1, 1)), offsets.astype(np.float32))


def swing(phases: Floats, amplitude: float, cycles: float, phase: float, centre: float = 0.0) -> Floats:
    """Angles ``(T,)`` of a pendulum; ``phases`` run from 0 to 1 over the clip."""
    return np.asarray(centre + amplitude * np.sin(2 * np.pi * (cycles * phases + phase)), np.float32)


def eased(phases: Floats, amount: float) -> Floats:
    """From 0 to ``amount``, slow at first and at last; where the clip goes on beyond 1, back again."""
    return np.asarray(amount * (0.5 - 0.5 * np.cos(np.pi * phases)), np.float32)


def to_and_fro(phases: Floats) -> Floats:
    """The phases themselves up to 1, then back to 0 at 2, and so on."""
    return (1 - np.abs(phases % 2 - 1)).astype(np.float32)


def bounce(phases: Floats, height: float, cycles: float, phase: float) -> Floats:
    """Offsets ``(T, 3)`` of something that hops on the ground; y points down."""
    up = height * np.abs(np.sin(np.pi * (cycles * phases + phase)))
    return np.stack([0 * up, -up, 0 * up], -1).astype(np.float32)


def wander(rng: SceneRng, phases: Floats, reach: float) -> Floats:
    """Offsets ``(T, 3)`` of a body that drifts along the ground."""
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0, reach)
    along = eased(phases, 1.0) if rng.chance(0.5) else to_and_fro(phases)
    return (along[:, None] * distance * vector(np.cos(angle), 0, 0.5 * np.sin(angle))).astype(np.float32)


def place_on_ground(
    pieces: list[MovingPart], times: int, rng: SceneRng, phases: Floats, reach: float = 0.5
) -> list[MovingPart]:
    """Turns a whole body to a random side, lets it drift and turn a little while it does what it does."""
    heading = rng.uniform(-np.pi, np.pi)
    turning = eased(phases, rng.uniform(-0.5, 0.5)) if rng.chance(0.6) else np.zeros(times, np.float32)
    pose = Pose.about((0, 0, 0), (0, 1, 0), heading + turning).then(shifted(wander(rng, phases, reach)))
    return [MovingPart(p.mesh, pose(p.positions), p.texture) for p in pieces]
