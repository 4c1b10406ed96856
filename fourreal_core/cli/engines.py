"""Which geometry, flow and tracks a job uses, as a user names them."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..cameras import Cameras
    from ..flow.engines import FlowEngine
    from ..geometry.sources import GeometrySource
    from ..pipeline import PipelineOptions
    from ..tracking.track_engines import TrackEngine


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """The options, for commands that run the main job."""
    parser.add_argument(
        "--geometry",
        default="parallax",
        metavar="SOURCE",
        help="where depth comes from: parallax "
        "(default); a folder of depth pictures, one a frame of the freeze-time clip; hf:NAME, a depth "
        "network of the Hugging Face hub that is on this disk; vggt:, da3:, dust3r: or mast3r:CHECKPOINT, depth and "
        "cameras of an installed network",
    )
    parser.add_argument(
        "--focal",
        type=float,
        metavar="PX",
        help="focal length in pixels of the frames as they are used (default: estimated)",
    )
    parser.add_argument(
        "--flow",
        default="dis",
        metavar="ENGINE",
        help="what measures optical flow: dis (default), raft or raft:WEIGHTS",
    )
    parser.add_argument(
        "--tracks",
        default="flow",
        metavar="ENGINE",
        help="what follows points: flow (default); delta:CHECKPOINT, an installed densetrack3d; dust3r:, mast3r: or "
        "splatt3r:CHECKPOINT, a feed-forward reconstruction for comparison",
    )


def with_engines(
    options: PipelineOptions, args: argparse.Namespace, views: int, cameras: Cameras | None = None
) -> PipelineOptions:
    """The pipeline's options with ``--geometry``, ``--focal``, ``--flow`` and ``--tracks``.

    Args:
        options: To begin with.
        args: The command's arguments.
        views: Frames of the freeze-time clip that are used.
        cameras: Theirs, where they are known.

    Raises:
        InputError: Something that isn't here.
    """
    from dataclasses import replace

    flow = None if args.flow == "dis" else _flow_engine(args.flow, options.device)
    tracks = None if args.tracks == "flow" else _track_engine(args.tracks, options.device)
    parallax = options.parallax if args.focal is None else replace(options.parallax, focal_px=args.focal)
    return replace(
        options,
        parallax=parallax,
        geometry_source=geometry_source(args.geometry, views, options.device, cameras),
        flow_engine=flow,
        track_engine=tracks,
    )


@functools.lru_cache(maxsize=1)  # a worker that does job after job loads a network once
def _flow_engine(spec: str, device: str) -> FlowEngine:
    from ..flow.engines import flow_engine

    return flow_engine(spec, device)


@functools.lru_cache(maxsize=1)
def _track_engine(spec: str, device: str) -> TrackEngine:
    from ..tracking.track_engines import track_engine

    return track_engine(spec, device)


def geometry_source(spec: str, views: int, device: str, cameras: Cameras | None = None) -> GeometrySource | None:
    """The source that ``--geometry`` names, with cameras that are known; None for parallax that finds them.

    Raises:
        InputError: No such folder, or a name without anything behind it.
    """
    if spec == "parallax":
        if cameras is None:
            return None
        from ..geometry.given_cameras import GivenCameras

        return GivenCameras(cameras)
    kind, _, name = spec.partition(":")
    if kind == "hf":
        from ..geometry.hf_depth import HuggingFaceDepth

        if not name:
            raise InputError("the geometry hf: without a name", "hf:NAME", "name a depth network")
        return HuggingFaceDepth(name, device=device, cameras=cameras)
    if name and (found := _network_geometry(kind, name, device)) is not None:
        if cameras is not None:
            raise InputError(
                f"known cameras with the geometry {kind}:",
                "a source that takes them",
                "leave --geometry or --cameras away",
            )
        return found
    folder = Path(spec)
    if not folder.is_dir():
        raise InputError(
            f"the geometry {spec!r}", "parallax, hf:NAME or a folder of depth pictures", "check the name or the folder"
        )
    from ..geometry.depth_maps import DepthPictures
    from ..media.depth import read_depth_folder

    return DepthPictures(read_depth_folder(folder, views), cameras=cameras)


def _network_geometry(kind: str, checkpoint: str, device: str) -> GeometrySource | None:
    """The source of a network that makes depth and cameras by itself; None for another kind."""
    from ..geometry.multi_view_models import MULTI_VIEW_MODELS, FeedForwardGeometry
    from ..geometry.pair_models import FAMILIES, pair_model
    from ..geometry.point_map_geometry import PointMapGeometry

    if kind in MULTI_VIEW_MODELS:
        return FeedForwardGeometry(MULTI_VIEW_MODELS[kind](checkpoint, device))
    if kind in FAMILIES:
        return PointMapGeometry(pair_model(kind, checkpoint, device))
    return None
