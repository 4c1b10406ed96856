"""Bodies that bend and change shape: snakes, fish, blobs, cloths, ribbons, and bunches of arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .creatures import BODY, BRIGHT, DARK, LIMB
from .meshes import Floats, Mesh, capsule, sheet, superquadric, tube, tube_points, vector
from .motions import MovingPart, Pose, bounce, place_on_ground, shifted, swing
from .random_choices import SceneRng


def snake(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A snake, worm or eel through which a wave runs, on the ground or reared up."""
    times, knots = len(phases), 28
    s = np.linspace(0, 1, knots, dtype=np.float32)
    waves, cycles, width = rng.uniform(0.8, 2.0), rng.uniform(0.3, 1.0), rng.uniform(0.2, 0.45)
    thick = rng.uniform(0.1, 0.2)
    travel = 2 * np.pi * (waves * s[None] - cycles * phases[:, None] + rng.uniform(0, 1))
    rear = rng.uniform(0.2, 0.9) if rng.chance(0.5) else 0.0
    arch = rng.uniform(0.1, 0.35) if rng.chance(0.4) else 0.0
    across = width * np.sin(travel)
    high = (
        -thick - rear * np.clip((s - 0.55) / 0.45, 0, 1) ** 1.5 * np.ones((times, 1)) - arch * (1 + np.cos(travel)) / 2
    )
    curves = np.stack([np.broadcast_to(2.2 * (s - 0.5), (times, knots)), high, across], -1).astype(np.float32)
    radii = thick * np.minimum(1, np.minimum(s / 0.25, (1 - s) / 0.06)).clip(0.02, 1) ** 0.6
    body = tube(curves[0], radii, 1.2)
    pieces = [MovingPart(body, tube_points(curves, radii), BODY)]
    head, before = curves[:, -2], curves[:, -5]
    ahead = head - before
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    aside = np.cross(ahead, vector(0, 1, 0))
    aside /= np.linalg.norm(aside, axis=-1, keepdims=True) + 1e-6
    skull = superquadric((1.3 * thick, thick, 1.15 * thick))
    pieces.append(shifted(head).carry(skull, LIMB))
    for side in (-1, 1):
        eye = head + 0.8 * thick * ahead + side * 0.6 * thick * aside - vector(0, 0.6 * thick, 0)
        pieces.append(shifted(eye).carry(superquadric((0.35 * thick,) * 3, detail=8), BRIGHT))
        pupil = shifted(eye + 0.22 * thick * (ahead + side * aside))
        pieces.append(pupil.carry(superquadric((0.2 * thick,) * 3, detail=8), DARK))
    return place_on_ground(pieces, times, rng, phases, 0.3)


def fish(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A fish, shark or whale that beats its tail."""
    times = len(phases)
    tall, slim, cycles = rng.uniform(0.25, 0.55), rng.uniform(0.14, 0.3), rng.uniform(0.6, 1.5)
    upright = rng.chance(0.75)  # whales beat up and down
    strength, start = rng.uniform(0.12, 0.3), rng.uniform(0, 1)

    def swim(points: Floats) -> Floats:
        back = np.clip(0.6 - points[:, 0], 0, None)
        wave = strength * back**1.4 * np.sin(2 * np.pi * (cycles * phases[:, None] + start + 0.35 * points[:, 0]))
        moved = np.repeat(points[None], times, 0)
        moved[..., 2 if upright else 1] += wave
        return moved.astype(np.float32)

    body = superquadric((0.95, tall, slim), (rng.uniform(0.9, 1.3), rng.uniform(0.9, 1.3)), detail=20)
    parts: list[tuple[Mesh, int]] = [(body, BODY)]
    tail = superquadric((0.22, 0.5, 0.03) if upright else (0.22, 0.03, 0.5), (1.2, 0.8))
    parts.append((tail.moved((-1.05, 0, 0)), LIMB))
    parts.append((superquadric((0.3, rng.uniform(0.15, 0.35), 0.03), (1.2, 1)).moved((0, -tall, 0)), LIMB))
    for side in (-1, 1):
        parts.append((superquadric((0.18, 0.03, 0.25), (1.2, 1)).moved((0.25, 0.3 * tall, side * (slim + 0.12))), LIMB))
        eye = vector(0.66, -0.2 * tall, side * slim * 0.62)
        parts += [
            (superquadric((0.085,) * 3, detail=8).moved(eye), BRIGHT),
            (superquadric((0.05,) * 3, detail=8).moved(eye + vector(0.02, 0, 0.055 * side)), DARK),
        ]
    tilt = Pose.about((0, 0, 0), (0, 0, 1), swing(phases, rng.uniform(0, 0.2), 0.5, 0, rng.uniform(-0.4, 0.4)))
    pieces = [MovingPart(mesh, tilt(swim(mesh.points)), texture) for mesh, texture in parts]
    return place_on_ground(pieces, times, rng, phases)


def blob(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A lump that morphs between shapes, breathes, twists or is squashed as it hops; sometimes with eyes."""
    times = len(phases)
    base = superquadric(
        (rng.uniform(0.5, 0.9), rng.uniform(0.5, 1.0), rng.uniform(0.5, 0.9)),
        (rng.uniform(0.4, 1.3), rng.uniform(0.4, 1.2)),
        detail=24,
    )
    unit = base.points / (np.linalg.norm(base.points, axis=-1, keepdims=True) + 1e-6)
    bumps = rng.normals(5, 3) * rng.uniform(1.5, 3.5)
    phase, cycles = rng.uniforms(5), rng.uniform(0.3, 1.0)
    size = rng.uniform(0.05, 0.14)
    wave = np.sin(unit @ bumps.T[None] + 2 * np.pi * (cycles * phases[:, None, None] + phase))  # (T, N, 5)
    points = base.points[None] * (1 + size * wave.sum(-1, keepdims=True))
    hop = rng.choice((0.0, 0.5))
    jump = bounce(phases, hop, cycles * 2, float(phase[0]))
    squash = (1 + rng.uniform(0.0, 0.3) * np.sin(4 * np.pi * (cycles * phases + float(phase[0]))))[:, None]
    points = points * np.stack([1 / np.sqrt(squash), squash, 1 / np.sqrt(squash)], -1)
    twist = swing(phases, rng.uniform(0, 0.9), rng.uniform(0.3, 0.9), float(phase[1]))[:, None] * points[..., 1]
    x, z = points[..., 0], points[..., 2]
    points = np.stack(
        [np.cos(twist) * x - np.sin(twist) * z, points[..., 1], np.sin(twist) * x + np.cos(twist) * z], -1
    )
    moved = (points + jump[:, None]).astype(np.float32)
    pieces = [MovingPart(base, moved, BODY)]
    if rng.chance(0.6):
        for side in (-1, 1):
            at = int(np.argmax(unit @ vector(0.85, -0.4, 0.35 * side)))
            for radius, ahead, texture in ((0.16, 0.0, BRIGHT), (0.09, 0.1, DARK)):
                offset = moved[:, at] + ahead * unit[at]
                pieces.append(shifted(offset).carry(superquadric((radius,) * 3, detail=10), texture))
    return place_on_ground(pieces, times, rng, phases)


def cloth(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A flag on a pole, a curtain or a hanging sheet in the wind."""
    times = len(phases)
    wide, tall = rng.uniform(1.2, 1.9), rng.uniform(0.9, 1.5)
    flat = sheet(lambda u, v: np.stack([wide * u, tall * (v - 1), 0 * u], -1), 22, 16, density=0.7)
    u = flat.points[:, 0] / wide
    hung = rng.chance(0.4)
    free = u if not hung else 1 + flat.points[:, 1] / tall  # how far from where it is held
    waves = np.zeros((times, len(u)), np.float32)
    for _ in range(3):
        k, rise, cycles = rng.uniform(0.5, 1.8), rng.uniform(-0.5, 0.5), rng.uniform(0.4, 1.3)
        along = k * free + rise * flat.points[:, 1]
        waves += rng.uniform(0.06, 0.17) * np.sin(
            2 * np.pi * (along[None] - cycles * phases[:, None] + rng.uniform(0, 1))
        )
    moved = np.repeat(flat.points[None], times, 0)
    moved[..., 2] += waves * np.minimum(1, 1.5 * free)
    moved[..., 0] -= 0.3 * np.abs(waves) * free
    if hung:
        moved[..., 2] += 0.25 * free * swing(phases, 1.0, rng.uniform(0.4, 1), rng.uniform(0, 1))[:, None]
    moved[..., 0] -= wide / 2
    moved[..., 1] -= 0.5
    pieces = [MovingPart(flat, moved.astype(np.float32), BODY)]
    ends = (
        ((-wide / 2, 0.0), (-wide / 2, -tall - 0.6))
        if not hung
        else ((-wide / 2 - 0.1, -tall - 0.5), (wide / 2 + 0.1, -tall - 0.5))
    )
    start, end = (vector(*end, 0) for end in ends)
    pole = capsule(start, end, (0.05, 0.05))
    pieces.append(MovingPart(pole, np.repeat(pole.points[None], times, 0), LIMB))
    return place_on_ground(pieces, times, rng, phases, 0.15)


def ribbon(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """One to three broad bands that coil and twist in the air."""
    times, pieces = len(phases), []
    for _ in range(rng.integer(1, 3)):
        long, wide, turns = rng.uniform(1.6, 2.6), rng.uniform(0.14, 0.3), rng.uniform(0.4, 1.6)
        coil, cycles, start = rng.uniform(0.15, 0.5), rng.uniform(0.25, 0.8), rng.uniform(0, 1)
        flat = _band(long, wide)
        s, across = flat.points[:, 0] / long, flat.points[:, 1]
        angle = 2 * np.pi * (turns * s[None] + cycles * phases[:, None] + start)
        roll = 1.2 * angle + rng.uniform(0, 6)
        moved = np.stack(
            [
                np.broadcast_to(long * s, angle.shape) + 0 * roll,
                coil * np.sin(angle) + across * np.cos(roll),
                coil * np.cos(angle) + across * np.sin(roll),
            ],
            -1,
        )
        lean = Pose.about((0, 0, 0), (0, 0, 1), np.full(times, rng.uniform(0, np.pi), np.float32)).then(
            shifted(np.tile(0.3 * rng.normals(1, 3), (times, 1)))
        )
        pieces.append(MovingPart(flat, lean(moved.astype(np.float32)), rng.choice((BODY, LIMB, BRIGHT))))
    return place_on_ground(pieces, times, rng, phases, 0.3)


def _band(long: float, wide: float) -> Mesh:
    return sheet(lambda u, v: np.stack([long * (u - 0.5), wide * (v - 0.5), 0 * u], -1), 36, 3)


def arms(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """An octopus, jellyfish, sea anemone or plant: many bending arms about a head or a pot."""
    times, knots, count = len(phases), 14, rng.integer(4, 8)
    hanging = rng.chance(0.5)
    s = np.linspace(0, 1, knots, dtype=np.float32)
    long, thick, cycles = rng.uniform(0.8, 1.3), rng.uniform(0.06, 0.12), rng.uniform(0.4, 1.1)
    radii = thick * (1 - 0.85 * s) * np.where(s > 0.99, 0.1, 1)
    up = 1.0 if hanging else -1.0
    pulse = shifted(np.stack([0 * phases, swing(phases, 0.12 if hanging else 0.0, cycles, 0), 0 * phases], -1))
    pieces = []
    for i in range(count):
        about = 2 * np.pi * (i + 0.3 * rng.uniform(-1, 1)) / count
        spread, curl = rng.uniform(0.15, 0.6), rng.uniform(0.4, 1.1)
        sway = spread + curl * s[None] * (
            0.4 + np.sin(2 * np.pi * (cycles * phases[:, None] - 0.6 * s[None] + rng.uniform(0, 1)))
        )
        out = np.cumsum(np.sin(sway), 1) * long / knots
        down = np.cumsum(np.cos(sway), 1) * long / knots
        curves = np.stack([(0.18 + out) * np.cos(about), up * down, (0.18 + out) * np.sin(about)], -1).astype(
            np.float32
        )
        pieces.append(MovingPart(replace(tube(curves[0], radii, 1.2, 8)), pulse(tube_points(curves, radii, 8)), LIMB))
        if not hanging and rng.chance(0.5):
            tip = shifted(curves[:, -1]).then(pulse)
            pieces.append(tip.carry(superquadric((0.13, 0.13, 0.13), (rng.uniform(0.6, 1.5), 1)), BRIGHT))
    head = superquadric(
        (rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.5)), (1, rng.uniform(0.6, 1))
    )
    pieces.append(pulse.carry(head.moved((0, -up * 0.2, 0)), BODY))
    if hanging:
        for side in (-1, 1):
            for radius, ahead, texture in ((0.11, 0.36, BRIGHT), (0.06, 0.45, DARK)):
                pieces.append(
                    pulse.carry(superquadric((radius,) * 3, detail=8).moved((ahead, -0.15, 0.18 * side)), texture)
                )
    return place_on_ground(pieces, times, rng, phases, 0.2)
