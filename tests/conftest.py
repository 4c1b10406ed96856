"""What all tests share: seeded randomness, and small clips that look like something."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor

from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.structure_from_motion import parallax_geometry
from fourreal_core.grid import FrameGrid

from .geometry.worlds import World, look, path, standing

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # every core has a process of its own
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays in one process, where its fixtures are made once; so do all files of the nodes, for which the
    kernels are compiled under the extension's name once more."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            own = not file.startswith("tests/nodes/") or file.endswith("_cache.py")
            return file if own else "tests/nodes"

    config.option.loadscopereorder = False  # the files with the most tests are not those that take longest
    return ByFile(config, log)


@pytest.fixture
def generator() -> torch.Generator:
    """Randomness that is the same in every run."""
    return torch.Generator().manual_seed(20250611)


@pytest.fixture
def pictures(generator: torch.Generator):
    """Makes ``(F, H, W, 3)`` smooth random 8-bit pictures in ``[0, 1]``, all of them different."""

    def make(frames: int, height: int = 32, width: int = 48) -> Tensor:
        coarse = torch.rand(frames, 3, 5, 7, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        return (smooth.clamp(0, 1).permute(0, 2, 3, 1) * 255).round() / 255

    return make


@pytest.fixture
def small_grid(pictures) -> FrameGrid:
    """A grid of 3 views and 4 times with row 0 and column 0 known."""
    fixed = pictures(4)
    freeze = torch.cat([fixed[:1], pictures(2)])
    return FrameGrid.from_clips(freeze, fixed)


@pytest.fixture(scope="session")
def walk() -> World:
    """A freeze-time clip of five views."""
    return look(path(5))


@pytest.fixture(scope="session")
def measured(walk: World) -> Geometry:
    """What parallax makes of it."""
    return parallax_geometry(walk.clip)


@pytest.fixture(scope="session")
def moving() -> World:
    """A fixed-view clip of four frames in which the board slides by 2 px right and 1 px down a frame."""
    return look(standing(4), [(0.04 * t, 0.02 * t) for t in range(4)])
