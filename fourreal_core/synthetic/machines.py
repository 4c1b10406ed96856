"""Things of many parts that drive one another: vehicles, robot arms, mills, gears, and a lamp on a spring."""

from __future__ import annotations

import numpy as np

from .creatures import BODY, BRIGHT, DARK, LIMB
from .meshes import Floats, Mesh, box, capsule, lathe, superquadric, toothed_wheel, torus, vector
from .motions import MovingPart, Pose, eased, place_on_ground, shifted, swing, to_and_fro
from .random_choices import SceneRng

_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def _wheel(radius: float, thickness: float) -> list[tuple[Mesh, int]]:
    spokes = [
        capsule(
            vector(-0.85 * radius * np.cos(a), -0.85 * radius * np.sin(a), 0),
            vector(0.85 * radius * np.cos(a), 0.85 * radius * np.sin(a), 0),
            (0.1 * radius,) * 2,
            detail=6,
        )
        for a in (0.0, np.pi / 3, 2 * np.pi / 3)
    ]
    return [
        (torus(0.8 * radius, 0.24 * radius, detail=18), DARK),
        *((s, BRIGHT) for s in spokes),
        (superquadric((0.25 * radius, 0.25 * radius, thickness)), BRIGHT),
    ]


def vehicle(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A car, truck, cart or tank that drives along its x axis."""
    times = len(phases)
    long, tall, wide, radius = (
        rng.uniform(0.75, 1.1),
        rng.uniform(0.16, 0.3),
        rng.uniform(0.32, 0.5),
        rng.uniform(0.18, 0.3),
    )
    way = rng.signed(0.2, 0.9)
    drive = shifted(np.outer(eased(phases, way) if rng.chance(0.4) else way * to_and_fro(phases), vector(1, 0, 0)))
    spring = Pose.about((0, -radius, 0), _Z, swing(phases, rng.uniform(0, 0.07), rng.uniform(1, 2), 0)).then(drive)
    round_ = (rng.choice((0.2, 0.4)), rng.choice((0.2, 0.5, 0.9)))
    pieces = [spring.carry(superquadric((long, tall, wide), round_, detail=20).moved((0, -radius - tall, 0)), BODY)]
    cabin = superquadric((long * rng.uniform(0.3, 0.6), rng.uniform(0.2, 0.38), 0.85 * wide), round_)
    pieces.append(spring.carry(cabin.moved((rng.uniform(-0.45, 0.4) * long, -radius - 2 * tall - 0.12, 0)), LIMB))
    for x in (-0.62, 0.62):
        for side in (-1, 1):
            hub = vector(x * long, -radius, side * wide)
            roll = (
                Pose.about((0, 0, 0), _Z, (way / radius * to_and_fro(phases)).astype(np.float32))
                .then(shifted(np.tile(hub, (times, 1))))
                .then(drive)
            )
            pieces += [roll.carry(mesh, texture) for mesh, texture in _wheel(radius, 0.08)]
    for side in (-1, 1):
        lamp = superquadric((0.05, 0.07, 0.07)).moved((long, -radius - tall, side * 0.6 * wide))
        pieces.append(spring.carry(lamp, BRIGHT))
    if rng.chance(0.5):  # a turret, crane or ladder
        pivot = vector(-0.1 * long, -radius - 2 * tall - 0.2, 0)
        turn = Pose.about(pivot, _Y, swing(phases, rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0, 1)))
        lift = Pose.about(pivot, _Z, swing(phases, 0.3, 0.5, rng.uniform(0, 1), -0.5)).then(turn).then(spring)
        pieces.append(lift.carry(capsule(pivot, pivot + vector(rng.uniform(0.7, 1.1), 0, 0), (0.11, 0.06)), BRIGHT))
    return place_on_ground(pieces, times, rng, phases, 0.1)


def robot_arm(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A base, two to four links and a gripper: an excavator, a lamp, a crane."""
    times, links = len(phases), rng.integer(2, 4)
    base = lathe(vector(-0.3, -0.25, -0.05, 0, 0), vector(0.02, 0.3, 0.45, 0.45, 0.02))
    pose = Pose.about((0, 0, 0), _Y, swing(phases, rng.uniform(0.2, 0.8), rng.uniform(0.25, 0.6), rng.uniform(0, 1)))
    pieces = [pose.carry(base, LIMB)]
    joint, tilt, square = vector(0, -0.3, 0), rng.uniform(-0.4, 0.4), rng.chance(0.5)
    for i in range(links):
        long, thick = rng.uniform(0.45, 0.75), 0.15 - 0.025 * i
        tilt += rng.signed(0.4, 1.3) if i else 0.0
        end = joint + long * vector(np.sin(tilt), -np.cos(tilt), 0)
        move = swing(phases, rng.uniform(0.15, 0.55), rng.uniform(0.3, 0.9), rng.uniform(0, 1))
        pose = Pose.about(joint, _Z, move).then(pose)
        link = capsule(joint, end, (thick, 0.85 * thick), detail=4 if square else 12)
        knee = superquadric((1.25 * thick, 1.25 * thick, 1.5 * thick), (1, 0.4)).moved(joint)
        pieces += [pose.carry(link, BODY), pose.carry(knee, DARK)]
        joint = end
    grip = swing(phases, 0.3, rng.uniform(0.5, 1.2), 0, 0.35)
    along = vector(np.sin(tilt), -np.cos(tilt), 0)
    for side in (-1, 1):
        claw = Pose.about(joint, _X, side * grip).then(pose)
        pieces.append(
            claw.carry(capsule(joint, joint + 0.32 * along + vector(0, 0, 0.06 * side), (0.07, 0.04)), BRIGHT)
        )
    pieces.append(pose.carry(superquadric((0.13,) * 3, (0.4, 0.4)).moved(joint), BRIGHT))
    return place_on_ground(pieces, times, rng, phases, 0.05)


def mill(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A tower with turning sails, or a helicopter with a rotor."""
    times, turn = len(phases), rng.signed(0.5, 2.2)
    tower = lathe(
        vector(-1.5, -1.4, -1.0, -0.5, 0, 0),
        vector(0.02, rng.uniform(0.15, 0.3), 0.3, rng.uniform(0.3, 0.45), 0.5, 0.02),
    )
    rest = Pose.rest(times)
    pieces = [rest.carry(tower, BODY)]
    hub, ahead = vector(0, -1.2, -0.4), vector(0, 0, -0.06)
    spin = Pose.about(hub, _Z, (turn * phases + rng.uniform(0, 6)).astype(np.float32))
    blades, long, broad = rng.integer(3, 6), rng.uniform(0.75, 1.1), rng.uniform(0.1, 0.2)
    for i in range(blades):
        about = Pose.about(hub, _Z, np.full(times, 2 * np.pi * i / blades, np.float32))
        sail = box((broad, 0.42 * long, 0.03), 0.8).moved(hub + ahead + vector(0.7 * broad, -0.6 * long, 0))
        beam = capsule(hub + ahead, hub + ahead + vector(0, -1.05 * long, 0), (0.045, 0.03))
        pieces += [about.then(spin).carry(sail, LIMB), about.then(spin).carry(beam, DARK)]
    pieces += [
        spin.carry(superquadric((0.13, 0.13, 0.13)).moved(hub + 2 * ahead), BRIGHT),
        rest.carry(capsule(vector(0, -1.2, 0), hub, (0.1, 0.07)), DARK),
        rest.carry(box((0.14, 0.22, 0.05)).moved((0, -0.22, -0.44)), BRIGHT),
    ]
    return place_on_ground(pieces, times, rng, phases, 0.0)


def gears(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """Two to four wheels that drive one another on a slanting plate."""
    times, pieces = len(phases), []
    lean = Pose.about((0, 0, 0), (1, 0, 0), np.full(times, rng.uniform(-0.5, 0.5), np.float32))
    speed, at, radius, phase = rng.signed(0.4, 1.2), np.zeros(3, np.float32), rng.uniform(0.4, 0.6), 0.0
    plate = superquadric((1.3, 0.85, 0.06), (0.25, 0.25)).moved((0.3, 0, 0.25))
    pieces.append(lean.carry(plate, BODY))
    for i in range(rng.integer(2, 4)):
        teeth = max(6, round(16 * radius))
        spin = (
            Pose.about((0, 0, 0), _Z, (speed / radius * phases + phase).astype(np.float32))
            .then(shifted(np.tile(at, (times, 1))))
            .then(lean)
        )
        pieces += [
            spin.carry(toothed_wheel(radius, 0.12, teeth, 0.22), (LIMB, BRIGHT)[i % 2]),
            spin.carry(superquadric((0.3 * radius, 0.3 * radius, 0.2), (1, 0.3)), DARK),
            spin.carry(
                capsule(vector(0.45 * radius, 0, -0.13), vector(0.62 * radius, 0, -0.13), (0.08, 0.08)),
                DARK,
            ),
        ]
        following, angle = rng.uniform(0.25, 0.5), rng.uniform(-1.2, 1.2) + (0 if i % 2 else np.pi * (i > 0))
        at = at + 0.9 * (radius + following) * vector(np.cos(angle), np.sin(angle), 0)
        speed, radius, phase = -speed, following, rng.uniform(0, 1)
    return place_on_ground(pieces, times, rng, phases, 0.1)


def pendulum(rng: SceneRng, phases: Floats) -> list[MovingPart]:
    """A swing, a carousel or a mobile: things that hang from a frame and swing or go round."""
    times, count = len(phases), rng.integer(2, 5)
    rest, pieces = Pose.rest(times), []
    round_ = rng.chance(0.5)
    about = (rng.signed(0.4, 1.5) * phases).astype(np.float32) if round_ else np.zeros(times, np.float32)
    whirl = Pose.about((0, 0, 0), _Y, about)
    top = -1.7
    pieces.append(rest.carry(capsule(vector(0, 0, 0), vector(0, top, 0), (0.1, 0.07)), LIMB))
    pieces.append(rest.carry(lathe(vector(-0.12, -0.1, 0, 0), vector(0.02, 0.4, 0.55, 0.02)), LIMB))
    pieces.append(
        whirl.carry(lathe(vector(top - 0.3, top, top + 0.06), vector(0.02, 1.0 if round_ else 0.3, 0.02)), BODY)
    )
    for i in range(count):
        angle = 2 * np.pi * i / count
        hook = vector(0.8 * np.cos(angle), top, 0.8 * np.sin(angle))
        end = hook + vector(0, rng.uniform(0.7, 1.2), 0)
        if not round_:
            pieces.append(rest.carry(capsule(vector(0, top, 0), hook, (0.05, 0.05)), LIMB))
        tangent = (float(np.cos(angle)), 0.0, float(np.sin(angle)))
        hang = Pose.about(
            hook, tangent, swing(phases, rng.uniform(0.2, 0.8), rng.uniform(0.4, 1), rng.uniform(0, 1))
        ).then(whirl)
        load = superquadric(
            tuple(rng.uniform(0.16, 0.3) for _ in range(3)), (rng.choice((0.3, 1)), rng.choice((0.3, 1, 1.6)))
        )
        pieces += [
            hang.carry(capsule(hook, end, (0.03, 0.03), detail=6), DARK),
            hang.carry(load.moved(end), rng.choice((BODY, BRIGHT))),
        ]
    return place_on_ground(pieces, times, rng, phases, 0.1)
