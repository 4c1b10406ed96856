"""A little study of two methods."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fourreal_core.media import save_image
from fourreal_core.study.make_study import MakeOptions, make_study
from fourreal_core.study.study_file import Study

SCENES = ("boat", "cat")


@pytest.fixture(scope="session")
def method_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Grids of 2 x 3 small cells: one method is reddish, another greenish, and both change in time."""
    root = tmp_path_factory.mktemp("methods")
    folders: dict[str, dict[str, Path]] = {}
    for name, tint in (("ours", (0.8, 0.2, 0.2)), ("theirs", (0.2, 0.8, 0.2))):
        for scene in SCENES:
            folder = root / name / scene
            folder.mkdir(parents=True)
            for v in range(2):
                for t in range(3):
                    cell = torch.tensor(tint).expand(48, 64, 3).clone()
                    cell[8 + 8 * t : 16 + 8 * t, 16 + 16 * v : 32 + 16 * v] = 1.0
                    save_image(cell, folder / f"v{v}_t{t}.png")
            folders.setdefault(name, {})[scene] = folder
    return folders


@pytest.fixture
def study_folder(tmp_path: Path, method_folders: dict[str, dict[str, Path]]) -> tuple[Study, Path]:
    """The study and where it lies; the scene ``cat`` has a description."""
    folder = tmp_path / "study"
    return make_study(method_folders, folder, MakeOptions(texts={"cat": "A cat that jumps."})), folder
