"""The cells of a grid as pictures of a folder, named ``v{view}_t{time}``."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .images import natural_key
from .view_clips import CELL_NAME


def find_cells(folder: Path) -> dict[tuple[int, int], Path]:
    """Files of a folder by the cell ``(view, time)`` that they are named after; other files are passed over.

    Raises:
        InputError: No such folder, or two files for one cell.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "a folder of cells v{view}_t{time}.png", "check the path")
    files: dict[tuple[int, int], Path] = {}
    for path in sorted(folder.iterdir(), key=natural_key):
        if match := CELL_NAME.fullmatch(path.name):
            cell = int(match[1]), int(match[2])
            if cell in files:
                raise InputError(f"two files for one cell, {files[cell].name} and {path.name}", "one", "remove one")
            files[cell] = path
    return files
