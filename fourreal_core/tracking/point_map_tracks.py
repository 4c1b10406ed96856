"""Tracks of a feed-forward reconstruction: what point maps say stands still, whatever the views say of it.

For comparison with tracks that follow the views (supplement 3): every pixel that a network places becomes a point that
is carried by the network's own cameras, and nothing corrects it. So noise of the maps stays in the scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..geometry.geometry import Geometry
from ..geometry.pair_models import PairModel
from ..geometry.point_map_geometry import PointMapGeometry, in_units
from ..progress import OnStep, no_progress
from .track3d import TrackOptions, choose_points, random_subset, seen_from, track_times
from .tracks import Tracks


@dataclass(frozen=True)
class PointMapTracks:
    """A track engine made of a network's point maps.

    Attributes:
        model: DUSt3R, MASt3R or Splatt3R, or anything of their interface.
    """

    model: PairModel

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine.

        The points have the unit and the focal length of ``geometry``, so that the fixed-view clip's tracks fit: depths
        are multiplied by one number, and a point keeps its pixel in every view.
        """
        options = options or TrackOptions()
        geometry.check_clip(clip.frames)
        valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
        own = PointMapGeometry(self.model)(
            clip, valid, None, lambda done, total, preview=None: on_step(done, 2 * total)
        )
        own = in_units(own, _unit(own, geometry, valid))
        cameras = own.cameras
        keys, pixels, start = choose_points(own, valid)
        thin = random_subset(len(keys), options)
        share = (len(keys) / max(len(thin), 1)) ** 0.5
        keys, pixels, start = keys[thin], pixels[thin], start[thin]
        world = torch.empty_like(start)
        for k in keys.unique().tolist():
            world[keys == k] = cameras.to_world(start[keys == k], k)
        views = len(clip)
        positions, visible = torch.empty(views, len(keys), 3), torch.zeros(views, len(keys), dtype=torch.bool)
        for v in range(views):
            there = cameras[v].to_camera(world)[0]
            visible[v] = seen_from(there, own.depth[v], own.intrinsics[v]) | (keys == v)
            same_pixel = own.intrinsics[v, 0, 0] / geometry.intrinsics[v, 0, 0]
            positions[v] = there * torch.stack([same_pixel, same_pixel, torch.ones(())])
            on_step(views + v + 1, 2 * views)
        spacing = start[:, 2] / geometry.intrinsics[keys, 0, 0] * share
        colors = clip.frames[keys, pixels[:, 1].long(), pixels[:, 0].long()].float()
        return Tracks(positions, visible, colors, keys, spacing, geometry.intrinsics, geometry.size, own.depth)

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine; point maps know nothing of time, so flow follows it as in the built-in engine."""
        return track_times(clip, geometry, valid, options, on_step)


def _unit(own: Geometry, geometry: Geometry, valid: Tensor) -> float:
    """What the network's lengths are multiplied by to be those of another geometry: by the central frame's depth."""
    middle = len(own.depth) // 2
    both = own.mask[middle] & geometry.mask[middle] & valid
    if not bool(both.any()):
        raise InputError("a geometry without depth in the central frame", "depth of the clip", "take another geometry")
    return float((geometry.depth[middle][both] / own.depth[middle][both]).median())
