"""Clips of the little world, each made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fourreal_core.tracking.geometry import Geometry
from fourreal_core.tracking.parallax import parallax_geometry

from .worlds import World, look, path, standing


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Handing tiny pictures to several threads costs more than the threads give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def walk() -> World:
    """A freeze-time clip of five views."""
    return look(path(5))


@pytest.fixture(scope="session")
def measured(walk: World) -> Geometry:
    """What parallax makes of it."""
    return parallax_geometry(walk.frames)


@pytest.fixture(scope="session")
def moving() -> World:
    """A fixed-view clip of four frames in which the board slides by 2 px right and 1 px down a frame."""
    return look(standing(4), [(0.04 * t, 0.02 * t) for t in range(4)])
