"""Rigid things that tumble, spin, roll and bounce, alone or a few together."""

from __future__ import annotations

import numpy as np

from .creatures import BODY, BRIGHT, LIMB
from .meshes import Floats, Mesh, box, capsule, join, lathe, superquadric, toothed_wheel, torus
from .motions import Piece, Pose, bounce, eased, place_on_ground, shifted, swing, to_and_fro
from .random_choices import SceneRng


def any_thing(dice: SceneRng, size: float) -> Mesh:
    """A single rigid shape of about the given radius."""
    kind = dice.whole(0, 7)
    if kind == 0:
        return box(tuple(size * dice.uniform(0.4, 0.75) for _ in range(3)), 1 / size)
    if kind == 1:
        return torus(0.68 * size, size * dice.uniform(0.16, 0.32), 0.8 / size)
    if kind == 2:
        return toothed_wheel(
            size, size * dice.uniform(0.15, 0.35), dice.whole(5, 9), dice.uniform(0.2, 0.55), 0.8 / size
        )
    if kind == 3:
        return _turned_piece(dice, size)
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
        return join([seat, *legs, *(back if dice.chance(0.6) else [])])
    if kind == 6:  # a house
        roof = lathe(np.float32([-0.95, -0.25, -0.25]) * size, np.float32([0.02, 0.8, 0.02]) * size, 1 / size, 4)
        return join([box((0.5 * size, 0.45 * size, 0.5 * size), 1 / size).moved((0, 0.2 * size, 0)), roof])
    return superquadric(
        tuple(size * dice.uniform(0.5, 0.95) for _ in range(3)),
        (dice.pick((0.25, 0.6, 1, 1.8)), dice.pick((0.25, 0.6, 1, 1.8))),
        1 / size,
        18,
    )


def tumbling(dice: SceneRng, phases: Floats) -> list[Piece]:
    """One large thing, sometimes with a small one beside it, that turns about a slanting axis."""
    times = len(phases)
    main = any_thing(dice, 1.0)
    axis = tuple(float(x) for x in dice.numbers(3) + np.float32([0, 1, 0]))
    turn = dice.signed(0.3, 1.6)
    angles = eased(phases, turn) if dice.chance(0.5) else turn * phases
    lean = Pose.about(
        (0, 0, 0), tuple(float(x) for x in dice.numbers(3)), np.full(times, dice.uniform(0, 1.2), np.float32)
    )
    path = shifted(bounce(phases, dice.pick((0.0, 0.4)), dice.uniform(0.6, 1.2), dice.uniform(0, 1)))
    pose = lean.then(Pose.about((0, 0, 0), axis, angles.astype(np.float32))).then(path)
    pieces = [pose.carry(main, BODY)]
    if dice.chance(0.5):
        orbit = Pose.about((0, 0, 0), axis, (dice.signed(0.5, 1.8) * phases + dice.uniform(0, 6)).astype(np.float32))
        pieces.append(
            orbit.carry(any_thing(dice, dice.uniform(0.25, 0.4)).moved((1.15, dice.uniform(-0.5, 0.5), 0)), BRIGHT)
        )
    return place_on_ground(pieces, times, dice, phases, 0.6)


def bouncing(dice: SceneRng, phases: Floats) -> list[Piece]:
    """Three to six things that hop, roll or spin beside each other."""
    times, count, pieces = len(phases), dice.whole(3, 6), []
    for i in range(count):
        size = dice.uniform(0.25, 0.5)
        about, away = 2 * np.pi * i / count + dice.uniform(-0.3, 0.3), dice.uniform(0.45, 0.9)
        place = np.float32([away * np.cos(about), -size, away * np.sin(about)])
        hop = bounce(phases, dice.pick((0.0, 0.5, 0.9)), dice.uniform(0.5, 1.3), dice.uniform(0, 1))
        spin = Pose.about(
            (0, 0, 0), tuple(float(x) for x in dice.numbers(3)), (dice.signed(0.2, 2.0) * phases).astype(np.float32)
        )
        slide = np.outer(to_and_fro(phases), dice.uniform(-0.4, 0.4) * np.float32([np.sin(about), 0, np.cos(about)]))
        pieces.append(
            spin.then(shifted(place + hop + slide)).carry(any_thing(dice, size), dice.pick((BODY, LIMB, BRIGHT)))
        )
    return place_on_ground(pieces, times, dice, phases, 0.1)


def stacked(dice: SceneRng, phases: Floats) -> list[Piece]:
    """A tower of things that sways or shears, each on the one below: a totem, a snowman, a pile of books."""
    pose, high, pieces = Pose.rest(len(phases)), 0.0, []
    cycles, start = dice.uniform(0.4, 0.9), dice.uniform(0, 1)
    for i in range(dice.whole(3, 5)):
        tall, wide = dice.uniform(0.14, 0.32), dice.uniform(0.25, 0.5)
        part = (
            superquadric((wide, tall, wide * dice.uniform(0.7, 1)), (dice.pick((0.25, 1)), dice.pick((0.3, 0.6, 1))))
            if dice.chance(0.6)
            else box((wide, tall, wide * dice.uniform(0.6, 1)))
        )
        lean = Pose.about((0, -high, 0), (0, 0, 1), swing(phases, dice.uniform(0.05, 0.2), cycles, start - 0.08 * i))
        twist = Pose.about((0, -high, 0), (0, 1, 0), swing(phases, dice.uniform(0, 0.7), cycles, start))
        pose = lean.then(twist).then(pose) if i else twist.then(pose)
        pieces.append(pose.carry(part.moved((0, -high - tall, 0)), dice.pick((BODY, LIMB, BRIGHT))))
        high += 2 * tall
    return place_on_ground(pieces, len(phases), dice, phases, 0.3)


def _turned_piece(dice: SceneRng, size: float) -> Mesh:
    """A vase, bottle, bell or chess piece."""
    knots = dice.whole(4, 6)
    rings = np.concatenate([[0.02], 0.25 + 0.45 * dice.shares(knots), [0.02]]) * size
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
