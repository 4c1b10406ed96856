"""Rigid things that tumble, spin, roll and bounce, alone or a few together."""

from __future__ import annotations

import numpy as np

from .creatures import BODY, BRIGHT, LIMB
from .meshes import Floats, Mesh, box, capsule, join, lathe, superquadric, toothed_wheel, torus, vector
from .motions import MovingPart, Pose, bounce, eased, place_on_ground, shifted, swing, to_and_fro
from .random_choices import SceneRng


def random_object(rng: SceneRng, size: float) -> Mesh:
    """A single rigid shape of about the given radius."""
    kind = rng.integer(0, 7)
    if kind == 0:
        return box(tuple(size * rng.uniform(0.4, 0.75) for _ in range(3)), 1 / size)
    if kind == 1:
        return torus(0.68 * size, size * rng.uniform(0.16, 0.32), 0.8 / size)
    if kind == 2:
        return toothed_wheel(
            size, size * rng.uniform(0.15, 0.35), rng.integer(5, 9), rng.uniform(0.2, 0.55), 0.8 / size
        )
    if kind == 3:
        return _turned_piece(rng, size)
    if kind == 4:  # a jack: three bars through one middle
        bars = [
            capsule(
                -size * np.eye(3, dtype=np.float32)[i],
                size * np.eye(3, dtype=np.float32)[i],
                (0.22 * size,) * 2,
                1 / size,
            )
            for i in range(3)
        ]
        return join([*bars, superquadric((0.4 * size,) * 3)])
    if kind == 5:  # a table or chair
        legs = [
            box((0.09 * size, 0.4 * size, 0.09 * size), 1 / size, 1).moved((x * size, 0.45 * size, z * size))
            for x in (-0.5, 0.5)
            for z in (-0.45, 0.45)
        ]
        back = [box((0.08 * size, 0.45 * size, 0.55 * size), 1 / size).moved((-0.55 * size, -0.4 * size, 0))]
        seat = box((0.63 * size, 0.08 * size, 0.57 * size), 1 / size)
        return join([seat, *legs, *(back if rng.chance(0.6) else [])])
    if kind == 6:  # a house
        roof = lathe(vector(-0.95, -0.25, -0.25) * size, vector(0.02, 0.8, 0.02) * size, 1 / size, 4)
        return join([box((0.5 * size, 0.45 * size, 0.5 * size), 1 / size).moved((0, 0.2 * size, 0)), roof])
    return superquadric(
        tuple(size * rng.uniform(0.5, 0.95) for _ in range(3)),
        (rng.choice((0.25, 0.6, 1, 1.8)), rng.choice((0.25, 0.6, 1, 1.8))),
        1 / size,
        18,
    )


def tumbling(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """One large thing, sometimes with a small one beside it, that turns about a slanting axis."""
    times = len(phases)
    main = random_object(rng, 1.0)
    axis = tuple(float(x) for x in rng.normals(3) + vector(0, 1, 0))
    turn = rng.signed(0.3, 1.6)
    angles = eased(phases, turn) if rng.chance(0.5) else turn * phases
    lean = Pose.about(
        (0, 0, 0), tuple(float(x) for x in rng.normals(3)), np.full(times, rng.uniform(0, 1.2), np.float32)
    )
    path = shifted(bounce(phases, rng.choice((0.0, 0.4)), rng.uniform(0.6, 1.2), rng.uniform(0, 1)))
    pose = lean.then(Pose.about((0, 0, 0), axis, angles.astype(np.float32))).then(path)
    pieces = [pose.carry(main, BODY)]
    if rng.chance(0.5):
        orbit = Pose.about((0, 0, 0), axis, (rng.signed(0.5, 1.8) * phases + rng.uniform(0, 6)).astype(np.float32))
        pieces.append(
            orbit.carry(random_object(rng, rng.uniform(0.25, 0.4)).moved((1.15, rng.uniform(-0.5, 0.5), 0)), BRIGHT)
        )
    return place_on_ground(pieces, times, rng, phases, 0.6)


def bouncing(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """Three to six things that hop, roll or spin beside each other."""
    times, count, pieces = len(phases), rng.integer(3, 6), []
    for i in range(count):
        size = rng.uniform(0.25, 0.5)
        about, away = 2 * np.pi * i / count + rng.uniform(-0.3, 0.3), rng.uniform(0.45, 0.9)
        place = vector(away * np.cos(about), -size, away * np.sin(about))
        hop = bounce(phases, rng.choice((0.0, 0.5, 0.9)), rng.uniform(0.5, 1.3), rng.uniform(0, 1))
        spin = Pose.about(
            (0, 0, 0), tuple(float(x) for x in rng.normals(3)), (rng.signed(0.2, 2.0) * phases).astype(np.float32)
        )
        slide = np.outer(to_and_fro(phases), rng.uniform(-0.4, 0.4) * vector(np.sin(about), 0, np.cos(about)))
        pieces.append(
            spin.then(shifted(place + hop + slide)).carry(random_object(rng, size), rng.choice((BODY, LIMB, BRIGHT)))
        )
    return place_on_ground(pieces, times, rng, phases, 0.1)


def stacked(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A tower of things that sways or shears, each on the one below: a totem, a snowman, a pile of books."""
    pose, high, pieces = Pose.rest(len(phases)), 0.0, []
    cycles, start = rng.uniform(0.4, 0.9), rng.uniform(0, 1)
    for i in range(rng.integer(3, 5)):
        tall, wide = rng.uniform(0.14, 0.32), rng.uniform(0.25, 0.5)
        part = (
            superquadric((wide, tall, wide * rng.uniform(0.7, 1)), (rng.choice((0.25, 1)), rng.choice((0.3, 0.6, 1))))
            if rng.chance(0.6)
            else box((wide, tall, wide * rng.uniform(0.6, 1)))
        )
        lean = Pose.about((0, -high, 0), (0, 0, 1), swing(phases, rng.uniform(0.05, 0.2), cycles, start - 0.08 * i))
        twist = Pose.about((0, -high, 0), (0, 1, 0), swing(phases, rng.uniform(0, 0.7), cycles, start))
        pose = lean.then(twist).then(pose) if i else twist.then(pose)
        pieces.append(pose.carry(part.moved((0, -high - tall, 0)), rng.choice((BODY, LIMB, BRIGHT))))
        high += 2 * tall
    return place_on_ground(pieces, len(phases), rng, phases, 0.3)


def _turned_piece(rng: SceneRng, size: float) -> Mesh:
    """A vase, bottle, bell or chess piece."""
    knots = rng.integer(4, 6)
    rings = np.concatenate([[0.02], 0.25 + 0.45 * rng.uniforms(knots), [0.02]]) * size
    heights = np.concatenate([[-0.95], np.linspace(-0.95, 0.95, knots), [0.95]]) * size
    fine = np.linspace(0, 1, knots * 3 - 2)
    coarse = np.linspace(0, 1, knots)
    smooth = np.interp(fine, coarse, rings[1:-1])
    smooth[1:-1] = (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4
    level = np.interp(fine, coarse, heights[1:-1])
    return lathe(
        np.concatenate([heights[:1], level, heights[-1:]]).astype(np.float32),
        np.concatenate([rings[:1], smooth, rings[-1:]]).astype(np.float32),
        1 / size,
        18,
    )
