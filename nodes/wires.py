"""What travels between the nodes: the custom wire types, and geometry in the host's own packet."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.cameras import Cameras
from ..fourreal_core.errors import InputError
from ..fourreal_core.flow.flow_cache import FlowCache
from ..fourreal_core.flow.memoized import MemoizedFlow
from ..fourreal_core.geometry.geometry import Geometry
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.metrics import return_freed_memory
from ..fourreal_core.packed_frames import PackedFrames
from ..fourreal_core.scene.scene4d import Scene4D
from ..fourreal_core.tracking.tracks import Tracks

if TYPE_CHECKING:
    from ..fourreal_core.proposals.complete_grid import Completion

GridWire = io.Custom("FOURREAL_GRID")
"""A ``FrameGrid``, packed: the host keeps it until the graph changes."""

TracksWire = io.Custom("FOURREAL_TRACKS")
"""A ``ClipTracks``."""

FLOWS_KEPT = 2**27
"""Bytes of measured flow that are kept on the wires; what is missing is measured again when it is asked for."""

SceneWire = io.Custom("FOURREAL_SCENE")
"""A ``Scene4D``; a ``SceneOfGrid`` where it was made here and not read from a file."""

CamerasWire = io.Custom("FOURREAL_CAMERAS")
"""``Cameras`` of a grid's rows for its frames, or None where they are not known."""

GeometryWire = io.Custom("MOGE_GEOMETRY")
"""The host's geometry packet: a dict of tensors with a leading frame axis.

Keys are ``points``, ``depth``, ``intrinsics``, ``mask``, ``image``; this extension adds ``world_to_cam`` and
``confidence``, which the host's nodes ignore. The host's intrinsics are divided by the image's width and height, and
masked-out depths are infinite.
"""


@dataclass(frozen=True)
class ClipTracks:
    """The 3D tracks of both clips of a grid.

    Attributes:
        views: Tracks through the freeze-time clip, in every view's own space.
        times: Tracks through the fixed-view clip, in the space of view 0.
        flow: What measures optical flow, as the user chose, with some of what it measured.
    """

    views: Tracks
    times: Tracks
    flow: MemoizedFlow | None = None


@dataclass(frozen=True)
class ProposedGrid(FrameGrid):
    """A completed grid, and how surely each pixel was completed.

    Attributes:
        error_gray: ``(V, T, H, W)`` expected error in grey levels of 255.
        error_of: What holds the frames that it is the error of; others, which a node made from this grid, have none.
    """

    error_gray: Tensor | None = None
    error_of: Tensor | PackedFrames | None = None

    def packed(self) -> ProposedGrid:
        """See FrameGrid."""
        grid = super().packed()
        if self.error_of is self.held:
            object.__setattr__(grid, "error_of", grid.held)
        return grid


def proposed(made: Completion) -> ProposedGrid:
    """A completion as the next node gets it."""
    grid = made.grid
    return ProposedGrid(grid.frames, grid.known, grid.valid, made.error_gray, grid.frames).packed()


def expected_error(grid: Any) -> Tensor | None:
    """The expected error ``(V, T, H, W)`` of a proposal in grey levels of 255, or None where nothing is known of it."""
    error: Tensor | None = getattr(grid, "error_gray", None)
    return error if error is not None and grid.held is grid.error_of else None


@dataclass(frozen=True)
class SceneOfGrid(Scene4D):
    """A scene, and what is known of the grid that it was made from.

    Attributes:
        flow: See ClipTracks.
        completed: The grid that the scene was fitted to at last, where it was; so that it isn't completed again.
    """

    flow: MemoizedFlow | None = None
    completed: FrameGrid | None = None


def of_grid(scene: Scene4D, flow: MemoizedFlow | None, completed: FrameGrid | None = None) -> SceneOfGrid:
    """A scene as the next node gets it."""
    kept = None if completed is None else completed.packed()
    return SceneOfGrid(**{f.name: getattr(scene, f.name) for f in fields(Scene4D)}, flow=flow, completed=kept)


def completed_before(scene: Scene4D, grid: FrameGrid) -> FrameGrid | None:
    """The completed grid that came with a scene, if it is this one's; None if it must be made."""
    made: FrameGrid | None = getattr(scene, "completed", None)
    if made is None or made.frames.shape != grid.frames.shape or not torch.equal(made.known, grid.known):
        return None
    same = torch.equal(made.valid, grid.valid) and torch.equal(made.frames[made.known], grid.frames[grid.known])
    return made if same else None


def flows_for(grid: FrameGrid, *sources: ClipTracks | Scene4D | None) -> FlowCache:
    """Flows between a grid's known cells, by the engine that the first of some tracks and scenes was made with.

    Args:
        grid: On the CPU.
        sources: What came over the wires; a scene from a file has no engine, and OpenCV's DIS is used.
    """
    engines = (getattr(source, "flow", None) for source in sources)
    return FlowCache(grid.frames, grid.known, next((engine for engine in engines if engine is not None), None))


def kept_flow(flows: FlowCache) -> MemoizedFlow:
    """A cache's engine for the wires, with no more of what it measured than FLOWS_KEPT."""
    flows.release_started()
    flows.engine.release_beyond(FLOWS_KEPT)
    return_freed_memory()
    return flows.engine


def to_packet(geometry: Geometry, images: Tensor) -> dict[str, Tensor]:
    """Geometry as the host's packet.

    Args:
        geometry: Of F frames.
        images: ``(F, H, W, 3)`` the frames.
    """
    far = torch.full_like(geometry.depth, float("inf"))
    depth = torch.where(geometry.mask, geometry.depth, far)
    packet = {
        "points": torch.where(geometry.mask[..., None], geometry.points, far[..., None]),
        "depth": depth,
        "intrinsics": geometry.intrinsics / _pixel_scale(geometry.size, geometry.intrinsics),
        "mask": geometry.mask,
        "image": images,
    }
    extra = {"world_to_cam": geometry.world_to_cam, "confidence": geometry.confidence}
    return packet | {name: value for name, value in extra.items() if value is not None}


def from_packet(packet: dict[str, Any]) -> Geometry:
    """The host's packet as geometry; the packet is left as it is.

    Raises:
        InputError: A packet without depth, or without intrinsics (a panorama), or with nothing in view.
    """
    points, depth = packet.get("points"), packet.get("depth")
    if depth is None and points is None:
        raise InputError("geometry without depth", "depth or points for every frame", "connect a geometry node")
    intrinsics = packet.get("intrinsics")
    if intrinsics is None:
        raise InputError(
            "geometry without intrinsics",
            "the geometry of a perspective camera",
            "use the node for perspective images, not the one for panoramas",
        )
    depth = _cpu(depth if depth is not None else points[..., 2])
    mask = torch.isfinite(depth) & (depth > 0)
    if packet.get("mask") is not None:
        mask &= _cpu(packet["mask"]) > 0.5
    if not bool(mask.flatten(1).any(1).all()):
        raise InputError(
            "geometry with a frame in which no depth is known",
            "some depth in every frame",
            "run it without its mask, or on other frames",
        )
    intrinsics = _cpu(intrinsics)
    return Geometry(
        torch.where(mask, depth, torch.ones_like(depth)),
        intrinsics * _pixel_scale(tuple(depth.shape[1:3]), intrinsics),
        mask,
        *(_cpu(packet[name]) if packet.get(name) is not None else None for name in ("world_to_cam", "confidence")),
    )


def cameras_from_da3(packet: dict[str, Any], size: tuple[int, int]) -> Cameras:
    """The cameras of the host's Depth Anything 3 geometry, for frames of ``(height, width)``.

    Its intrinsics are in pixels of the pictures that the network saw, whose size the packet does not tell; their centre
    is the middle of the picture, which tells it.

    Args:
        packet: With ``extrinsics (1, S, 3 or 4, 4)`` world to camera and ``intrinsics (1, S, 3, 3)``.
        size: Of the frames.

    Raises:
        InputError: A packet of the mode mono, or one whose cameras were not found.
    """
    found = [packet.get(name) for name in ("extrinsics", "intrinsics")]
    if found[0] is None or found[1] is None:
        raise InputError(
            "da3_geometry without cameras", "that of mode multiview", "set 'Run Depth Anything 3' to multiview"
        )
    extrinsics, intrinsics = (_cpu(x).reshape(-1, *x.shape[-2:]) for x in found)
    centre = intrinsics[:, :2, 2]
    if not bool(extrinsics.isfinite().all() & intrinsics.isfinite().all() & (centre > 1).all()):
        raise InputError(
            "da3_geometry whose cameras were not found",
            "finite extrinsics, and intrinsics in pixels",
            "choose another pose_method in 'Run Depth Anything 3', or a Small or Base model",
        )
    world_to_cam = torch.eye(4).repeat(len(extrinsics), 1, 1)
    world_to_cam[:, :3] = extrinsics[:, :3]
    to_frames = torch.tensor([size[1] / 2, size[0] / 2]) / centre
    scale = torch.cat([to_frames, torch.ones(len(extrinsics), 1)], 1)
    return Cameras(world_to_cam, intrinsics * scale[:, :, None], size)


def check_frames(geometry: Geometry, frames: Tensor) -> None:
    """Raises InputError when geometry was not made of ``frames (F, H, W, 3)``."""
    got, expected = tuple(geometry.depth.shape), tuple(frames.shape[:3])
    if got != expected:
        raise InputError(
            f"geometry of {got[0]} frames of {got[2]} x {got[1]} pixels",
            f"{expected[0]} frames of {expected[2]} x {expected[1]}",
            "make it from the grid's freeze-time column ('Frame grid to images', mode 'column', time 0)",
        )


def _cpu(x: Tensor) -> Tensor:
    moved = x.detach().to("cpu", torch.float32)
    return moved.clone() if moved.is_inference() else moved


def _pixel_scale(size: tuple[int, int], like: Tensor) -> Tensor:
    return torch.tensor([size[1], size[0], 1.0], dtype=like.dtype, device=like.device)[:, None]
