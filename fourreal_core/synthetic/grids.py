"""A seeded 4D scene as a grid of cells with everything known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from . import creatures, machines, soft_bodies
from . import props as things
from .backgrounds import surround
from .camera_paths import camera_path
from .mesh_renderer import Light, assemble, draw
from .meshes import Floats
from .motions import Piece
from .random_choices import SceneRng, scene_seed
from .textures import paint

FAMILIES: dict[str, Callable[[SceneRng, Floats], list[Piece]]] = {
    "quadruped": creatures.quadruped,
    "biped": creatures.biped,
    "bird": creatures.bird,
    "insect": creatures.insect,
    "snake": soft_bodies.snake,
    "fish": soft_bodies.fish,
    "blob": soft_bodies.blob,
    "cloth": soft_bodies.cloth,
    "ribbon": soft_bodies.ribbon,
    "arms": soft_bodies.arms,
    "tumbling": things.tumbling,
    "bouncing": things.bouncing,
    "stacked": things.stacked,
    "vehicle": machines.vehicle,
    "robot arm": machines.robot_arm,
    "mill": machines.mill,
    "gears": machines.gears,
    "pendulum": machines.pendulum,
}
"""Kinds of subject, by name."""
_FLYING = {"bird", "fish", "ribbon", "tumbling", "gears"}
_OFTEN = ("quadruped", "biped")  # what people film most


@dataclass(frozen=True)
class GridOptions:
    """Sizes of made grids.

    Attributes:
        views: Cameras V.
        times: Moments T.
        size: ``(height, width)`` of a cell in pixels.
        window: Cells a side over which a motion or a camera path runs once; longer grids go on from there.
        tracked: Surface points whose paths are kept.
        family: Name of the kind of subject; any when None.
    """

    views: int = 8
    times: int = 8
    size: tuple[int, int] = (64, 64)
    window: int = 8
    tracked: int = 0
    family: str | None = None

    def __post_init__(self) -> None:
        if min(self.views, self.times) < 1 or self.window < 2 or min(self.size) < 8 or self.tracked < 0:
            raise InputError(
                f"grids of {self.views} views, {self.times} times, windows of {self.window}, "
                f"{self.size[1]} x {self.size[0]} pixels and {self.tracked} tracks",
                "at least 1 view, 1 time, windows of 2 and 8 x 8 pixels",
                "ask for more",
            )
        if self.family is not None and self.family not in FAMILIES:
            raise InputError(f"a family {self.family!r}", f"one of {', '.join(FAMILIES)}", "choose one of them")


@dataclass(frozen=True)
class MadeGrid:
    """A made scene, seen and known.

    Attributes:
        cells: ``(V, T, H, W, 3)`` uint8 RGB.
        masks: ``(V, T, H, W)`` bool, the subject.
        depth: ``(V, T, H, W)`` float32 z-depth.
        cameras: The V cameras.
        tracks: ``(T, N, 3)`` world positions of surface points; the first half lies on the subject.
        seen: ``(V, T, N)`` bool, whether a cell sees the point.
        flows: ``(V, T, 2, 2, H, W)`` float32 pixels, see Drawn.
        family: Kind of the subject.
        seed: What made it.
    """

    cells: Tensor
    masks: Tensor
    depth: Tensor
    cameras: Cameras
    tracks: Tensor
    seen: Tensor
    flows: Tensor
    family: str
    seed: int


def make_grid(split: str, index: int, options: GridOptions | None = None) -> MadeGrid:
    """Makes scene ``index`` of a split; the same arguments make the same grid.

    Args:
        split: ``train``, ``validation`` or ``test``; their seeds never meet.
        index: Which scene.
        options: Sizes.

    Raises:
        InputError: No such split or index.
    """
    options, seed = options or GridOptions(), scene_seed(split, index)
    dice = SceneRng(seed)
    names = [*FAMILIES, *_OFTEN, *_OFTEN]
    family = options.family or dice.pick(names)
    speed, side = dice.uniform(0.4, 1.0), _picture_side(options.size)
    phases = np.arange(options.times, dtype=np.float32) / (options.window - 1) * speed
    subject, ground = _framed(FAMILIES[family](dice, phases), family in _FLYING, dice)
    hue = dice.uniform(0, 1)
    paints = [
        paint(dice, side, hue),
        paint(dice, side, hue if dice.chance(0.6) else None),
        *(paint(dice, side, kinds=("fur", "gradient")) * shade for shade in (0.3, 1.0)),
    ]
    paints[3] = 0.45 + 0.55 * paints[3]
    standing = surround(dice, ground, side)
    cameras = camera_path(dice, np.arange(options.views, dtype=np.float32) / (options.window - 1), options.size, ground)
    drawn = draw(assemble(subject, paints, standing), cameras, Light.any(dice), options.tracked, dice)
    return MadeGrid(drawn.cells, drawn.masks, drawn.depth, cameras, drawn.tracks, drawn.seen, drawn.flows, family, seed)


def to_float(cells: Tensor) -> Tensor:
    """8-bit cells as float32 in ``[0, 1]``."""
    return cells.to(torch.float32) / 255


def _framed(pieces: list[Piece], flying: bool, dice: SceneRng) -> tuple[list[Piece], float]:
    """A body about the origin whose bulk over the clip is within radius 0.85, and the height of the ground below it."""
    every = np.concatenate([p.positions.reshape(-1, 3) for p in pieces])
    middle = (every.min(0) + every.max(0)) / 2
    scale = 0.85 / float(np.percentile(np.linalg.norm(every - middle, axis=-1), 88))
    framed = [Piece(p.mesh, ((p.positions - middle) * scale).astype(np.float32), p.paint) for p in pieces]
    ground = float((every[:, 1].max() - middle[1]) * scale)
    return framed, ground + (dice.uniform(0.1, 0.8) if flying else 0.0)


def _picture_side(size: tuple[int, int]) -> int:
    """A power of two near twice the frame's width, from 64 to 512."""
    return int(2 ** np.clip(np.round(np.log2(max(size))) + 1, 6, 9))
