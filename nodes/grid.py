"""Into the frame grid and out of it."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from ..fourreal_core.geometry.camera_modes import CAMERA_MODES, check_camera
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.media.framing import FITS, place, tell_fit
from .cell_names import parse_cells
from .clips import framed, frames_of, matching_clips, one_clip, valid_pixels
from .compat import advanced, schema
from .devices import plain_tensors
from .node_text import show_text
from .progress import HostProgress
from .wires import GridWire

log = logging.getLogger(__name__)

WINDOW = 8
"""Views and times of a grid when nothing else is asked for, the usual window of 4D video models."""

MODES = ("all cells", "row", "column", "cell", "wall", "contact sheet")


def clip_inputs() -> list[io.Input]:
    """The inputs for the two clips of the main job, and for how many frames of each are kept."""
    clip = [io.Image, io.Video]
    return [
        io.MultiType.Input("freeze_time", types=clip, tooltip="The camera moves around a stopped scene."),
        io.MultiType.Input(
            "fixed_view",
            types=clip,
            tooltip="The camera stands and time runs; its first frame is the first frame of the freeze-time clip.",
        ),
        io.Int.Input(
            "views",
            default=WINDOW,
            min=2,
            max=256,
            tooltip="Frames to keep of the freeze-time clip, evenly spread; all of a shorter clip.",
        ),
        io.Int.Input(
            "times",
            default=WINDOW,
            min=2,
            max=256,
            tooltip="Frames to keep of the fixed-view clip, evenly spread; all of a shorter clip.",
        ),
    ]


def ignore_input() -> io.Input:
    """The input for a mask of what is not looked at."""
    return io.Mask.Input(
        "ignore",
        optional=True,
        tooltip="White where the picture should be ignored in every frame, such as a caption or a logo.",
    )


class FrameGridFromVideos(io.ComfyNode):
    """Two clips laid down as column 0 and row 0 of a frame grid."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGridFromVideos",
            display_name="Frame Grid from Videos",
            branch="grid",
            search_aliases=[
                "4real",
                "4d video",
                "freeze time",
                "bullet time",
                "frame grid",
                "multi view",
                "video to 4d",
                "two videos",
                "image batch to grid",
            ],
            description="Lays a freeze-time clip (the camera moves, time stands) and a fixed-view clip (time runs, the "
            "camera stands) down as the first column and the first row of a grid of frames.",
            inputs=[
                *clip_inputs(),
                io.Int.Input(
                    "longest_side",
                    default=0,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Longer side of the frames in pixels; 0 keeps the size of the freeze-time clip.",
                ),
                ignore_input(),
                io.Image.Input(
                    "more_cells", optional=True, tooltip="Further known cells of the grid, a batch of frames."
                ),
                advanced(
                    io.String.Input(
                        "more_cells_at",
                        default="",
                        optional=True,
                        tooltip="Where the further cells lie, in their order: v3_t5, v7_t2 (view, time; both from 0).",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "fit",
                        options=list(FITS),
                        default=FITS[0],
                        optional=True,
                        tooltip="What to do with a fixed-view clip of another shape than the freeze-time clip. crop: "
                        "keep its centre; pad: keep all of it between bars, which are ignored; stretch: distort it.",
                    )
                ),
                io.Combo.Input(
                    "camera",
                    options=list(CAMERA_MODES),
                    default=CAMERA_MODES[0],
                    optional=True,
                    tooltip="What is done about a fixed view whose camera moves (held by hand, or drifting as in "
                    "generated clips). auto: its motion is taken out, so that every cell of a row has one camera; own: "
                    "likewise, but completed cells get each time's own camera; still: none is looked for.",
                ),
            ],
            is_input_list=True,
            outputs=[GridWire.Output(display_name="grid")],
        )

    @classmethod
    def execute(
        cls,
        freeze_time: object,
        fixed_view: object,
        views: int,
        times: int,
        longest_side: int,
        ignore: object = None,
        more_cells: object = None,
        more_cells_at: str = "",
        fit: str = FITS[0],
        camera: str = CAMERA_MODES[0],
    ) -> io.NodeOutput:
        """See ComfyNode; the host gives every input as a list, so that a list of single pictures can be one clip."""
        from ..fourreal_core.geometry.steady_grid import SteadyGrid, steady_by_parallax

        views, times, longest_side, ignore, more_cells_at, fit, camera = (
            value[0] if isinstance(value, list) else value
            for value in (views, times, longest_side, ignore, more_cells_at, fit, camera)
        )
        progress = HostProgress()
        with plain_tensors():
            grid = grid_of_clips(freeze_time, fixed_view, (views, times), longest_side, ignore, fit)
            said = [short] if (short := shortfall(grid, (views, times))) else []
            grid = _with_more(grid, more_cells, more_cells_at, fit)
            grid = steady_by_parallax(grid, check_camera(camera), progress.part())
            if isinstance(grid, SteadyGrid):
                said.append(grid.motion.sentence)
            if said:
                show_text(" ".join(said))
            return io.NodeOutput(grid.packed(), ui={"text": tuple(said)} if said else None)


class FrameGridToImages(io.ComfyNode):
    """Cells of a frame grid as an IMAGE batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGridToImages",
            display_name="Frame Grid to Images",
            branch="grid",
            search_aliases=[
                "4real",
                "frame grid",
                "grid to batch",
                "contact sheet",
                "video wall",
                "views to video",
                "frames to batch",
            ],
            description="Takes cells out of a frame grid: all of them view after view, one view's video, one moment "
            "from all views, one cell, a wall of small videos, or a contact sheet.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=MODES[0],
                    tooltip="all cells: row by row; row: the "
                    "video of one view; column: one time seen from all views; cell: one frame; wall: all "
                    "views beside each other as one video; contact sheet: the whole grid as one picture.",
                ),
                io.Int.Input("view", default=0, min=0, max=255, tooltip="Which row, from 0; for 'row' and 'cell'."),
                io.Int.Input(
                    "time",
                    default=0,
                    min=0,
                    max=255,
                    tooltip="Which column, from 0 (time steps); for 'column' and 'cell'.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, grid: FrameGrid, mode: str, view: int, time: int) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.media import contact_sheet, grid_wall

        if mode in ("row", "cell"):
            _check_index("view", view, grid.views)
        if mode in ("column", "cell"):
            _check_index("time", time, grid.times)
        with plain_tensors():
            pick = {
                "all cells": lambda: grid.frames.flatten(0, 1),
                "row": lambda: grid.frames[view],
                "column": lambda: grid.frames[:, time],
                "cell": lambda: grid.frames[view, time][None],
                "wall": lambda: grid_wall(grid.frames),
                "contact sheet": lambda: contact_sheet(grid.frames, grid.known)[None],
            }[mode]
            return io.NodeOutput(pick().clone())  # a later node may write into its image, not into the grid


def grid_of_clips(
    freeze_time: object,
    fixed_view: object,
    counts: tuple[int, int],
    longest_side: int,
    ignore: object,
    fit: str = FITS[0],
) -> FrameGrid:
    """Two of the host's clips as column 0 and row 0.

    Args:
        freeze_time: IMAGE or VIDEO, or a list of single pictures.
        fixed_view: The same.
        counts: Views and times to keep.
        longest_side: Of the frames in pixels; 0 keeps the freeze-time clip's size.
        ignore: MASK of pixels to ignore, or None.
        fit: How a clip of another aspect is brought to the same, one of FITS.

    Raises:
        InputError: Clips that do not fit each other, or hold nothing to look at.
    """
    freeze = frames_of(one_clip(freeze_time, "freeze-time"), "freeze-time", counts[0], longest_side)
    fixed = frames_of(one_clip(fixed_view, "fixed-view"), "fixed-view", counts[1], longest_side)
    freeze, fixed, inside = matching_clips(freeze, fixed, fit)
    looked_at = valid_pixels(ignore, freeze.shape[1:3])
    grid = FrameGrid.from_clips(freeze, fixed, inside if looked_at is None else inside & looked_at)
    if short := shortfall(grid, counts):
        log.warning("%s", short)
    return grid


def shortfall(grid: FrameGrid, counts: tuple[int, int]) -> str:
    """What a user reads where the clips are shorter than the views and times asked for; empty where they are not."""
    short = [
        f"The {clip} clip has {got} frames, so the grid has {got} {axis}, not {asked}."
        for clip, axis, got, asked in (
            ("freeze-time", "views", grid.views, counts[0]),
            ("fixed-view", "times", grid.times, counts[1]),
        )
        if got < asked
    ]
    return " ".join(short)


def _with_more(grid: FrameGrid, more_cells: object, more_cells_at: str, fit: str) -> FrameGrid:
    cells = parse_cells(more_cells_at)
    if more_cells is None and not cells:
        return grid
    frames = frames_of(more_cells, "more_cells") if more_cells is not None else grid.frames[0, :0]
    if len(frames) != len(cells):
        raise InputError(
            f"{len(frames)} further cells and {len(cells)} names for them",
            "one name a cell",
            "write where each lies into more_cells_at, such as v3_t5, v7_t2",
        )
    placed = place((frames.shape[1], frames.shape[2]), grid.size, fit)
    tell_fit("a further cell", placed, (frames.shape[1], frames.shape[2]), fit)
    return grid.with_known(dict(zip(cells, framed(frames, placed), strict=True)))


def _check_index(axis: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise InputError(
            f"{axis} {index}", f"0 to {count - 1}, since the grid has {count} {axis}s", f"choose a smaller {axis}"
        )
