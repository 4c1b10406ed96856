"""Views that disagree as a video model's do: each sees the world bent by a smooth field, in a light of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from .meshes import Floats, vector
from .random_choices import SceneRng

_LONGEST, _OCTAVES, _WAVES = 1.6, 2, 10  # world units; waves an octave


@dataclass(frozen=True)
class ViewErrors:
    """What each of V views is off by; the central view is right.

    Attributes:
        pixels: ``(V,)`` standard deviation of the displacement in the image.
        frequencies: ``(V, 3, K, 3)`` waves of the displacement along the camera's axes, radians a world unit.
        phases: ``(V, 3, K)``.
        gains: ``(V, 3)`` factors of the colours.
    """

    pixels: Floats
    frequencies: Floats
    phases: Floats
    gains: Floats

    @classmethod
    def random(cls, rng: SceneRng, views: int, pixels: float) -> ViewErrors:
        """Draws fields of unit variance, waves in random directions, and gains of 1 by 4 %."""
        count = _OCTAVES * _WAVES
        direction = rng.normals(views, 3, count, 3)
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        octave = 2.0 ** np.repeat(np.arange(_OCTAVES), _WAVES)[:, None]
        frequencies = 2 * np.pi / _LONGEST * direction * octave * (0.7 + 0.6 * rng.uniforms(views, 3, count, 1))
        phases = 2 * np.pi * rng.uniforms(views, 3, count)
        wrong = (np.arange(views) != views // 2).astype(np.float32)
        return cls(pixels * wrong, frequencies, phases, 1 + 0.04 * wrong[:, None] * rng.normals(views, 3))

    def __getitem__(self, view: int) -> ViewErrors:
        """One view's, as a single view."""
        return ViewErrors(*(part[view : view + 1] for part in (self.pixels, self.frequencies, self.phases, self.gains)))

    def displacement(self, view: int, points: Floats, cameras: Cameras) -> Floats:
        """World-space displacement ``(N, 3)`` of what is at ``points (N, 3)`` while at rest.

        It is as large in pixels at any distance, and twice as large in depth.
        """
        pose = cameras.world_to_cam[view].numpy()
        depth = points @ pose[2, :3] + pose[2, 3]
        amplitude = 0.7 ** np.repeat(np.arange(_OCTAVES), _WAVES)
        waves = np.cos(np.einsum("nj,akj->nak", points, self.frequencies[view]) + self.phases[view])
        field = waves @ (amplitude / np.sqrt((amplitude**2 / 2).sum()))
        unit = self.pixels[view] * depth / float(cameras.intrinsics[view, 0, 0])
        moved: Floats = (field * unit[:, None] * vector(1, 1, 2)) @ pose[:3, :3]
        return moved.astype(np.float32)
