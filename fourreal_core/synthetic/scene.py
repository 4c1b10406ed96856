"""What a scene is made of, and what is known of it once it is rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..cameras import Cameras
from .backgrounds import StaticPart
from .meshes import Floats, vector
from .motions import MovingPart
from .random_choices import SceneRng
from .textures import Texture
from .view_errors import ViewErrors


@dataclass(frozen=True)
class Light:
    """A sun and the light from everywhere.

    Attributes:
        toward: ``(3,)`` unit vector to the sun.
        ambient: Share of light that needs no sun.
        haze: Share of what lies at distance 10 that haze hides.
        haze_gray: Its brightness from 0 to 255.
    """

    toward: Floats
    ambient: float
    haze: float = 0.0
    haze_gray: float = 0.0

    @classmethod
    def random(cls, rng: SceneRng) -> Light:
        """A sun somewhere above, behind or beside the cameras."""
        toward = vector(rng.uniform(-0.9, 0.9), -rng.uniform(0.5, 1.2), rng.uniform(-1.0, 0.2))
        return cls(
            (toward / np.linalg.norm(toward)).astype(np.float32),
            rng.uniform(0.4, 0.75),
            rng.choice((0.0, 0.0, 0.15, 0.4)),
            rng.uniform(120, 235),
        )


@dataclass(frozen=True)
class Scene:
    """The description of a scene: things, their motion, cameras, and how the views disagree.

    Attributes:
        subject: What moves, through T times.
        subject_textures: What its parts show, by number.
        background: What stands still.
        cameras: V cameras.
        light: Sun and haze.
        view_errors: What each view is off by; None where they agree.
    """

    subject: list[MovingPart]
    subject_textures: list[Texture]
    background: list[StaticPart]
    cameras: Cameras
    light: Light
    view_errors: ViewErrors | None = None


@dataclass(frozen=True)
class SceneGrid:
    """A rendered scene and its ground truth.

    Attributes:
        cells: ``(V, T, H, W, 3)`` uint8 RGB.
        masks: ``(V, T, H, W)`` bool, the subject.
        depth: ``(V, T, H, W)`` float32 z-depth of the nearest surface in the pixel.
        cameras: The V cameras.
        tracks: ``(T, N, 3)`` world positions of surface points, the first half on the subject; N is 0 if not asked for.
        visible: ``(V, T, N)`` bool, whether a cell shows the point.
        flows: ``(V, T, 2, 2, H, W)`` float32, how far away in pixels (x, y) the point that a pixel shows is in the cell
            of the same view at the first time, and in the cell of the first view at the same time; visible there or
            not. ``(V, T, 0, 2, H, W)`` if not asked for.
        name: Kind of subject, or of the sample scene.
        seed: What made it.
    """

    cells: Tensor
    masks: Tensor
    depth: Tensor
    cameras: Cameras
    tracks: Tensor
    visible: Tensor
    flows: Tensor
    name: str = ""
    seed: int = 0

    @property
    def frames(self) -> Tensor:
        """The cells as float32 in ``[0, 1]``."""
        return to_float(self.cells)


def to_float(cells: Tensor) -> Tensor:
    """8-bit cells as float32 in ``[0, 1]``."""
    return cells.float() / 255
