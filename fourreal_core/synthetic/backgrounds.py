"""What stands around the subject: rooms, landscapes, stages and vaults with texture and depth, filling every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Floats, Mesh, box, capsule, lathe, sheet, superquadric
from .props import any_thing
from .random_choices import SceneRng
from .textures import Picture, paint, sky

_FAR = 14.0


@dataclass(frozen=True)
class Standing:
    """A surface that does not move.

    Attributes:
        mesh: In world space.
        picture: ``(S, S, 3)`` that it shows.
        shines: Drawn without light or shade, as a sky.
        casts: Throws a shadow.
    """

    mesh: Mesh
    picture: Picture
    shines: bool = False
    casts: bool = False


def surround(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    """ThreadState of a subject of radius 1 at the origin that is seen from around (0, 0, -3).

    Args:
        dice: Source of all choices.
        ground: Height of the ground; y points down.
        side: Width of the pictures in pixels.
    """
    kind = dice.pick((_room, _landscape, _landscape, _stage, _vault))
    shapes = kind(dice, ground, side)
    return [*shapes, *_props(dice, ground, side)]


def _floor(dice: SceneRng, ground: float, density: float, hills: float = 0.0) -> Mesh:
    phase, waves = dice.uniform(0, 6), dice.numbers(4, 2) * 0.6

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


def _room(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    back, wide, tall = dice.uniform(1.6, 3.5), dice.uniform(2.6, 4.5), dice.uniform(4.0, 6.0)
    indoors = ("tiles", "planks", "weave", "stripes", "cells", "fur", "dots", "clutter", "gradient")
    floor = paint(dice, side, calm=True, kinds=("tiles", "planks", "weave", "cells", "clutter", "fur"))
    wall, flank = paint(dice, side, calm=True, kinds=indoors), paint(dice, side, calm=True, kinds=indoors)
    density = dice.uniform(0.25, 0.6)
    shapes = [
        Standing(_floor(dice, ground, dice.uniform(0.3, 0.7)), floor),
        Standing(_wall((-wide, back), (wide, back), ground, tall, density), wall),
    ]
    for x in (-wide, wide):
        shapes.append(Standing(_wall((x, -7.0), (x, back), ground, tall, density), flank))
    roof = _wall((-wide, back), (wide, back), ground, 0.1, density)
    lid = sheet(
        lambda u, v: np.stack([wide * (2 * u - 1), 0 * u + ground - tall, -7 + v * (back + 7)], -1),
        12,
        12,
        density=density,
    )
    shapes += [Standing(lid, flank), Standing(roof, floor)]
    for x in np.linspace(-wide, wide, dice.whole(2, 5))[1:-1] if dice.chance(0.6) else []:  # pictures or windows
        frame = box((dice.uniform(0.3, 0.6), dice.uniform(0.3, 0.7), 0.04), dice.uniform(0.5, 1))
        shapes.append(
            Standing(
                frame.moved((float(x), ground - dice.uniform(1.2, 2.2), back - 0.05)), paint(dice, side, calm=True)
            )
        )
    return shapes


def _landscape(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    outdoors = ("fur", "clutter", "patches", "cells", "planks", "tiles")
    soil = paint(dice, side, calm=True, kinds=outdoors)
    shapes = [
        Standing(_dome(dice), sky(dice, side), shines=True),
        Standing(_floor(dice, ground, dice.uniform(0.3, 0.6), dice.uniform(0, 0.35)), soil),
    ]
    for _ in range(dice.whole(1, 2)):
        shapes.append(Standing(_ridge(dice, ground), paint(dice, side, calm=True, kinds=outdoors)))
    bark, leaves = (
        paint(dice, side, calm=True, kinds=("fur", "planks", "stripes")),
        paint(dice, side, calm=True, kinds=("clutter", "fur", "patches", "dots")),
    )
    for _ in range(dice.whole(2, 6)):
        x, z = dice.signed(0.3, 4.5), dice.uniform(1.8, 5.0)
        tall, thick, crown = dice.uniform(0.8, 2.5), dice.uniform(0.08, 0.25), dice.uniform(0.4, 0.9)
        trunk = capsule(
            np.float32([x, ground, z]),
            np.float32([x + dice.uniform(-0.3, 0.3), ground - tall, z]),
            (thick, 0.6 * thick),
        )
        top = (
            superquadric((crown, crown * dice.uniform(0.7, 1.4), crown), (1, dice.uniform(0.6, 1.4)), 0.8)
            if dice.chance(0.6)
            else lathe(np.float32([-1.2, -0.2, 0.5]) * crown, np.float32([0.02, 0.6, 1.0]) * crown, 0.8)
        )
        shapes += [Standing(trunk, bark, casts=True), Standing(top.moved((x, ground - tall, z)), leaves, casts=True)]
    return shapes


def _stage(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    """A floor that bends up into a back wall, as in a photographer's studio or a skate bowl."""
    depth, bow = dice.uniform(2.0, 4.0), dice.uniform(0.0, 0.5)

    def bend(u: Floats, v: Floats) -> Floats:
        x, s = 20 * (u - 0.5), 18 * v - 8.0  # s runs along the floor, then up the wall
        turn = np.clip((s - depth) / 1.2, 0, 1) * np.pi / 2
        z = np.minimum(s, depth) + 0.76 * np.sin(turn) - bow * 0.05 * x**2
        y = ground - 0.76 * (1 - np.cos(turn)) - np.clip(s - depth - 1.2, 0, None)
        return np.stack([x, y, z], -1)

    return [
        Standing(_dome(dice), paint(dice, side, calm=True), shines=True),
        Standing(sheet(bend, 26, 40, density=dice.uniform(0.2, 0.5)), paint(dice, side, calm=True)),
    ]


def _vault(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    """A painted dome with things that float far behind; sometimes without any ground."""
    shapes = [
        Standing(
            _dome(dice),
            paint(dice, side, calm=True, kinds=("clutter", "cells", "patches", "fur", "tiles", "stripes")),
            shines=True,
        )
    ]
    for _ in range(dice.whole(3, 7)):
        far = np.float32([dice.signed(0.2, 4.0), dice.uniform(-3, 1.5), dice.uniform(1.8, 6.0)])
        shapes.append(Standing(any_thing(dice, dice.uniform(0.4, 1.1)).moved(far), paint(dice, side, calm=True)))
    if dice.chance(0.7):
        shapes.append(
            Standing(
                _floor(dice, ground + dice.uniform(0, 0.5), dice.uniform(0.3, 0.7), dice.uniform(0, 0.4)),
                paint(dice, side),
            )
        )
    return shapes


def _dome(dice: SceneRng) -> Mesh:
    around = dice.uniform(0.03, 0.06) * 2

    def bend(u: Floats, v: Floats) -> Floats:
        about, up = 2 * np.pi * u, np.pi * (v - 0.5)
        return _FAR * np.stack([np.cos(up) * np.cos(about), np.sin(up), np.cos(up) * np.sin(about)], -1)

    return sheet(bend, 32, 20, True, density=around)


def _ridge(dice: SceneRng, ground: float) -> Mesh:
    """Mountains, a hedge or a skyline far behind."""
    away, tall, phase = dice.uniform(5, 10), dice.uniform(0.8, 3.0), dice.uniform(0, 6)
    rough, square = dice.numbers(6) * 0.35, dice.chance(0.4)

    def bend(u: Floats, v: Floats) -> Floats:
        at = np.round(u * 20) if square else u * 20
        profile = tall * (1 + sum(r * np.sin(0.7 * (k + 1) * at + phase * k) for k, r in enumerate(rough)))
        angle = np.pi * (0.1 + 0.8 * u)
        return np.stack([away * np.cos(angle), ground - v * np.maximum(profile, 0.2), away * np.sin(angle)], -1)

    return sheet(bend, 60, 4, density=dice.uniform(0.15, 0.4))


def _props(dice: SceneRng, ground: float, side: int) -> list[Standing]:
    """Things on the ground beside and behind the subject, clear of it."""
    shapes = []
    for _ in range(dice.whole(0, 4)):
        size = dice.uniform(0.25, 0.6)
        about = dice.uniform(-0.1 * np.pi, 1.1 * np.pi)  # not between the subject and the camera
        away = dice.uniform(1.35, 2.6) + size
        thing = any_thing(dice, size)
        low = float(thing.points[:, 1].max())
        place = np.float32([away * np.cos(about), ground - low, away * np.sin(about)])
        shapes.append(Standing(thing.moved(place), paint(dice, side, calm=True), casts=True))
    return shapes
