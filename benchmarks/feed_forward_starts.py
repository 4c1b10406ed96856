"""Starts of a reconstruction that are compared (supplement, section 3): tracks, and what feed-forward networks give.

``flow`` is the product. ``dust3r:``, ``mast3r:`` and ``splatt3r:CHECKPOINT`` are point maps of pairs as tracks,
``vggt:`` and ``da3:CHECKPOINT`` depth and cameras of a network with tracks by flow on top. ``made-up:NOISE`` and
``made-up-depth:NOISE`` stand in for either where there are no weights: the truth, with depth behind what moves that is
off by smooth noise of that relative standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from synthetic_worlds import World
from torch import Tensor

from fourreal_core.cameras import Cameras, lift, pixel_grid
from fourreal_core.cli.engines import geometry_source
from fourreal_core.errors import InputError
from fourreal_core.geometry.multi_view_models import FeedForwardGeometry, MultiViewPoints
from fourreal_core.geometry.pair_models import FAMILIES, PairPoints
from fourreal_core.geometry.sources import GeometrySource
from fourreal_core.geometry.structure_from_motion import parallax_geometry
from fourreal_core.tracking.point_map_tracks import PointMapTracks
from fourreal_core.tracking.track_engines import FlowTracks, TrackEngine, track_engine

STARTS_HELP = (
    "rows to compare: flow (default), dust3r:, mast3r: or splatt3r:CHECKPOINT as tracks, vggt: or da3:CHECKPOINT as "
    "geometry, made-up:NOISE or made-up-depth:NOISE for a network that is right but for noise in the background"
)
Start = Callable[[World], tuple[GeometrySource, TrackEngine]]
NOISE = 0.12
"""Of a made-up network where none is named."""
SURE, UNSURE = 6.0, 1.5
"""Confidence of a made-up network where it is right, and where it is noisy."""
_PATCH_PX = 12


@dataclass(frozen=True)
class MadeUpNetwork:
    """A network whose maps are the truth but for smooth noise in the background's depth, in a unit of each call's own.

    It knows pictures by what they show. Called with two it is a PairModel, and ``many`` makes a MultiViewModel of it.

    Attributes:
        frames: ``(V, H, W, 3)`` of the clip.
        depth: ``(V, H, W)`` true depth.
        background: ``(V, H, W)`` bool, where it is noisy.
        cameras: The V true ones.
        noise: Standard deviation relative to the depth.
    """

    frames: Tensor
    depth: Tensor
    background: Tensor
    cameras: Cameras
    noise: float
    name: str = "made up"

    def __call__(self, first: Tensor, second: Tensor) -> PairPoints:
        """See PairModel."""
        i, j = self._view(first), self._view(second)
        generator = torch.Generator().manual_seed(len(self.frames) * i + j)
        unit = 0.5 + float(torch.rand(1, generator=generator))
        maps = []
        for k in (i, j):
            own = lift(pixel_grid(self.cameras.size), self._noisy(k, generator), self.cameras.intrinsics[k])
            world = self.cameras.to_world(own.reshape(-1, 3), k)
            maps.append(unit * self.cameras[i].to_camera(world)[0].reshape(*self.cameras.size, 3))
        return PairPoints(maps[0], maps[1], self._confidence(i), self._confidence(j))

    def many(self, frames: Tensor) -> MultiViewPoints:
        """See MultiViewModel."""
        views = [self._view(frame) for frame in frames]
        generator = torch.Generator().manual_seed(len(views))
        depth = torch.stack([self._noisy(v, generator) for v in views])
        sure = torch.stack([self._confidence(v) for v in views])
        return MultiViewPoints(depth, self.cameras.intrinsics[views], self.cameras.world_to_cam[views], sure)

    def _view(self, picture: Tensor) -> int:
        return int((self.frames - picture).flatten(1).abs().sum(1).argmin())

    def _noisy(self, view: int, generator: torch.Generator) -> Tensor:
        h, w = self.cameras.size
        coarse = torch.randn(1, 1, max(2, h // _PATCH_PX), max(2, w // _PATCH_PX), generator=generator)
        wave = torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear", align_corners=False)[0, 0]
        factor = torch.where(self.background[view], 1 + self.noise * wave, torch.ones(()))
        return self.depth[view] * factor.clamp_min(0.1)

    def _confidence(self, view: int) -> Tensor:
        return torch.where(self.background[view] & (self.noise > 0), UNSURE, SURE)


def made_up(world: World, noise: float) -> MadeUpNetwork:
    """A made-up network that knows a world's freeze-time clip."""
    with torch.no_grad():
        cells = [world.cell(v, 0.0) for v in range(len(world.cameras))]
    frames, depth = (torch.stack(part) for part in zip(*cells, strict=True))
    behind = torch.stack([~world.subject_mask(v, 0.0) for v in range(len(world.cameras))])
    return MadeUpNetwork(frames, depth, behind, world.cameras, noise)


def load_starts(specs: list[str], views: int) -> tuple[dict[str, Start], list[str]]:
    """The starts that can be had here by their names, and a sentence for each one that can't.

    Args:
        specs: As ``--starts`` has them.
        views: Frames of the freeze-time clip.

    Raises:
        InputError: An unknown name, or nothing that can be had.
    """
    found: dict[str, Start] = {}
    left_out = []
    for spec in specs:
        kind, _, argument = spec.partition(":")
        try:
            start = _start(kind, argument, spec, views)
        except InputError as err:
            left_out.append(f"{spec}: {err}")
            continue
        name = spec if kind.startswith("made-up") else kind
        found[spec if name in found else name] = start
    if not found:
        raise InputError("no start that can be had here", "at least one", "; ".join(left_out))
    return found, left_out


def _start(kind: str, argument: str, spec: str, views: int) -> Start:
    if kind in ("made-up", "made-up-depth"):
        noise = _noise(argument)
        return partial(_made_up_maps if kind == "made-up" else _made_up_depth, noise=noise)
    if kind in FAMILIES or kind == "flow":
        engine = track_engine(spec)
        return lambda world: (parallax_geometry, engine)
    source = geometry_source(spec, views, "cpu")
    if not isinstance(source, FeedForwardGeometry):
        raise InputError(f"the start {spec!r}", STARTS_HELP, "check its name")
    return lambda world: (source, FlowTracks())


def _made_up_maps(world: World, noise: float) -> tuple[GeometrySource, TrackEngine]:
    return parallax_geometry, PointMapTracks(made_up(world, noise))


def _made_up_depth(world: World, noise: float) -> tuple[GeometrySource, TrackEngine]:
    network = made_up(world, noise)
    return FeedForwardGeometry(_Many(network)), FlowTracks()


@dataclass(frozen=True)
class _Many:
    """A made-up network as a MultiViewModel."""

    network: MadeUpNetwork
    name: str = "made up"

    def __call__(self, frames: Tensor) -> MultiViewPoints:
        return self.network.many(frames)


def _noise(text: str) -> float:
    try:
        noise = float(text or NOISE)
    except ValueError:
        noise = -1.0
    if not 0 <= noise < 1:
        raise InputError(f"the noise {text!r}", "a number from 0 to below 1", f"for example made-up:{NOISE}")
    return noise
