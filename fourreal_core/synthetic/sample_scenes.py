"""Scenes with names: for the demo, for benchmarks, and for whoever wants a pair of clips to try.

Three stand in a tiled yard and are made by hand: a puppet that waves beside a rolling ball (articulated), a crate and a
ball (rigid), and jelly (soft). The others are seeded ones that look well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..progress import OnStep, no_progress
from .backgrounds import StaticPart
from .camera_trajectories import arc
from .grids import random_scene, texture_side
from .mesh_renderer import RenderOptions, render
from .meshes import Floats, box, capsule, lathe, rotation, sheet, superquadric, vector
from .motions import MovingPart, Pose, eased, shifted
from .random_choices import SceneRng, scene_seed
from .scene import Light, Scene, SceneGrid
from .textures import Texture, colored_texture
from .view_errors import ViewErrors

FLOOR, WALL = 0.8, 2.6
_EYE, _TARGET = vector(0, -0.4, -3.2), vector(0.05, 0.13, 0.35)
_SUN = vector(-0.5, -0.75, -0.6) / np.float32(1.0828)
_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
_SHIRT, _SKIN, _SLEEVES, _TROUSERS, _RED, _WHITE, _BLACK, _BALL, _WOOD, _PAVING, _BRICKS, _MARBLE = range(12)
_RANDOM = {"bird": ("bird", 4), "fish": ("fish", 1), "giraffe": ("quadruped", 2), "windmill": ("mill", 1)}
"""Family and index in the split ``test`` of the seeded ones."""


def sample_clips(
    scene: str,
    size: tuple[int, int] = (288, 512),
    views: int = 8,
    times: int = 8,
    seed: int = 0,
    on_step: OnStep = no_progress,
) -> SceneGrid:
    """Renders the whole grid of a sample scene; row 0 is its fixed-view clip, column 0 its freeze-time clip.

    Args:
        scene: One of ``SAMPLE_SCENES``.
        size: ``(height, width)`` of the frames.
        views: Cameras V; their path is the same however many there are.
        times: Moments T; likewise the motion.
        seed: Of the textures; of all else, too, in scenes that are not made by hand.
        on_step: Called after every frame.

    Raises:
        InputError: No such scene, fewer than 2 views or times, or frames smaller than 16 x 16.
    """
    if views < 2 or times < 2 or min(size) < 16:
        raise InputError(
            f"a sample scene of {views} views, {times} times and {size[1]} x {size[0]} pixels",
            "at least 2 views, 2 times and 16 x 16 pixels",
            "ask for more",
        )
    made = sample_scene(scene, size, _even(views), _even(times), seed)
    return replace(render(made, RenderOptions(), on_step=on_step), name=scene, seed=seed)


def sample_scene(
    name: str, size: tuple[int, int], view_phases: Floats, phases: Floats, seed: int = 0, view_error_px: float = 0.0
) -> Scene:
    """The description of a sample scene.

    Args:
        name: One of ``SAMPLE_SCENES``.
        size: ``(height, width)`` of the frames.
        view_phases: ``(V,)`` places along the cameras' path from 0 to 1.
        phases: ``(T,)`` times from 0 to 1.
        seed: See ``sample_clips``.
        view_error_px: Standard deviation in pixels by which all views but the central one are off; 0 if they agree.

    Raises:
        InputError: No such scene.
    """
    if name in _RANDOM:
        family, index = _RANDOM[name]
        scene = random_scene(family, SceneRng(scene_seed("test", index + seed)), view_phases, phases, size)
    elif name in SUBJECTS:
        textures, cameras = _textures(seed, texture_side(size)), arc(view_phases, size, _EYE, _TARGET)
        scene = Scene(SUBJECTS[name](phases), textures, _yard(textures), cameras, Light(_SUN, ambient=0.6))
    else:
        raise InputError(f"a sample scene {name!r}", f"one of {', '.join(SAMPLE_SCENES)}", "choose one of them")
    if view_error_px == 0:
        return scene
    return replace(scene, view_errors=ViewErrors.random(SceneRng(seed + 1), len(view_phases), view_error_px))


def _even(count: int) -> Floats:
    return np.linspace(0, 1, count, dtype=np.float32)


def _puppet_and_ball(phases: Floats) -> list[MovingPart]:
    """A puppet that waves, bows and turns its head, and a ball that rolls away from it."""
    trunk = _turned(vector(-0.2, 0.5, 0), phases, (0, 0.22, 0.08)).then(_slid(phases, (0.07, 0, -0.04)))
    head = _turned(vector(-0.2, -0.16, 0), phases, (0.05, -0.2, 0.1)).then(trunk)
    parts = [
        trunk.carry(superquadric((0.2, 0.31, 0.15), (1, 0.7), 1.5, 22).moved((-0.2, 0.13, 0)), _SHIRT),
        head.carry(superquadric((0.17, 0.19, 0.17), (1, 1), 1.5, 22).moved((-0.2, -0.36, -0.02)), _SKIN),
        head.carry(superquadric((0.18, 0.09, 0.18), (1, 0.6), 2, 22).moved((-0.2, -0.5, -0.02)), _RED),
        head.carry(superquadric((0.11, 0.018, 0.11), (1, 1), 2).moved((-0.2, -0.45, -0.2)), _RED),
        head.carry(superquadric((0.035, 0.03, 0.05), (1, 1), 2).moved((-0.2, -0.34, -0.2)), _SLEEVES),
        head.carry(superquadric((0.07, 0.014, 0.03), (1, 1), 2).moved((-0.2, -0.265, -0.165)), _RED),
    ]
    for side in (-1, 1):
        eye = vector(-0.2 + 0.07 * side, -0.39, -0.16)
        parts.append(head.carry(superquadric((0.042, 0.042, 0.03)).moved(eye), _WHITE))
        parts.append(head.carry(superquadric((0.02, 0.022, 0.015)).moved(eye + vector(0, 0, -0.025)), _BLACK))
        shoulder, elbow = vector(-0.2 + 0.22 * side, -0.07, -0.02), vector(-0.2 + 0.32 * side, 0.16, -0.06)
        hand = vector(-0.2 + 0.37 * side, 0.38, -0.1)
        upper = _turned(shoulder, phases, (0.15 * side, 0, -0.32 * side)).then(trunk)
        lower = _turned(elbow, phases, (-0.15, 0, -0.3 * side)).then(upper)
        parts += [
            upper.carry(capsule(shoulder, elbow, (0.095, 0.08), 1.5, 14), _SLEEVES),
            lower.carry(capsule(elbow, hand, (0.08, 0.065), 1.5, 14), _SLEEVES),
            lower.carry(superquadric((0.075, 0.085, 0.075), density=1.5).moved(hand), _SKIN),
        ]
        hip, foot = vector(-0.2 + 0.1 * side, 0.4, 0), vector(-0.2 + 0.11 * side, 0.72, 0)
        leg = _turned(hip, phases, (0.12 * side, 0, 0.04)).then(_slid(phases, (0.07, 0, -0.04)))
        parts.append(leg.carry(capsule(hip, foot, (0.11, 0.085), 1.5, 14), _TROUSERS))
        parts.append(leg.carry(superquadric((0.1, 0.06, 0.15)).moved(foot + vector(0, 0.02, -0.05)), _RED))
    parts.append(_rolling(phases, vector(0.55, FLOOR - 0.23, -0.15), 0.23, (0.15, 0, 0)))
    return parts


def _crate_and_ball(phases: Floats) -> list[MovingPart]:
    """A crate that slides and turns, and a ball that comes nearer: each moves as one."""
    crate = _turned(vector(-0.45, 0.3, 0), phases, (0, 0.5, 0)).then(_slid(phases, (0.35, 0, 0.1)))
    return [
        crate.carry(box((0.25, 0.35, 0.25), 1.5).moved((-0.45, FLOOR - 0.35, 0)), _WOOD),
        _rolling(phases, vector(0.55, FLOOR - 0.33, 0.5), 0.33, (-0.05, 0, -0.5)),
    ]


def _jelly(phases: Floats) -> list[MovingPart]:
    """A column that bends and a blob that breathes and sways: no part of them moves rigidly."""
    column = superquadric((0.2, 0.55, 0.2), (1, 0.8), 1.5, 28).moved((-0.45, FLOOR - 0.55, 0.1))
    blob = superquadric((0.3, 0.38, 0.3), (1, 1), 1.5, 28).moved((0.5, FLOOR - 0.4, 0.1))
    t = eased(phases, 1)[:, None]
    up, out = FLOOR - column.points[:, 1], blob.points - vector(0.5, FLOOR - 0.4, 0.1)
    bend = (t * up**2)[..., None] * vector(0.35, 0.08, -0.15)
    swell = 0.25 * np.sin(np.pi * t) * np.sin(3 * out[:, 1] + 4 * t)
    sway = 0.1 * t * np.sin(6 * out[:, 1] + 3 * t)
    moved = blob.points + out * swell[..., None] + sway[..., None] * vector(1, 0, 0)
    return [
        MovingPart(column, (column.points + bend).astype(np.float32), _SHIRT),
        MovingPart(blob, moved.astype(np.float32), _TROUSERS),
    ]


SUBJECTS: dict[str, Callable[[Floats], list[MovingPart]]] = {
    "puppet": _puppet_and_ball,
    "crate and ball": _crate_and_ball,
    "jelly": _jelly,
}
"""What moves in the scenes made by hand, at times ``(T,)`` from 0 to 1; the parts' own meshes are time 0."""
SAMPLE_SCENES = (*SUBJECTS, *_RANDOM)
"""Names of all sample scenes."""


def _turned(joint: Floats, phases: Floats, angles: tuple[float, float, float]) -> Pose:
    """Turns about x, then y, then z through a joint, by so many radians at the end."""
    x, y, z = (Pose.about(joint, axis, eased(phases, a)) for axis, a in zip((_X, _Y, _Z), angles, strict=True))
    return x.then(y).then(z)


def _slid(phases: Floats, way: tuple[float, float, float]) -> Pose:
    return shifted(np.outer(eased(phases, 1), vector(*way)))


def _rolling(phases: Floats, centre: Floats, radius: float, way: tuple[float, float, float]) -> MovingPart:
    """A ball on the ground, its pole to the front and a little down."""
    ball = superquadric((radius,) * 3, density=0.75 / radius, detail=24).turned(rotation(_X, 1.3)).moved(centre)
    turn = _turned(centre, phases, (way[2] / radius, 0, way[0] / radius))
    return turn.then(_slid(phases, way)).carry(ball, _BALL)


def _textures(seed: int, side: int) -> list[Texture]:
    """Those of the subjects, then of the yard, each from a generator of its own: one can change and no other does."""
    return [
        colored_texture(SceneRng(100 * seed + variant), side, pattern, low, high)
        for variant, pattern, low, high in (
            (0, "weave", (0.05, 0.12, 0.36), (0.40, 0.70, 0.98)),
            (1, "fur", (0.66, 0.42, 0.26), (1.0, 0.84, 0.64)),
            (2, "stripes", (0.60, 0.15, 0.18), (1.0, 0.66, 0.36)),
            (3, "patches", (0.08, 0.26, 0.12), (0.55, 0.80, 0.36)),
            (4, "fur", (0.42, 0.06, 0.16), (0.86, 0.24, 0.42)),
            (5, "gradient", (0.84, 0.84, 0.82), (0.98, 0.98, 0.98)),
            (6, "gradient", (0.03, 0.03, 0.04), (0.10, 0.10, 0.12)),
            (7, "patches", (0.72, 0.10, 0.12), (0.98, 0.88, 0.34)),
            (8, "planks", (0.40, 0.24, 0.10), (0.86, 0.66, 0.36)),
            (9, "tiles", (0.36, 0.31, 0.26), (0.82, 0.74, 0.62)),
            (10, "tiles", (0.38, 0.15, 0.11), (0.84, 0.48, 0.32)),
            (11, "fur", (0.34, 0.42, 0.40), (0.92, 0.93, 0.88)),
        )
    ]


def _yard(textures: list[Texture]) -> list[StaticPart]:
    """A paved floor, a brick wall, two columns and three crates."""
    floor = sheet(lambda u, v: np.stack([14 * (u - 0.5), 0 * u + FLOOR, WALL - 8 * v], -1), 56, 40, density=0.45)
    wall = sheet(lambda u, v: np.stack([14 * (u - 0.5), FLOOR - 6 * v, 0 * u + WALL], -1), 56, 24, density=0.5)
    parts = [StaticPart(floor, textures[_PAVING]), StaticPart(wall, textures[_BRICKS])]
    heights, radii = vector(-3.4, -0.3, -0.22, -0.12, -0.12, 0), vector(0.2, 0.2, 0.24, 0.26, 0.3, 0.3)
    for x, z in ((-1.75, 1.3), (1.6, 1.7)):
        parts.append(StaticPart(lathe(heights, radii, 0.7, 24).moved((x, FLOOR, z)), textures[_MARBLE], casts=True))
    for centre, half in (
        ((1.15, 0.55, 0.75), (0.25, 0.25, 0.25)),
        ((1.3, 0.13, 0.95), (0.17, 0.17, 0.17)),
        ((-0.95, 0.6, 1.0), (0.3, 0.2, 0.22)),
    ):
        parts.append(StaticPart(box(half, 1.2).moved(centre), textures[_WOOD], casts=True))
    return parts
