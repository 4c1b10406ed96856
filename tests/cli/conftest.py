"""The command line with a stand-in for the pipeline, so that a command takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fourreal_core.cameras import Cameras, intrinsics_from_focal
from fourreal_core.cli import job
from fourreal_core.geometry.camera_motion import CameraMotion
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.grid import FrameGrid
from fourreal_core.media import save_image
from fourreal_core.pipeline import PipelineOptions, PipelineResult
from fourreal_core.progress import StageFactory, no_stages
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.scene4d import Scene4D


def tiny_scene(grid: FrameGrid) -> Scene4D:
    """Twenty grey splats seen by cameras that all stand in one place."""
    n, v = 20, grid.views
    depth = torch.linspace(1, 2, n)
    means = torch.stack([torch.linspace(-0.5, 0.5, n), torch.zeros(n), depth], -1)
    intrinsics = intrinsics_from_focal(40.0, grid.size).repeat(v, 1, 1)
    cameras = Cameras(torch.eye(4).repeat(v, 1, 1), intrinsics, grid.size)
    splats = Splats(means, torch.full((n,), -3.0), torch.zeros(n), torch.full((n, 3), 0.5))
    return Scene4D(
        splats=splats,
        cameras=cameras,
        view_offsets=torch.zeros(v, n, 3),
        visible=torch.ones(v, n, dtype=torch.bool),
        motion_weight=torch.zeros(n),
        view_depth=torch.ones(v, *grid.size),
        view_motion=torch.zeros(v, *grid.size),
        times=grid.times,
        deformation=None,
        background=torch.zeros(3),
    )


class StandIn:
    """Takes the pipeline's place: repeats the freeze-time frames, and remembers what it was called with."""

    def __init__(self) -> None:
        self.grid: FrameGrid | None = None
        self.options: PipelineOptions | None = None
        self.fails_with: BaseException | None = None
        self.motion: CameraMotion | None = None

    def __call__(self, grid: FrameGrid, options: PipelineOptions, stages: StageFactory = no_stages) -> PipelineResult:
        self.grid, self.options = grid, options
        on_step = stages("stand-in")
        on_step(1, 2)
        if self.fails_with is not None:
            raise self.fails_with
        on_step(2, 2)
        scene = tiny_scene(grid)
        geometry = Geometry(
            torch.ones(grid.views, *grid.size),
            scene.cameras.intrinsics,
            torch.ones(grid.views, *grid.size, dtype=torch.bool),
            scene.cameras.world_to_cam,
        )
        filled = grid.filled(grid.freeze_time[:, None].expand_as(grid.frames))
        motion = self.motion or CameraMotion.none(grid.times, grid.size)
        return PipelineResult(filled, scene, geometry, {"stand-in": 0.25}, motion, filled)


@pytest.fixture
def pipeline(monkeypatch) -> StandIn:
    """The stand-in, in place of the pipeline."""
    stand_in = StandIn()
    monkeypatch.setattr(job, "run_pipeline", stand_in)
    return stand_in


@pytest.fixture
def clip_folder(tmp_path, pictures) -> Callable[..., Path]:
    """Writes a clip as a folder of pictures; two clips of one size start with the same picture."""
    starts: dict[tuple[int, int], torch.Tensor] = {}

    def make(name: str, frames: int, height: int = 32, width: int = 48) -> Path:
        clip = pictures(frames, height, width)
        clip[0] = starts.setdefault((height, width), clip[0])
        folder = tmp_path / name
        folder.mkdir()
        for i, frame in enumerate(clip):
            save_image(frame, folder / f"{i}.png")
        return folder

    return make


@pytest.fixture
def two_clips(clip_folder) -> list[str]:
    """The required arguments of ``fourreal run``, but for ``-o``: 3 views and 4 times."""
    return ["run", "--freeze-time", str(clip_folder("freeze", 3)), "--fixed-view", str(clip_folder("fixed", 4))]
