"""Worlds of which everything is known: rigid, articulated and soft motion, with views that agree or do not.

They are sample scenes of ``fourreal_core.synthetic`` at any time and from any place. ``views_off`` bends every view but
the central one by a smooth field of its own, as a video model's views are off, and changes its light a little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fourreal_core.cameras import Cameras, interpolate
from fourreal_core.synthetic.mesh_renderer import SurfaceSamples, assemble, points_in_view, render, sample_surface
from fourreal_core.synthetic.random_choices import SceneRng
from fourreal_core.synthetic.sample_scenes import SUBJECTS, sample_scene
from fourreal_core.synthetic.scene import Scene, SceneGrid

WORLDS = {"rigid": "crate and ball", "articulated": "puppet", "soft": "jelly"}
"""Sample scene of each world."""
POINTS = 40_000


@dataclass(frozen=True)
class World:
    """A scene, and points on its surfaces to compare tracks at.

    Attributes:
        subject: Name of what moves.
        scene: At time 0.
        samples: N surface points.
        moving: Which of them ``(N,)`` lie on what moves.
    """

    subject: str
    scene: Scene
    samples: SurfaceSamples
    moving: Tensor

    @property
    def cameras(self) -> Cameras:
        """The V cameras of the freeze-time clip."""
        return self.scene.cameras

    def at(self, time: float) -> Tensor:
        """World positions ``(N, 3)`` of the points at a place ``0..1`` of the clip."""
        mesh = assemble(self._scene_at(time))
        return torch.from_numpy(self.samples.at(mesh.points[0], mesh))

    def in_view(self, view: int, time: float) -> Tensor:
        """Camera-space positions ``(N, 3)`` as view v has them, its own error included."""
        scene = self._scene_at(time)
        mesh = assemble(scene)
        bent = self.samples.at(points_in_view(scene, mesh, view)[0], mesh)
        return self.cameras[view].to_camera(torch.from_numpy(bent))[0]

    def cell(self, view: int, time: float) -> tuple[Tensor, Tensor]:
        """Image ``(H, W, 3)`` and depth ``(H, W)`` of a view at a time."""
        seen = self._seen(view, time)
        return seen.frames[0, 0], seen.depth[0, 0]

    def subject_mask(self, view: int, time: float) -> Tensor:
        """Which pixels ``(H, W)`` of a view show what moves."""
        return self._seen(view, time).masks[0, 0]

    def between(self, place: float, time: float) -> Tensor:
        """Image ``(H, W, 3)`` from a place between two cameras, of the world as it is."""
        camera = interpolate(self.cameras, torch.tensor([place]))
        return render(replace(self._scene_at(time), cameras=camera, view_errors=None)).frames[0, 0]

    def _seen(self, view: int, time: float) -> SceneGrid:
        errors = self.scene.view_errors
        own = None if errors is None else errors[view]
        return render(replace(self._scene_at(time), cameras=self.cameras[view], view_errors=own))

    def _scene_at(self, time: float) -> Scene:
        return replace(self.scene, subject=SUBJECTS[self.subject](np.array([time], np.float32)))


def make_world(kind: str, views: int, size: tuple[int, int], views_off: float = 0.0, seed: int = 0) -> World:
    """One of the worlds of ``WORLDS``.

    Args:
        kind: Its name.
        views: Cameras on an arc of 24 degrees.
        size: ``(height, width)``.
        views_off: Standard deviation in pixels by which a view is off; 0 for views that agree.
        seed: Of textures and errors.
    """
    places, start = np.linspace(0, 1, views, dtype=np.float32), np.zeros(1, np.float32)
    scene = sample_scene(WORLDS[kind], size, places, start, seed, views_off)
    samples = sample_surface(assemble(scene), POINTS, SceneRng(seed))
    return World(WORLDS[kind], scene, samples, torch.arange(POINTS) < POINTS // 2)
