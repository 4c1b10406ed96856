"""Seeded scenes of many kinds, as networks are trained on, each a grid of cells with everything known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from . import creatures, machines, props, soft_bodies
from .backgrounds import random_background
from .camera_trajectories import random_trajectory
from .mesh_renderer import RenderOptions, render
from .meshes import Floats
from .motions import MovingPart
from .random_choices import SceneRng, scene_seed
from .scene import Light, Scene, SceneGrid
from .textures import random_texture

FAMILIES: dict[str, Callable[[SceneRng, Floats], list[MovingPart]]] = {
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
    "tumbling": props.tumbling,
    "bouncing": props.bouncing,
    "stacked": props.stacked,
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
    """Sizes of a grid.

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


def make_grid(split: str, index: int, options: GridOptions | None = None, flows: bool = False) -> SceneGrid:
    """Makes scene ``index`` of a split; the same arguments make the same grid.

    Args:
        split: ``train``, ``validation`` or ``test``; their seeds never meet.
        index: Which scene.
        options: Sizes.
        flows: Measure true flows too.

    Raises:
        InputError: No such split or index.
    """
    options, seed = options or GridOptions(), scene_seed(split, index)
    rng, step = SceneRng(seed), options.window - 1
    name = options.family or rng.choice([*FAMILIES, *_OFTEN, *_OFTEN])
    phases = [np.arange(count, dtype=np.float32) / step for count in (options.views, options.times)]
    scene = random_scene(name, rng, phases[0], phases[1], options.size)
    return replace(render(scene, RenderOptions(options.tracked, flows), rng), name=name, seed=seed)


def random_scene(family: str, rng: SceneRng, view_phases: Floats, phases: Floats, size: tuple[int, int]) -> Scene:
    """A scene with a subject of a family, and all else at random.

    Args:
        family: Name of the kind of subject.
        rng: Source of all choices.
        view_phases: ``(V,)`` places along the cameras' path, 0 to 1 and back.
        phases: ``(T,)`` times, the motion runs once from 0 to 1 or slower.
        size: ``(height, width)`` of a cell in pixels.
    """
    speed, side = rng.uniform(0.4, 1.0), texture_side(size)
    subject, ground = _framed(FAMILIES[family](rng, phases * speed), family in _FLYING, rng)
    hue = rng.uniform(0, 1)
    textures = [
        random_texture(rng, side, hue),
        random_texture(rng, side, hue if rng.chance(0.6) else None),
        *(random_texture(rng, side, kinds=("fur", "gradient")) * shade for shade in (0.3, 1.0)),
    ]
    textures[3] = 0.45 + 0.55 * textures[3]
    background = random_background(rng, ground, side)
    cameras = random_trajectory(rng, view_phases, size, ground)
    return Scene(subject, textures, background, cameras, Light.random(rng))


def _framed(pieces: list[MovingPart], flying: bool, rng: SceneRng) -> tuple[list[MovingPart], float]:
    """A body about the origin whose bulk over the clip is within radius 0.85, and the height of the ground below it."""
    every = np.concatenate([p.positions.reshape(-1, 3) for p in pieces])
    middle = (every.min(0) + every.max(0)) / 2
    scale = 0.85 / float(np.percentile(np.linalg.norm(every - middle, axis=-1), 88))
    framed = [MovingPart(p.mesh, ((p.positions - middle) * scale).astype(np.float32), p.texture) for p in pieces]
    ground = float((every[:, 1].max() - middle[1]) * scale)
    return framed, ground + (rng.uniform(0.1, 0.8) if flying else 0.0)


def texture_side(size: tuple[int, int]) -> int:
    """A power of two near twice the frame's width, from 64 to 512."""
    return int(2 ** np.clip(np.round(np.log2(max(size))) + 1, 6, 9))
