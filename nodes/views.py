"""Views of the same times, as multi-view generators and rigs give them, as a frame grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
import torch
from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.media.files import output_path
from ..fourreal_core.media.framing import ASPECT_TOLERANCE
from .clips import frames_of, resized, scaled_size, valid_pixels
from .compat import advanced, schema
from .depth_geometry import DepthAnything3Wire
from .devices import plain_tensors
from .grid import WINDOW, ignore_input
from .progress import HostProgress
from .wires import CamerasWire, GridWire, cameras_from_da3

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..fourreal_core.cameras import Cameras
    from ..fourreal_core.geometry.view_order import ViewOrder


class FrameGridFromViews(io.ComfyNode):
    """One clip a view, all of the same times, as the rows of a frame grid."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGridFromViews",
            display_name="Frame Grid from Views",
            branch="grid",
            search_aliases=[
                "4real",
                "multi view video",
                "multi camera",
                "camera rig",
                "sv4d",
                "syncammaster",
                "recammaster",
                "colmap",
                "transforms.json",
                "video to 4d",
            ],
            description="Makes a frame grid of several views of the same times: one clip a view, of cameras that "
            "stand. Every cell is known then, and a scene is fitted to all of them.",
            inputs=[
                io.MultiType.Input(
                    "clips",
                    types=[io.Image, io.Video],
                    optional=True,
                    tooltip="A list of clips, one a view; or one batch of pictures, view after view, with 'in_batch'.",
                ),
                io.String.Input(
                    "folder",
                    default="",
                    optional=True,
                    tooltip="In place of clips: a folder in ComfyUI's input folder with one video or one folder of "
                    "pictures a view, or with pictures named v0_t0.png (view, time).",
                ),
                io.Int.Input(
                    "views", default=WINDOW, min=2, max=256, tooltip="Views to keep, evenly spread; all of fewer views."
                ),
                io.Int.Input(
                    "times", default=WINDOW, min=2, max=256, tooltip="Frames to keep of each view, evenly spread."
                ),
                io.Int.Input(
                    "longest_side",
                    default=0,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Longer side of the frames in pixels; 0 keeps the size of the first view.",
                ),
                advanced(
                    io.Int.Input(
                        "in_batch",
                        default=0,
                        min=0,
                        max=256,
                        optional=True,
                        tooltip="How many views one batch of pictures holds; 0 where 'clips' is a list.",
                    )
                ),
                io.String.Input(
                    "cameras",
                    default="",
                    optional=True,
                    tooltip="Cameras of the views, in ComfyUI's input folder: a transforms.json, or a folder of "
                    "COLMAP's text model. Left empty, 'Geometry from Parallax' finds them.",
                ),
                DepthAnything3Wire.Input(
                    "da3_geometry",
                    optional=True,
                    tooltip="Cameras in place of a file: the host's Depth Anything 3, mode multiview, run on the first "
                    "frames of all views, in their order.",
                ),
                ignore_input(),
            ],
            outputs=[
                GridWire.Output(display_name="grid", tooltip="One row a view, in the order of the cameras' path."),
                CamerasWire.Output(display_name="cameras", tooltip="Of the rows, for 'Geometry from Parallax'."),
                io.String.Output(
                    display_name="order", tooltip="Which view each row is, and which one is the central view."
                ),
            ],
            is_input_list=True,
        )

    @classmethod
    def execute(
        cls,
        views: list[int],
        times: list[int],
        longest_side: list[int],
        clips: list[Any] | None = None,
        folder: list[str] | None = None,
        in_batch: list[int] | None = None,
        cameras: list[str] | None = None,
        da3_geometry: list[dict[str, Any]] | None = None,
        ignore: list[torch.Tensor] | None = None,
    ) -> io.NodeOutput:
        """See ComfyNode; every input is a list, and all but the clips have one item."""
        name, packet = (folder or [""])[0].strip(), (da3_geometry or [None])[0]
        given = [clip for clip in clips or [] if clip is not None]
        if bool(given) == bool(name):
            raise InputError(
                "no views" if not name else "views twice", "clips or a folder", "connect clips, or name a folder"
            )
        with plain_tensors():
            wanted = _Wanted(views[0], times[0], longest_side[0], (cameras or [""])[0].strip(), packet)
            made = _from_folder(name, wanted) if name else _from_clips(given, (in_batch or [0])[0], wanted)
            valid = valid_pixels((ignore or [None])[0], tuple(made.frames.shape[2:4]))
            if valid is None:
                valid = torch.ones(made.frames.shape[2:4], dtype=torch.bool)
            grid = FrameGrid(made.frames, made.known, valid).packed()
            return io.NodeOutput(grid, made.cameras, str(made.order), ui={"text": (str(made.order),)})


@dataclass(frozen=True)
class _Wanted:
    """What is asked for.

    Attributes:
        views: At most so many rows.
        times: At most so many columns.
        longest_side: Of the frames in pixels; 0 keeps it.
        file: Of cameras, in the input folder; none if empty.
        packet: Depth Anything 3's, in place of a file.
    """

    views: int
    times: int
    longest_side: int
    file: str
    packet: dict[str, Any] | None

    def cameras(self, names: Sequence[str], size: tuple[int, int]) -> Cameras | None:
        """Those of the views, in the order given, for frames of ``(height, width)``; None where none are given."""
        from ..fourreal_core.geometry.camera_files import cameras_of_views, read_camera_file, sized_cameras

        if self.file and self.packet is not None:
            raise InputError("cameras twice", "a file or da3_geometry", "leave one of them away")
        if self.file:
            return sized_cameras(cameras_of_views(read_camera_file(input_path(self.file)), names), size)
        if self.packet is None:
            return None
        cameras = cameras_from_da3(self.packet, size)
        if len(cameras) != len(names):
            raise InputError(
                f"da3_geometry of {len(cameras)} views",
                f"{len(names)}, one a view",
                "run it on the first frames of all views",
            )
        return cameras


@dataclass(frozen=True)
class _Made:
    """Rows of a grid.

    Attributes:
        frames: ``(V, T, H, W, 3)``.
        known: ``(V, T)`` bool.
        order: Which views they are.
        cameras: Theirs, or None.
    """

    frames: torch.Tensor
    known: torch.Tensor
    order: ViewOrder
    cameras: Cameras | None


def _ordered(names: Sequence[str], cameras: Cameras | None, wanted: _Wanted) -> tuple[ViewOrder, Cameras | None]:
    """Which views become rows, and the cameras of these."""
    from ..fourreal_core.geometry.view_order import order_views

    poses = None if cameras is None else cameras.world_to_cam.double().numpy()
    order = order_views(names, poses, min(wanted.views, len(names)))
    return order, None if cameras is None else cameras[torch.tensor(order.index)]


def _from_folder(name: str, wanted: _Wanted) -> _Made:
    """Reads only the frames that are kept."""
    from ..fourreal_core.media.view_clips import find_views

    found = find_views(input_path(name))
    size = found.frame_size()
    if wanted.longest_side:
        size = scaled_size(size, wanted.longest_side)
    order, cameras = _ordered(found.names, wanted.cameras(found.names, size), wanted)
    frames, known = found.read(order.index, wanted.times, size, HostProgress().part())
    return _Made(frames, known, order, cameras)


def _from_clips(given: list[Any], in_batch: int, wanted: _Wanted) -> _Made:
    """Views of a list of clips, or of one batch that holds them one after another."""
    if in_batch:
        given = _cut(given, in_batch)
    if len(given) < 2:
        raise InputError(
            f"{len(given)} view",
            "at least 2",
            "connect a list of clips, or say how many views the batch holds (in_batch)",
        )
    names = [f"view {k}" for k in range(len(given))]
    first = frames_of(given[0], names[0], wanted.times, wanted.longest_side)
    size = first.shape[1], first.shape[2]
    order, cameras = _ordered(names, wanted.cameras(names, size), wanted)
    frames = torch.empty(len(order.index), len(first), *size, 3)
    for row, k in enumerate(order.index):
        clip = frames_of(given[k], names[k], wanted.times)
        if len(clip) != len(first) or abs(clip.shape[2] / clip.shape[1] / (size[1] / size[0]) - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"{names[k]} with {len(clip)} frames of {clip.shape[2]} x {clip.shape[1]} pixels",
                f"{len(first)} frames of the aspect ratio of view 0, {size[1]} x {size[0]}",
                "give views of the same times and of one shape",
            )
        frames[row] = resized(clip, size)
    return _Made(frames, torch.ones(frames.shape[:2], dtype=torch.bool), order, cameras)


def _cut(given: list[Any], in_batch: int) -> list[torch.Tensor]:
    """One batch of pictures cut into views."""
    if len(given) != 1 or not isinstance(given[0], torch.Tensor):
        raise InputError(
            f"in_batch for {len(given)} clips", "one batch of pictures", "set it to 0 where 'clips' is a list"
        )
    count = given[0].shape[0]
    if count % in_batch:
        raise InputError(
            f"a batch of {count} pictures", f"a multiple of the {in_batch} views in it", "set in_batch to its views"
        )
    return list(given[0].split(count // in_batch))


def input_path(name: str) -> Path:
    """A file or folder in the host's input folder.

    Raises:
        InputError: A name that leads out of it.
    """
    return output_path(folder_paths.get_input_directory(), name)
