"""Articulated animals and people, built at rest on the ground (y = 0, y points down) and moved joint by joint."""

from __future__ import annotations

import numpy as np

from .meshes import Floats, Mesh, capsule, superquadric, toothed_wheel, vector
from .motions import MovingPart, Pose, bounce, place_on_ground, shifted, swing
from .random_choices import SceneRng

_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
BODY, LIMB, DARK, BRIGHT = 0, 1, 2, 3
"""What the textures of a subject are for, by number: trunk, limbs, eyes and hooves, beaks and hats."""


def quadruped(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """Something between a dachshund and a giraffe that walks along its x axis."""
    times = len(phases)
    length, girth, leg = rng.uniform(0.5, 0.95), rng.uniform(0.2, 0.36), rng.uniform(0.35, 0.95)
    thick = rng.uniform(0.06, 0.11)
    cycles, start = rng.uniform(0.5, 1.3), rng.uniform(0, 1)
    stride, bob = rng.uniform(0.3, 0.75), rng.uniform(0.0, 0.06)
    body = shifted(bounce(phases, bob, 2 * cycles, start)).then(Pose.rest(times))
    rock = Pose.about((0, -leg - girth, 0), _Z, swing(phases, rng.uniform(0, 0.09), 2 * cycles, start)).then(body)
    high = -leg - 0.7 * girth
    pieces = [
        rock.carry(superquadric((length, girth, 0.85 * girth), (1, rng.uniform(0.7, 1.1))).moved((0, high, 0)), BODY)
    ]
    for i, (x, z) in enumerate(((0.7, 0.6), (-0.7, -0.6), (0.7, -0.6), (-0.7, 0.6))):
        hip = vector(x * length, high + 0.2 * girth, z * girth)
        knee, foot = hip + vector(0, -hip[1] / 2, 0), vector(hip[0], -0.5 * thick, hip[2])
        phase = start + (0.5 if i >= 2 else 0.0)
        upper = Pose.about(hip, _Z, swing(phases, stride, cycles, phase)).then(body)
        bend = np.maximum(0, swing(phases, stride * 1.3, cycles, phase + 0.25))
        lower = Pose.about(knee, _Z, bend if x < 0 else -bend).then(upper)
        pieces += [
            upper.carry(capsule(hip, knee, (1.5 * thick, thick)), LIMB),
            lower.carry(capsule(knee, foot, (thick, 0.8 * thick)), LIMB),
            lower.carry(superquadric((1.3 * thick, 0.6 * thick, thick)).moved(foot), DARK),
        ]
    neck, tilt = rng.uniform(0.15, 1.0), rng.uniform(0.3, 1.2)
    root = vector(0.85 * length, high - 0.3 * girth, 0)
    top = root + neck * vector(np.cos(tilt), -np.sin(tilt), 0)
    nod = Pose.about(root, _Z, swing(phases, rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.2), rng.uniform(0, 1))).then(
        rock
    )
    look = Pose.about(top, _Y, swing(phases, rng.uniform(0, 0.5), rng.uniform(0.3, 0.8), rng.uniform(0, 1))).then(nod)
    pieces += [nod.carry(capsule(root, top, (0.6 * girth, 0.4 * girth)), BODY), *_head(rng, look, top, 0.55 * girth)]
    tail = vector(-0.95 * length, high - 0.3 * girth, 0)
    end = tail + rng.uniform(0.3, 0.8) * vector(-0.8, rng.uniform(-0.8, 0.6), 0)
    wag = Pose.about(tail, rng.choice((_X, _Y, _Z)), swing(phases, rng.uniform(0.2, 0.9), rng.uniform(0.6, 2), 0)).then(
        rock
    )
    pieces.append(wag.carry(capsule(tail, end, (0.9 * thick, 0.5 * thick)), LIMB))
    return place_on_ground(pieces, times, rng, phases)


def biped(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A person or robot that walks, waves, dances or jumps."""
    times = len(phases)
    leg, trunk, wide = rng.uniform(0.6, 0.9), rng.uniform(0.5, 0.75), rng.uniform(0.2, 0.34)
    thick, cycles, start = rng.uniform(0.07, 0.12), rng.uniform(0.5, 1.2), rng.uniform(0, 1)
    stride, wave = rng.uniform(0.1, 0.7), rng.chance(0.5)
    jump = bounce(phases, rng.choice((0.03, 0.05, 0.35)), cycles * 2, start)
    root = Pose.about((0, -leg, 0), rng.choice((_X, _Z, _Y)), swing(phases, rng.uniform(0, 0.3), cycles, start)).then(
        shifted(jump)
    )
    square = (rng.uniform(0.4, 1), rng.uniform(0.4, 1))
    pieces = [root.carry(superquadric((0.75 * wide, 0.56 * trunk, wide), square).moved((0, -leg - trunk / 2, 0)), BODY)]
    for side in (-1, 1):
        phase = start + 0.25 * (1 + side)
        hip = vector(0, -leg, side * 0.55 * wide)
        knee, foot = hip * vector(1, 0.5, 1), vector(0, -thick, hip[2])
        upper = Pose.about(hip, _Z, swing(phases, stride, cycles, phase)).then(root)
        lower = Pose.about(knee, _Z, np.maximum(0, swing(phases, stride, cycles, phase + 0.25))).then(upper)
        pieces += [
            upper.carry(capsule(hip, knee, (1.2 * thick, thick)), LIMB),
            lower.carry(capsule(knee, foot, (thick, 0.8 * thick)), LIMB),
            lower.carry(superquadric((1.6 * thick, 0.6 * thick, thick)).moved(foot + vector(0.6 * thick, 0, 0)), DARK),
        ]
        shoulder = vector(0, -leg - 0.92 * trunk, side * (wide + 0.6 * thick))
        reach = 0.4 * (leg + trunk) * 0.75
        elbow, hand = shoulder + vector(0, reach, 0), shoulder + vector(0, 1.9 * reach, 0)
        lift = side * rng.uniform(1.2, 2.6) if wave else 0.0
        raise_ = Pose.about(shoulder, _X, swing(phases, rng.uniform(0.1, 0.6), cycles, phase, -lift))
        arm = Pose.about(shoulder, _Z, swing(phases, stride, cycles, phase + 0.5)).then(raise_).then(root)
        fore = Pose.about(
            elbow, rng.choice((_X, _Z)), swing(phases, rng.uniform(0.2, 0.8), cycles * 1.5, phase, 0.4)
        ).then(arm)
        pieces += [
            arm.carry(capsule(shoulder, elbow, (thick, 0.85 * thick)), LIMB),
            fore.carry(capsule(elbow, hand, (0.85 * thick, 0.7 * thick)), LIMB),
            fore.carry(superquadric((1.1 * thick,) * 3).moved(hand), BRIGHT),
        ]
    top = vector(0, -leg - trunk - 0.12, 0)
    nod = Pose.about(top, rng.choice((_X, _Y, _Z)), swing(phases, rng.uniform(0, 0.5), cycles, rng.uniform(0, 1))).then(
        root
    )
    size = rng.uniform(0.17, 0.28)
    return place_on_ground(pieces + _head(rng, nod, top + vector(0, -0.8 * size, 0), size), times, rng, phases)


def bird(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """Something that flies and beats its wings: a bird, bat or butterfly."""
    times = len(phases)
    length, girth, span = rng.uniform(0.35, 0.6), rng.uniform(0.14, 0.25), rng.uniform(0.5, 0.95)
    cycles, start = rng.uniform(0.7, 1.8), rng.uniform(0, 1)
    beat = rng.uniform(0.35, 0.8)
    root = Pose.about((0, 0, 0), _Z, swing(phases, rng.uniform(0, 0.15), cycles, 0)).then(
        shifted(np.stack([0 * phases, swing(phases, 0.08, cycles, start + 0.25), 0 * phases], -1))
    )
    pieces = [root.carry(superquadric((length, girth, girth), (1, rng.uniform(0.8, 1.2))), BODY)]
    chord = rng.uniform(0.2, 0.42)
    for side in (-1, 1):
        shoulder, mid = (
            vector(0.05, -0.3 * girth, side * 0.6 * girth),
            vector(0, -0.3 * girth, side * (girth + 0.5 * span)),
        )
        inner = Pose.about(shoulder, _X, -side * swing(phases, beat, cycles, start, 0.15)).then(root)
        outer = Pose.about(mid, _X, -side * swing(phases, 0.8 * beat, cycles, start - 0.15)).then(inner)
        pieces += [
            inner.carry(superquadric((chord, 0.045, 0.3 * span), (0.7, 1)).moved((shoulder + mid) / 2), LIMB),
            outer.carry(
                superquadric((0.8 * chord, 0.035, 0.33 * span), (rng.uniform(0.7, 1.6), 1)).moved(
                    mid + vector(-0.05, 0, side * 0.28 * span)
                ),
                LIMB,
            ),
        ]
    fan = superquadric((0.3, 0.03, 0.22), (1.4, 1)).moved((-length - 0.15, 0, 0))
    pieces.append(Pose.about((-length, 0, 0), _Z, swing(phases, 0.3, cycles, start + 0.4)).then(root).carry(fan, LIMB))
    look = Pose.about((length, 0, 0), _Y, swing(phases, rng.uniform(0, 0.5), rng.uniform(0.4, 1), 0)).then(root)
    pieces += _head(rng, look, vector(0.95 * length, -0.6 * girth, 0), 0.7 * girth)
    lean = Pose.about((0, 0, 0), rng.choice((_X, _Z)), np.full(times, rng.uniform(-0.7, 0.7), np.float32))
    return place_on_ground([MovingPart(p.mesh, lean(p.positions), p.texture) for p in pieces], times, rng, phases)


def insect(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A spider, beetle or crab: a round trunk on six or eight bent legs."""
    times = len(phases)
    size, pairs = rng.uniform(0.3, 0.5), rng.choice((3, 4))
    thick, cycles = rng.uniform(0.035, 0.06), rng.uniform(0.7, 1.6)
    root = shifted(bounce(phases, 0.05, 2 * cycles, 0.0))
    high = -rng.uniform(0.35, 0.6)
    shape = superquadric(
        (size * rng.uniform(0.9, 1.4), size * rng.uniform(0.5, 0.9), size), (rng.uniform(0.7, 1.2),) * 2
    )
    pieces = [root.carry(shape.moved((-0.3 * size, high, 0)), BODY)]
    for i in range(pairs):
        for side in (-1, 1):
            angle = np.pi * (0.2 + 0.6 * i / (pairs - 1))
            out = vector(np.cos(angle), 0, side * np.sin(angle))
            hip = 0.6 * size * out + vector(0, high, 0)
            knee = hip + vector(0, -0.25, 0) + 0.4 * out
            foot = knee + 0.35 * out + vector(0, -knee[1], 0)
            phase = 0.5 * ((i + (side > 0)) % 2)
            pose = Pose.about(hip, _Y, swing(phases, rng.uniform(0.25, 0.45), cycles, phase)).then(root)
            lift = Pose.about(
                hip, (float(out[2]), 0, -float(out[0])), np.maximum(0, swing(phases, 0.35, cycles, phase + 0.25))
            )
            leg = lift.then(pose)
            pieces += [
                leg.carry(capsule(hip, knee, (1.3 * thick, thick), detail=8), LIMB),
                leg.carry(capsule(knee, foot, (thick, 0.5 * thick), detail=8), LIMB),
            ]
    pieces += _head(rng, root, vector(0.9 * size, high, 0), 0.5 * size)
    return place_on_ground(pieces, times, rng, phases, 0.4)


def _head(rng: SceneRng, pose: Pose, centre: Floats, size: float) -> list[MovingPart]:
    """A head that looks along x: eyes, a snout or beak, and ears, horns or a hat."""
    skull = superquadric(
        (size * rng.uniform(1, 1.3), size, size * rng.uniform(0.85, 1)), (1, rng.uniform(0.6, 1))
    ).moved(centre)
    parts: list[tuple[Mesh, int]] = [(skull, BODY if rng.chance(0.5) else LIMB)]
    snout = capsule(
        centre + vector(0.7 * size, 0.2 * size, 0),
        centre + vector(size * rng.uniform(1.2, 2.0), 0.35 * size, 0),
        (0.5 * size, size * rng.uniform(0.15, 0.4)),
    )
    parts.append((snout, rng.choice((LIMB, BRIGHT))))
    for side in (-1, 1):
        eye = centre + size * vector(0.85, -0.35, 0.5 * side)
        parts += [
            (superquadric((0.3 * size,) * 3, detail=10).moved(eye), BRIGHT),
            (superquadric((0.17 * size,) * 3, detail=8).moved(eye + 0.2 * size * vector(1, 0, 0.4 * side)), DARK),
        ]
    top = rng.integer(0, 3)
    for side in (-1, 1):
        root = centre + size * vector(-0.1, -0.7, 0.6 * side)
        end = root + size * vector(rng.uniform(-0.5, 0.3), -rng.uniform(0.5, 1.6), rng.uniform(0, 0.6) * side)
        if top == 0:
            parts.append((capsule(root, end, (0.3 * size, 0.08 * size), detail=8), LIMB))
        elif top == 1:
            parts.append((superquadric((0.12 * size, 0.5 * size, 0.35 * size)).moved((root + end) / 2), BODY))
    if top == 2:
        parts.append(
            (
                toothed_wheel(0.8 * size, 0.12 * size, 7, 0.4)
                .turned(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32))
                .moved(centre + size * vector(0, -0.95, 0)),
                BRIGHT,
            )
        )
    return [pose.carry(mesh, texture) for mesh, texture in parts]
