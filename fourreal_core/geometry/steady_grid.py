"""A grid whose fixed view stands: the camera's own motion is taken out of its first row.

Everything after works on the steady grid. What a moved frame doesn't show of the first view is taken from the nearest
time that shows it, along the motion (see steady_rims). The row as it was given, and the motion, stay with the grid.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_cache import FlowCache
from ..flow.flow_field import Flow, Image, Mask, forward_backward_error, identity_map, invert_flow, on_picture, warp
from ..grid import FrameGrid
from ..progress import OnStep, no_progress
from .camera_fit import Array, FrameMotion
from .camera_modes import CameraMode
from .camera_motion import LEFT_ALONE, CameraMotion, find_camera_motion
from .geometry import Geometry
from .steady_rims import SteadyFrame, completed_row
from .structure_from_motion import parallax_geometry

log = logging.getLogger(__name__)

SURE_PX = 1.0
"""Largest forward-backward error of a flow that says which depth a moved pixel has, in pixels."""


@dataclass(frozen=True)
class SteadyGrid(FrameGrid):
    """A grid whose first row was steadied.

    Attributes:
        given_row: ``(T, H, W, 3)`` the first row as it was given.
        motion: Of its camera.
        own: Whether completed cells are to have each time's own camera.
    """

    given_row: Tensor
    motion: CameraMotion
    own: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.given_row.shape != self.frames.shape[1:] or len(self.motion.motions) != self.times:
            raise InputError(
                f"a given row of shape {tuple(self.given_row.shape)} with {len(self.motion.motions)} motions",
                f"{tuple(self.frames.shape[1:])} with {self.times}",
                "take both from one clip",
            )


def steady_grid(
    grid: FrameGrid,
    fixed_view: ClipFlows,
    geometry: Geometry | None = None,
    mode: CameraMode = "auto",
    on_step: OnStep = no_progress,
) -> FrameGrid:
    """The grid with the camera's own motion taken out of its first row, and a warning; itself where there is none.

    Cells of other rows are taken to show a camera that stands.

    Args:
        grid: Row 0 wholly known.
        fixed_view: Row 0 with its flows.
        geometry: Of column 0; None where it isn't known yet: then a camera that walks is taken for one that turns.
        mode: See camera_modes.CAMERA_MODES.
        on_step: Progress.
    """
    if mode == "still" or isinstance(grid, SteadyGrid):
        return grid
    motion = find_camera_motion(fixed_view, grid.valid, geometry, on_step)
    on_step(1, 1)
    if motion.stands:
        return grid
    done = "it is taken out" if mode == "auto" else "it is taken out, and put into the completed cells"
    log.warning("%s; %s (camera 'still' would take it for motion of the scene)", motion.sentence, done)
    row = steadied_row(fixed_view, motion, grid.valid, geometry)
    frames = grid.frames.clone()
    frames[0] = row
    return SteadyGrid(frames, grid.known, grid.valid, grid.frames[0].clone(), motion, mode == "own")


def steady_by_parallax(grid: FrameGrid, mode: CameraMode = "auto", on_step: OnStep = no_progress) -> FrameGrid:
    """As ``steady_grid``, where no geometry is at hand: it is measured, but only for a camera that moves.

    Args:
        grid: Row 0 and column 0 known.
        mode: See camera_modes.CAMERA_MODES.
        on_step: Progress.
    """
    if mode == "still":
        return grid
    try:
        flows = FlowCache(grid.frames, grid.known)
        if find_camera_motion(flows.fixed_view, grid.valid).stands:
            return grid
    except InputError as error:  # no OpenCV: a grid can be laid out without it
        log.warning("whether the fixed view's camera stands was not looked at: %s", error)
        return grid
    geometry = None
    try:
        geometry = parallax_geometry(flows.freeze_time, grid.valid, on_step=on_step)
    except InputError as error:  # the node that needs geometry says so; here it only tells a walk from a turn
        log.info("no geometry to steady the fixed view by: %s", error)
    return steady_grid(grid, flows.fixed_view, geometry, mode)


def steadied_row(clip: ClipFlows, motion: CameraMotion, valid: Tensor, geometry: Geometry | None = None) -> Tensor:
    """The frames ``(T, H, W, 3)`` of a clip as the camera of its first frame would see them.

    Args:
        clip: T frames.
        motion: Of its camera.
        valid: ``(H, W)`` bool, pixels that show the scene in the frames as they are.
        geometry: Whose view 0 the first frame shows; for a camera that walks.
    """
    good, frames = valid.cpu().numpy(), []
    for t in range(len(clip)):
        if motion.shift_px[t] > LEFT_ALONE * motion.size[1]:
            back = steady_map(clip, motion.motions[t], t, geometry)
            frames.append(SteadyFrame(resampled(clip.pictures[t], back), good_at(good, back), on_picture(back), back))
        else:
            nothing = np.zeros((*clip.size, 2), np.float32)
            frames.append(SteadyFrame(clip.pictures[t], good, np.ones_like(good), nothing))
    return torch.from_numpy(completed_row(frames, clip, good))


def steady_map(clip: ClipFlows, motion: FrameMotion, time: int, geometry: Geometry | None) -> Flow:
    """By how much ``(H, W, 2)`` in pixels what a camera that stands sees is off in the frame of a time.

    What moves by itself keeps the depth that it had in the first frame, where flow tells which it is.
    """
    size = clip.size
    if not motion.walks or geometry is None:
        return motion_flow(motion, size)
    inv_depth = (1.0 / geometry.depth[0].cpu().numpy()).astype(np.float32)
    resting = invert_flow(motion_flow(motion, size, inv_depth))
    back = clip.progressive(time, 0)
    sure = forward_backward_error(back, clip.progressive(0, time)) < SURE_PX
    depth_now = np.where(sure, warp(inv_depth, back), warp(inv_depth, resting))
    centre = _centre(size)
    pixels = identity_map(size) - centre
    return invert_flow((undone(motion, pixels, depth_now) - pixels).astype(np.float32), 8)


def undone(motion: FrameMotion, pixels: Array, inv_depth: Image) -> Array:
    """Where in the first frame ``(..., 2)`` pixels of another one are, whose points have inverse depths there."""
    inverse = np.linalg.inv(motion.homography)
    rays = pixels @ inverse[:, :2].T + inverse[:, 2]
    walked = inv_depth[..., None] * (inverse @ motion.epipole)
    at = rays * ((1 + walked[..., 2:]) / np.maximum(rays[..., 2:], 1e-3)) - walked
    back: Array = at[..., :2]
    return back


def motion_flow(motion: FrameMotion, size: tuple[int, int], inv_depth: Image | None = None) -> Flow:
    """Flow ``(H, W, 2)`` in pixels from a first frame whose points stand."""
    pixels = (identity_map(size) - _centre(size)).astype(np.float64)
    flow: Flow = (motion.apply(pixels, 1.0 if inv_depth is None else inv_depth.astype(np.float64)) - pixels).astype(
        np.float32
    )
    return flow


def resampled(picture: Image, flow: Flow) -> Image:
    """A picture ``(H, W, 3)`` read at ``x + flow`` by Lanczos's kernel of 8 x 8 pixels, which keeps detail."""
    from ..needed.opencv import cv2

    at = identity_map(flow.shape[:2]) + flow
    read = cv2.remap(picture, at, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    kept: Image = read.clip(0, 1)
    return kept


def good_at(good: Mask, flow: Flow) -> Mask:
    """Where ``(H, W)`` a flow leads to pixels on the picture that show the scene."""
    from ..needed.opencv import cv2

    at = identity_map(flow.shape[:2]) + flow
    shown = cv2.remap(good.astype(np.float32), at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    inside: Mask = shown > 0.99
    return inside


def _centre(size: tuple[int, int]) -> Array:
    return np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])


def without_motion(grid: FrameGrid) -> FrameGrid:
    """A plain grid of the same cells."""
    return FrameGrid(grid.frames, grid.known, grid.valid) if isinstance(grid, SteadyGrid) else grid


def with_given_row(grid: SteadyGrid) -> FrameGrid:
    """The plain grid with its first row as it was given."""
    frames = grid.frames.clone()
    frames[0] = grid.given_row
    return replace(without_motion(grid), frames=frames)
