"""What stands around the subject: rooms, landscapes, stages and vaults with texture and depth, filling every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Floats, Mesh, box, capsule, lathe, sheet, superquadric, vector
from .props import random_object
from .random_choices import SceneRng
from .textures import Texture, random_texture, sky

_FAR = 14.0


@dataclass(frozen=True)
class StaticPart:
    """A surface that does not move.

    Attributes:
        mesh: In world space.
        texture: ``(S, S, 3)`` that it shows.
        emissive: Drawn without light or shade, as a sky.
        casts: Throws a shadow.
    """

    mesh: Mesh
    texture: Texture
    emissive: bool = False
    casts: bool = False


def random_background(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    """Surroundings of a subject of radius 1 at the origin that is seen from around (0, 0, -3).

    Args:
        rng: Source of all choices.
        ground: Height of the ground; y points down.
        side: Width of the textures in pixels.
    """
    kind = rng.choice((_room, _landscape, _landscape, _stage, _vault))
    shapes = kind(rng, ground, side)
    return [*shapes, *_objects(rng, ground, side)]


def _floor(rng: SceneRng, ground: float, density: float, hills: float = 0.0) -> Mesh:
    phase, waves = rng.uniform(0, 6), rng.normals(4, 2) * 0.6

    def bend(u: Floats, v: Floats) -> Floats:
        x, z = 18 * (u - 0.5), 18 * (v - 0.5) + 3.0
        away = np.clip((np.hypot(x, z) - 2.0) / 4, 0, 1) ** 2
        rise = np.sin(x[:, None] * waves[:, 0] + z[:, None] * waves[:, 1] + phase).sum(1) + 1.0
        return np.stack([x, ground - hills * away * rise, z], -1)

    return sheet(bend, 30, 30, density=density)


def _wall(start: tuple[float, float], end: tuple[float, float], ground: float, tall: float, density: float) -> Mesh:
    """An upright wall between two places (x, z)."""
    (x0, z0), (x1, z1) = start, end
    return sheet(
        lambda u, v: np.stack([x0 + u * (x1 - x0), ground - tall * (1 - v), z0 + u * (z1 - z0)], -1),
        14,
        8,
        density=density,
    )


def _room(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    back, wide, tall = rng.uniform(1.6, 3.5), rng.uniform(2.6, 4.5), rng.uniform(4.0, 6.0)
    indoors = ("tiles", "planks", "weave", "stripes", "cells", "fur", "dots", "clutter", "gradient")
    floor = random_texture(rng, side, calm=True, kinds=("tiles", "planks", "weave", "cells", "clutter", "fur"))
    wall, flank = (
        random_texture(rng, side, calm=True, kinds=indoors),
        random_texture(rng, side, calm=True, kinds=indoors),
    )
    density = rng.uniform(0.25, 0.6)
    shapes = [
        StaticPart(_floor(rng, ground, rng.uniform(0.3, 0.7)), floor),
        StaticPart(_wall((-wide, back), (wide, back), ground, tall, density), wall),
    ]
    for x in (-wide, wide):
        shapes.append(StaticPart(_wall((x, -7.0), (x, back), ground, tall, density), flank))
    roof = _wall((-wide, back), (wide, back), ground, 0.1, density)
    lid = sheet(
        lambda u, v: np.stack([wide * (2 * u - 1), 0 * u + ground - tall, -7 + v * (back + 7)], -1),
        12,
        12,
        density=density,
    )
    shapes += [StaticPart(lid, flank), StaticPart(roof, floor)]
    for x in np.linspace(-wide, wide, rng.integer(2, 5))[1:-1] if rng.chance(0.6) else []:  # pictures or windows
        frame = box((rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.7), 0.04), rng.uniform(0.5, 1))
        shapes.append(
            StaticPart(
                frame.moved((float(x), ground - rng.uniform(1.2, 2.2), back - 0.05)),
                random_texture(rng, side, calm=True),
            )
        )
    return shapes


def _landscape(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    outdoors = ("fur", "clutter", "patches", "cells", "planks", "tiles")
    soil = random_texture(rng, side, calm=True, kinds=outdoors)
    shapes = [
        StaticPart(_dome(rng), sky(rng, side), emissive=True),
        StaticPart(_floor(rng, ground, rng.uniform(0.3, 0.6), rng.uniform(0, 0.35)), soil),
    ]
    for _ in range(rng.integer(1, 2)):
        shapes.append(StaticPart(_ridge(rng, ground), random_texture(rng, side, calm=True, kinds=outdoors)))
    bark, leaves = (
        random_texture(rng, side, calm=True, kinds=("fur", "planks", "stripes")),
        random_texture(rng, side, calm=True, kinds=("clutter", "fur", "patches", "dots")),
    )
    for _ in range(rng.integer(2, 6)):
        x, z = rng.signed(0.3, 4.5), rng.uniform(1.8, 5.0)
        tall, thick, crown = rng.uniform(0.8, 2.5), rng.uniform(0.08, 0.25), rng.uniform(0.4, 0.9)
        trunk = capsule(
            vector(x, ground, z),
            vector(x + rng.uniform(-0.3, 0.3), ground - tall, z),
            (thick, 0.6 * thick),
        )
        top = (
            superquadric((crown, crown * rng.uniform(0.7, 1.4), crown), (1, rng.uniform(0.6, 1.4)), 0.8)
            if rng.chance(0.6)
            else lathe(vector(-1.2, -0.2, 0.5) * crown, vector(0.02, 0.6, 1.0) * crown, 0.8)
        )
        shapes += [
            StaticPart(trunk, bark, casts=True),
            StaticPart(top.moved((x, ground - tall, z)), leaves, casts=True),
        ]
    return shapes


def _stage(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    """A floor that bends up into a back wall, as in a photographer's studio or a skate bowl."""
    depth, bow = rng.uniform(2.0, 4.0), rng.uniform(0.0, 0.5)

    def bend(u: Floats, v: Floats) -> Floats:
        x, s = 20 * (u - 0.5), 18 * v - 8.0  # s runs along the floor, then up the wall
        turn = np.clip((s - depth) / 1.2, 0, 1) * np.pi / 2
        z = np.minimum(s, depth) + 0.76 * np.sin(turn) - bow * 0.05 * x**2
        y = ground - 0.76 * (1 - np.cos(turn)) - np.clip(s - depth - 1.2, 0, None)
        return np.stack([x, y, z], -1)

    return [
        StaticPart(_dome(rng), random_texture(rng, side, calm=True), emissive=True),
        StaticPart(sheet(bend, 26, 40, density=rng.uniform(0.2, 0.5)), random_texture(rng, side, calm=True)),
    ]


def _vault(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    """A painted dome with things that float far behind; sometimes without any ground."""
    shapes = [
        StaticPart(
            _dome(rng),
            random_texture(rng, side, calm=True, kinds=("clutter", "cells", "patches", "fur", "tiles", "stripes")),
            emissive=True,
        )
    ]
    for _ in range(rng.integer(3, 7)):
        far = vector(rng.signed(0.2, 4.0), rng.uniform(-3, 1.5), rng.uniform(1.8, 6.0))
        shapes.append(
            StaticPart(random_object(rng, rng.uniform(0.4, 1.1)).moved(far), random_texture(rng, side, calm=True))
        )
    if rng.chance(0.7):
        shapes.append(
            StaticPart(
                _floor(rng, ground + rng.uniform(0, 0.5), rng.uniform(0.3, 0.7), rng.uniform(0, 0.4)),
                random_texture(rng, side),
            )
        )
    return shapes


def _dome(rng: SceneRng) -> Mesh:
    around = rng.uniform(0.03, 0.06) * 2

    def bend(u: Floats, v: Floats) -> Floats:
        about, up = 2 * np.pi * u, np.pi * (v - 0.5)
        return _FAR * np.stack([np.cos(up) * np.cos(about), np.sin(up), np.cos(up) * np.sin(about)], -1)

    return sheet(bend, 32, 20, True, density=around)


def _ridge(rng: SceneRng, ground: float) -> Mesh:
    """Mountains, a hedge or a skyline far behind."""
    away, tall, phase = rng.uniform(5, 10), rng.uniform(0.8, 3.0), rng.uniform(0, 6)
    rough, square = rng.normals(6) * 0.35, rng.chance(0.4)

    def bend(u: Floats, v: Floats) -> Floats:
        at = np.round(u * 20) if square else u * 20
        profile = tall * (1 + sum(r * np.sin(0.7 * (k + 1) * at + phase * k) for k, r in enumerate(rough)))
        angle = np.pi * (0.1 + 0.8 * u)
        return np.stack([away * np.cos(angle), ground - v * np.maximum(profile, 0.2), away * np.sin(angle)], -1)

    return sheet(bend, 60, 4, density=rng.uniform(0.15, 0.4))


def _objects(rng: SceneRng, ground: float, side: int) -> list[StaticPart]:
    """Things on the ground beside and behind the subject, clear of it."""
    shapes = []
    for _ in range(rng.integer(0, 4)):
        size = rng.uniform(0.25, 0.6)
        about = rng.uniform(-0.1 * np.pi, 1.1 * np.pi)  # not between the subject and the camera
        away = rng.uniform(1.35, 2.6) + size
        thing = random_object(rng, size)
        low = float(thing.points[:, 1].max())
        place = vector(away * np.cos(about), ground - low, away * np.sin(about))
        shapes.append(StaticPart(thing.moved(place), random_texture(rng, side, calm=True), casts=True))
    return shapes
