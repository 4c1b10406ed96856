"""``fourreal run --views-from``: the grid of a folder of views, and the cameras that are known of them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import DEFAULT_COUNT

if TYPE_CHECKING:
    from ..cameras import Cameras
    from ..geometry.view_order import ViewOrder
    from ..grid import FrameGrid


@dataclass(frozen=True)
class GivenViews:
    """What a folder of views gives.

    Attributes:
        grid: Its rows are views, its columns times.
        order: Which views the rows are.
        cameras: Theirs; None where they are not known.
    """

    grid: FrameGrid
    order: ViewOrder
    cameras: Cameras | None


def read_views(args: argparse.Namespace, size: tuple[int, int] | None) -> GivenViews:
    """Reads ``--views-from`` with ``--cameras``, ``--views``, ``--times`` and ``--mask``.

    Raises:
        InputError: A folder or cameras that can't be used.
    """
    import numpy as np
    import torch

    from .. import media
    from ..geometry.camera_files import cameras_of_views, read_camera_file, sized_cameras
    from ..geometry.view_order import order_views
    from ..grid import FrameGrid
    from ..media.framing import place
    from ..media.view_clips import find_views

    found = find_views(args.views_from)
    for axis, count, there in (("views", args.views, len(found.names)), ("times", args.times, len(found.times))):
        if count is not None and not 2 <= count <= there:
            raise InputError(f"{count} {axis}", f"2 to the {there} there are", "ask for as many as there are")
    if len(found.times) < 2:
        raise InputError("views of 1 frame (one moment has no motion)", "at least 2", "give longer clips")
    files = None if args.cameras is None else cameras_of_views(read_camera_file(args.cameras), found.names)
    poses = None if files is None else np.stack([camera.world_to_cam for camera in files])
    order = order_views(found.names, poses, args.views or min(DEFAULT_COUNT, len(found.names)))
    frames, known = found.read(order.index, args.times or min(DEFAULT_COUNT, len(found.times)), size, fit=args.fit)
    height, width = frames.shape[2:4]
    shown = found.frame_size()
    valid = torch.from_numpy(place(shown, (height, width), args.fit).inside())
    if args.mask is not None:
        valid = valid & media.read_mask(args.mask, (height, width), args.fit, shown)
    grid = FrameGrid(frames, known, valid)
    cameras = None if files is None else sized_cameras([files[k] for k in order.index], (height, width))
    return GivenViews(grid, order, cameras)
