"""Articulated animals and people, built at rest on the ground (y = 0, y points down) and moved joint by joint."""

from __future__ import annotations

import numpy as np

from .meshes import Floats, Mesh, capsule, superquadric, toothed_wheel
from .motions import Piece, Pose, bounce, place_on_ground, shifted, swing
from .random_choices import SceneRng

_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
BODY, LIMB, DARK, BRIGHT = 0, 1, 2, 3
"""What a body's pictures are for: trunk, limbs, eyes and hooves, beaks and hats."""


def quadruped(dice: SceneRng, phases: Floats) -> list[Piece]:
    """Something between a dachshund and a giraffe that walks along its x axis."""
    times = len(phases)
    length, girth, leg = dice.uniform(0.5, 0.95), dice.uniform(0.2, 0.36), dice.uniform(0.35, 0.95)
    thick = dice.uniform(0.06, 0.11)
    cycles, start = dice.uniform(0.5, 1.3), dice.uniform(0, 1)
    stride, bob = dice.uniform(0.3, 0.75), dice.uniform(0.0, 0.06)
    body = shifted(bounce(phases, bob, 2 * cycles, start)).then(Pose.rest(times))
    rock = Pose.about((0, -leg - girth, 0), _Z, swing(phases, dice.uniform(0, 0.09), 2 * cycles, start)).then(body)
    high = -leg - 0.7 * girth
    pieces = [
        rock.carry(superquadric((length, girth, 0.85 * girth), (1, dice.uniform(0.7, 1.1))).moved((0, high, 0)), BODY)
    ]
    for i, (x, z) in enumerate(((0.7, 0.6), (-0.7, -0.6), (0.7, -0.6), (-0.7, 0.6))):
        hip = np.float32([x * length, high + 0.2 * girth, z * girth])
        knee, foot = hip + np.float32([0, -hip[1] / 2, 0]), np.float32([hip[0], -0.5 * thick, hip[2]])
        phase = start + (0.5 if i >= 2 else 0.0)
        upper = Pose.about(hip, _Z, swing(phases, stride, cycles, phase)).then(body)
        bend = np.maximum(0, swing(phases, stride * 1.3, cycles, phase + 0.25))
        lower = Pose.about(knee, _Z, bend if x < 0 else -bend).then(upper)
        pieces += [
            upper.carry(capsule(hip, knee, (1.5 * thick, thick)), LIMB),
            lower.carry(capsule(knee, foot, (thick, 0.8 * thick)), LIMB),
            lower.carry(superquadric((1.3 * thick, 0.6 * thick, thick)).moved(foot), DARK),
        ]
    neck, tilt = dice.uniform(0.15, 1.0), dice.uniform(0.3, 1.2)
    root = np.float32([0.85 * length, high - 0.3 * girth, 0])
    top = root + neck * np.float32([np.cos(tilt), -np.sin(tilt), 0])
    nod = Pose.about(root, _Z, swing(phases, dice.uniform(0.05, 0.4), dice.uniform(0.4, 1.2), dice.uniform(0, 1))).then(
        rock
    )
    look = Pose.about(top, _Y, swing(phases, dice.uniform(0, 0.5), dice.uniform(0.3, 0.8), dice.uniform(0, 1))).then(
        nod
    )
    pieces += [nod.carry(capsule(root, top, (0.6 * girth, 0.4 * girth)), BODY), *_head(dice, look, top, 0.55 * girth)]
    tail = np.float32([-0.95 * length, high - 0.3 * girth, 0])
    end = tail + dice.uniform(0.3, 0.8) * np.float32([-0.8, dice.uniform(-0.8, 0.6), 0])
    wag = Pose.about(
        tail, dice.pick((_X, _Y, _Z)), swing(phases, dice.uniform(0.2, 0.9), dice.uniform(0.6, 2), 0)
    ).then(rock)
    pieces.append(wag.carry(capsule(tail, end, (0.9 * thick, 0.5 * thick)), LIMB))
    return place_on_ground(pieces, times, dice, phases)


def biped(dice: SceneRng, phases: Floats) -> list[Piece]:
    """A person or robot that walks, waves, dances or jumps."""
    times = len(phases)
    leg, trunk, wide = dice.uniform(0.6, 0.9), dice.uniform(0.5, 0.75), dice.uniform(0.2, 0.34)
    thick, cycles, start = dice.uniform(0.07, 0.12), dice.uniform(0.5, 1.2), dice.uniform(0, 1)
    stride, wave = dice.uniform(0.1, 0.7), dice.chance(0.5)
    jump = bounce(phases, dice.pick((0.03, 0.05, 0.35)), cycles * 2, start)
    root = Pose.about((0, -leg, 0), dice.pick((_X, _Z, _Y)), swing(phases, dice.uniform(0, 0.3), cycles, start)).then(
        shifted(jump)
    )
    square = (dice.uniform(0.4, 1), dice.uniform(0.4, 1))
    pieces = [root.carry(superquadric((0.75 * wide, 0.56 * trunk, wide), square).moved((0, -leg - trunk / 2, 0)), BODY)]
    for side in (-1, 1):
        phase = start + 0.25 * (1 + side)
        hip = np.float32([0, -leg, side * 0.55 * wide])
        knee, foot = hip * np.float32([1, 0.5, 1]), np.float32([0, -thick, hip[2]])
        upper = Pose.about(hip, _Z, swing(phases, stride, cycles, phase)).then(root)
        lower = Pose.about(knee, _Z, np.maximum(0, swing(phases, stride, cycles, phase + 0.25))).then(upper)
        pieces += [
            upper.carry(capsule(hip, knee, (1.2 * thick, thick)), LIMB),
            lower.carry(capsule(knee, foot, (thick, 0.8 * thick)), LIMB),
            lower.carry(
                superquadric((1.6 * thick, 0.6 * thick, thick)).moved(foot + np.float32([0.6 * thick, 0, 0])), DARK
            ),
        ]
        shoulder = np.float32([0, -leg - 0.92 * trunk, side * (wide + 0.6 * thick)])
        reach = 0.4 * (leg + trunk) * 0.75
        elbow, hand = shoulder + np.float32([0, reach, 0]), shoulder + np.float32([0, 1.9 * reach, 0])
        lift = side * dice.uniform(1.2, 2.6) if wave else 0.0
        raise_ = Pose.about(shoulder, _X, swing(phases, dice.uniform(0.1, 0.6), cycles, phase, -lift))
        arm = Pose.about(shoulder, _Z, swing(phases, stride, cycles, phase + 0.5)).then(raise_).then(root)
        fore = Pose.about(
            elbow, dice.pick((_X, _Z)), swing(phases, dice.uniform(0.2, 0.8), cycles * 1.5, phase, 0.4)
        ).then(arm)
        pieces += [
            arm.carry(capsule(shoulder, elbow, (thick, 0.85 * thick)), LIMB),
            fore.carry(capsule(elbow, hand, (0.85 * thick, 0.7 * thick)), LIMB),
            fore.carry(superquadric((1.1 * thick,) * 3).moved(hand), BRIGHT),
        ]
    top = np.float32([0, -leg - trunk - 0.12, 0])
    nod = Pose.about(
        top, dice.pick((_X, _Y, _Z)), swing(phases, dice.uniform(0, 0.5), cycles, dice.uniform(0, 1))
    ).then(root)
    size = dice.uniform(0.17, 0.28)
    return place_on_ground(pieces + _head(dice, nod, top + np.float32([0, -0.8 * size, 0]), size), times, dice, phases)


def bird(dice: SceneRng, phases: Floats) -> list[Piece]:
    """Something that flies and beats its wings: a bird, bat or butterfly."""
    times = len(phases)
    length, girth, span = dice.uniform(0.35, 0.6), dice.uniform(0.14, 0.25), dice.uniform(0.5, 0.95)
    cycles, start = dice.uniform(0.7, 1.8), dice.uniform(0, 1)
    beat = dice.uniform(0.35, 0.8)
    root = Pose.about((0, 0, 0), _Z, swing(phases, dice.uniform(0, 0.15), cycles, 0)).then(
        shifted(np.stack([0 * phases, swing(phases, 0.08, cycles, start + 0.25), 0 * phases], -1))
    )
    pieces = [root.carry(superquadric((length, girth, girth), (1, dice.uniform(0.8, 1.2))), BODY)]
    chord = dice.uniform(0.2, 0.42)
    for side in (-1, 1):
        shoulder, mid = (
            np.float32([0.05, -0.3 * girth, side * 0.6 * girth]),
            np.float32([0, -0.3 * girth, side * (girth + 0.5 * span)]),
        )
        inner = Pose.about(shoulder, _X, -side * swing(phases, beat, cycles, start, 0.15)).then(root)
        outer = Pose.about(mid, _X, -side * swing(phases, 0.8 * beat, cycles, start - 0.15)).then(inner)
        pieces += [
            inner.carry(superquadric((chord, 0.045, 0.3 * span), (0.7, 1)).moved((shoulder + mid) / 2), LIMB),
            outer.carry(
                superquadric((0.8 * chord, 0.035, 0.33 * span), (dice.uniform(0.7, 1.6), 1)).moved(
                    mid + np.float32([-0.05, 0, side * 0.28 * span])
                ),
                LIMB,
            ),
        ]
    fan = superquadric((0.3, 0.03, 0.22), (1.4, 1)).moved((-length - 0.15, 0, 0))
    pieces.append(Pose.about((-length, 0, 0), _Z, swing(phases, 0.3, cycles, start + 0.4)).then(root).carry(fan, LIMB))
    look = Pose.about((length, 0, 0), _Y, swing(phases, dice.uniform(0, 0.5), dice.uniform(0.4, 1), 0)).then(root)
    pieces += _head(dice, look, np.float32([0.95 * length, -0.6 * girth, 0]), 0.7 * girth)
    lean = Pose.about((0, 0, 0), dice.pick((_X, _Z)), np.full(times, dice.uniform(-0.7, 0.7), np.float32))
    return place_on_ground([Piece(p.mesh, lean(p.positions), p.paint) for p in pieces], times, dice, phases)


def insect(dice: SceneRng, phases: Floats) -> list[Piece]:
    """A spider, beetle or crab: a round trunk on six or eight bent legs."""
    times = len(phases)
    size, pairs = dice.uniform(0.3, 0.5), dice.pick((3, 4))
    thick, cycles = dice.uniform(0.035, 0.06), dice.uniform(0.7, 1.6)
    root = shifted(bounce(phases, 0.05, 2 * cycles, 0.0))
    high = -dice.uniform(0.35, 0.6)
    shape = superquadric(
        (size * dice.uniform(0.9, 1.4), size * dice.uniform(0.5, 0.9), size), (dice.uniform(0.7, 1.2),) * 2
    )
    pieces = [root.carry(shape.moved((-0.3 * size, high, 0)), BODY)]
    for i in range(pairs):
        for side in (-1, 1):
            angle = np.pi * (0.2 + 0.6 * i / (pairs - 1))
            out = np.float32([np.cos(angle), 0, side * np.sin(angle)])
            hip = 0.6 * size * out + np.float32([0, high, 0])
            knee = hip + np.float32([0, -0.25, 0]) + 0.4 * out
            foot = knee + 0.35 * out + np.float32([0, -knee[1], 0])
            phase = 0.5 * ((i + (side > 0)) % 2)
            pose = Pose.about(hip, _Y, swing(phases, dice.uniform(0.25, 0.45), cycles, phase)).then(root)
            lift = Pose.about(
                hip, (float(out[2]), 0, -float(out[0])), np.maximum(0, swing(phases, 0.35, cycles, phase + 0.25))
            )
            leg = lift.then(pose)
            pieces += [
                leg.carry(capsule(hip, knee, (1.3 * thick, thick), detail=8), LIMB),
                leg.carry(capsule(knee, foot, (thick, 0.5 * thick), detail=8), LIMB),
            ]
    pieces += _head(dice, root, np.float32([0.9 * size, high, 0]), 0.5 * size)
    return place_on_ground(pieces, times, dice, phases, 0.4)


def _head(dice: SceneRng, pose: Pose, centre: Floats, size: float) -> list[Piece]:
    """A head that looks along x: eyes, a snout or beak, and ears, horns or a hat."""
    skull = superquadric(
        (size * dice.uniform(1, 1.3), size, size * dice.uniform(0.85, 1)), (1, dice.uniform(0.6, 1))
    ).moved(centre)
    parts: list[tuple[Mesh, int]] = [(skull, BODY if dice.chance(0.5) else LIMB)]
    snout = capsule(
        centre + np.float32([0.7 * size, 0.2 * size, 0]),
        centre + np.float32([size * dice.uniform(1.2, 2.0), 0.35 * size, 0]),
        (0.5 * size, size * dice.uniform(0.15, 0.4)),
    )
    parts.append((snout, dice.pick((LIMB, BRIGHT))))
    for side in (-1, 1):
        eye = centre + size * np.float32([0.85, -0.35, 0.5 * side])
        parts += [
            (superquadric((0.3 * size,) * 3, detail=10).moved(eye), BRIGHT),
            (superquadric((0.17 * size,) * 3, detail=8).moved(eye + 0.2 * size * np.float32([1, 0, 0.4 * side])), DARK),
        ]
    top = dice.whole(0, 3)
    for side in (-1, 1):
        root = centre + size * np.float32([-0.1, -0.7, 0.6 * side])
        end = root + size * np.float32([dice.uniform(-0.5, 0.3), -dice.uniform(0.5, 1.6), dice.uniform(0, 0.6) * side])
        if top == 0:
            parts.append((capsule(root, end, (0.3 * size, 0.08 * size), detail=8), LIMB))
        elif top == 1:
            parts.append((superquadric((0.12 * size, 0.5 * size, 0.35 * size)).moved((root + end) / 2), BODY))
    if top == 2:
        parts.append(
            (
                toothed_wheel(0.8 * size, 0.12 * size, 7, 0.4)
                .turned(np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))
                .moved(centre + size * np.float32([0, -0.95, 0])),
                BRIGHT,
            )
        )
    return [pose.carry(mesh, paint) for mesh, paint in parts]
