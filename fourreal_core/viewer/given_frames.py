"""Known cells for comparing in the viewer, from a grid in memory or from the folder that a run left."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from ..grid import FrameGrid
from ..media import read_image
from ..media.images import to_uint8, webp_bytes
from ..scene.scene4d import Scene4D
from .payload import GivenFrame


def frames_of_grid(grid: FrameGrid, scene: Scene4D) -> list[GivenFrame]:
    """All known cells of a grid.

    Args:
        grid: That the scene was fitted to.
        scene: What they are compared with.

    Raises:
        InputError: A grid of other views, times or size than the scene's.
    """
    if (grid.views, grid.times, *grid.size) != (scene.views, scene.times, *scene.cameras.size):
        raise InputError(
            f"a grid of {grid.views} x {grid.times} cells of {grid.size[1]} x {grid.size[0]} pixels",
            f"{scene.views} x {scene.times} of {scene.cameras.size[1]} x {scene.cameras.size[0]} as the scene",
            "compare with the grid the scene was fitted to",
        )
    return [GivenFrame(v, t, webp_bytes(to_uint8(grid.frames[v, t]))) for v, t in grid.known.nonzero().tolist()]


def frames_of_run(folder: Path, scene: Scene4D) -> list[GivenFrame]:
    """The known cells that a run left beside its scene; none where the folder has none of the scene's size.

    Which cells were given is said by ``report.json``; without it, they are those of the first row and column.

    Args:
        folder: Where ``grid/v{view}_t{time}.png`` may be.
        scene: What they belong to.
    """
    found = []
    for v, t in _known_cells(folder / "report.json", scene):
        path = folder / "grid" / f"v{v}_t{t}.png"
        try:
            picture = read_image(path)
        except InputError:
            continue  # comparing is an extra: a scene without its pictures is shown without them
        if tuple(picture.shape[:2]) == tuple(scene.cameras.size):
            found.append(GivenFrame(v, t, webp_bytes(to_uint8(picture))))
    return found


def _known_cells(report: Path, scene: Scene4D) -> list[tuple[int, int]]:
    try:
        cells = [(int(v), int(t)) for v, t in json.loads(report.read_text(encoding="utf-8"))["grid"]["known"]]
    except (OSError, ValueError, KeyError, TypeError):
        cells = [(0, t) for t in range(scene.times)] + [(v, 0) for v in range(1, scene.views)]
    return [(v, t) for v, t in cells if 0 <= v < scene.views and 0 <= t < scene.times]
