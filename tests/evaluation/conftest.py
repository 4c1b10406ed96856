"""A little 4D world whose every cell is known: a board slides before a wall while the camera may stand anywhere."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fourreal_core.media import save_image

from ..geometry.worlds import look, path

VIEWS, TIMES = 5, 4


@pytest.fixture(scope="package")
def true_frames() -> Tensor:
    """``(5, 4, 72, 120, 3)``."""
    cameras = path(VIEWS)
    columns = [look(cameras, [(0.06 * t, 0.0)] * VIEWS).frames for t in range(TIMES)]
    return torch.stack(columns, 1)


@pytest.fixture(scope="package")
def frozen_frames(true_frames: Tensor) -> Tensor:
    """Row 0 as it is, every other row standing still."""
    frames = true_frames[:, :1].expand_as(true_frames).clone()
    frames[0] = true_frames[0]
    return frames


def installed(name: str) -> Any:
    """A package that may not be here, or may not work with the torch that is; without it the test skips."""
    try:
        return importlib.import_module(name)
    except Exception as err:
        pytest.skip(f"{name} is not installed, or does not work here ({type(err).__name__})")


def write_cells(frames: Tensor, folder: Path) -> Path:
    """Every cell as a picture of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for v in range(frames.shape[0]):
        for t in range(frames.shape[1]):
            save_image(frames[v, t], folder / f"v{v}_t{t}.png")
    return folder
