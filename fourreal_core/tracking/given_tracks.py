"""Tracks that a user gives as pixels, lifted by geometry."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..cameras import inside_image, lift, sample_map
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..geometry.geometry import Geometry
from ..progress import OnStep, no_progress
from .track3d import TrackOptions
from .track_engines import FlowTracks, TrackEngine
from .tracks import Tracks

MOST_TRACKS = 4096
"""Beyond so many, a regular share of the tracks moves the pixels between them."""
REACH, LEAST_REACH_PX, MOST_REACH = 1.5, 3.0, 1 / 16
"""Standard deviation of a track's influence: in mean distances between tracks, at least in pixels, at most as a share
of the picture's width."""
SAME_SURFACE = 0.1
"""Relative depth difference up to which a track moves a pixel."""
LEAST_INFLUENCE, FULL_INFLUENCE = 0.01, 0.3
"""Influence below which a track does not count, and sum of influences from which a pixel moves all the way."""
HIDDEN_WEIGHT = 0.1
"""Weight of a track where it is hidden: there its place is its maker's guess."""


@dataclass(frozen=True)
class PixelTracks:
    """Points followed in the picture.

    Attributes:
        pixels: ``(F, N, 2)`` (x, y) in every frame, also where hidden.
        visible: ``(F, N)`` bool.
        size: ``(height, width)`` of the pictures they were measured in.
    """

    pixels: Tensor
    visible: Tensor
    size: tuple[int, int]

    def __post_init__(self) -> None:
        f, n = self.pixels.shape[:2] if self.pixels.ndim == 3 else (-1, -1)
        if n < 1 or self.pixels.shape != (f, n, 2) or self.visible.shape != (f, n) or self.visible.dtype != torch.bool:
            raise InputError(
                f"tracks of shape {tuple(self.pixels.shape)} with visibility "
                f"{tuple(self.visible.shape)} {self.visible.dtype}",
                "(frames, points, 2) and (frames, points) bool, at least one point",
                "give every point a place in every frame",
            )
        if not bool(torch.isfinite(self.pixels).all()):
            raise InputError("tracks with NaN or infinite places", "finite pixels", "hide such points and hold them")

    def for_clip(self, frames: Tensor, name: str) -> PixelTracks:
        """The same tracks in pixels of a clip ``(F, H, W, 3)``.

        Raises:
            InputError: Another number of frames.
        """
        if len(self.pixels) != len(frames):
            raise InputError(
                f"tracks of {len(self.pixels)} frames for a {name} clip of {len(frames)}",
                "as many",
                "track the frames that the grid took from the clip",
            )
        size = (int(frames.shape[1]), int(frames.shape[2]))
        factor = self.pixels.new_tensor([size[1] / self.size[1], size[0] / self.size[0]])
        pixels = self.pixels * factor
        return PixelTracks(pixels, self.visible & inside_image(pixels, size), size)


@dataclass(frozen=True)
class GivenTracks:
    """A track engine of tracks that were made elsewhere; a clip without any is tracked by another engine.

    Attributes:
        views: Through the freeze-time clip; every one becomes a splat, so there should be many.
        times: Through the fixed-view clip; a few on what moves are enough, the surface around them goes along.
        otherwise: Tracks what was not given.
    """

    views: PixelTracks | None = None
    times: PixelTracks | None = None
    otherwise: TrackEngine = field(default_factory=FlowTracks)

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        if self.views is None:
            return self.otherwise.track_views(clip, geometry, valid, options, on_step)
        geometry.check_clip(clip.frames)
        return lift_views(self.views.for_clip(clip.frames, "freeze-time"), clip.frames, geometry, on_step)

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        if self.times is None:
            return self.otherwise.track_times(clip, geometry, valid, options, on_step)
        valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
        return spread_times(self.times.for_clip(clip.frames, "fixed-view"), clip.frames, geometry, valid, on_step)


def lift_views(tracks: PixelTracks, frames: Tensor, geometry: Geometry, on_step: OnStep = no_progress) -> Tracks:
    """Tracks in every view's camera space: at the view's depth where seen, moved rigidly with the cameras where hidden.

    Args:
        tracks: In pixels of the clip.
        frames: ``(V, H, W, 3)``, the freeze-time clip.
        geometry: Depth and cameras of it.
        on_step: Progress, one step a view.

    Raises:
        InputError: No track that any view sees.
    """
    seen = tracks.visible.any(0)
    if not bool(seen.any()):
        raise InputError("tracks that no view sees", "some visible points inside the picture", "check their size")
    pixels, visible = tracks.pixels[:, seen], tracks.visible[:, seen]
    views, count = visible.shape
    lifted = torch.stack(
        [lift(pixels[v], sample_map(geometry.depth[v], pixels[v]), geometry.intrinsics[v]) for v in range(views)]
    )
    world = torch.stack([geometry.cameras.to_world(lifted[v], v) for v in range(views)])
    order = torch.arange(views)
    positions = torch.empty_like(lifted)
    each = torch.arange(count)
    for v in range(views):  # a hidden point stays where the nearest view that sees it has it
        far = (order - v).abs()[:, None] + torch.where(visible, 0, 10 * views)
        nearest = far.argmin(0)
        rigid = geometry.cameras[v].to_camera(world[nearest, each])[0]
        positions[v] = torch.where(visible[v][:, None], lifted[v], rigid)
        on_step(v + 1, views)
    key = ((order - views // 2).abs()[:, None] + torch.where(visible, 0, 10 * views)).argmin(0)
    at = pixels[key, each].long()
    colors = frames[key, at[:, 1], at[:, 0]].float()
    share = (geometry.size[0] * geometry.size[1] / count) ** 0.5
    spacing = lifted[key, each, 2] / geometry.intrinsics[key, 0, 0] * share
    return Tracks(positions, visible, colors, key, spacing, geometry.intrinsics, geometry.size, geometry.depth)


def spread_times(
    tracks: PixelTracks, frames: Tensor, geometry: Geometry, valid: Tensor, on_step: OnStep = no_progress
) -> Tracks:
    """Every pixel of the first frame moved as the tracks around it that lie on the same surface.

    A pixel far from all tracks stands; how far that is follows from how many tracks there are.

    Args:
        tracks: In pixels of the clip; those that the first frame does not see are left out.
        frames: ``(T, H, W, 3)``, the fixed-view clip; its first frame is view 0 of the geometry.
        geometry: Of the freeze-time clip.
        valid: ``(H, W)`` bool.
        on_step: Progress, one step a block of pixels.

    Raises:
        InputError: No track that the first frame sees.
    """
    index = tracks.visible[0].nonzero()[:, 0]
    if not len(index):
        raise InputError(
            "tracks that the first frame does not see", "some visible points inside the picture", "check their size"
        )
    index = index[:: -(-len(index) // MOST_TRACKS)]
    start, moved = tracks.pixels[0, index], tracks.pixels[:, index] - tracks.pixels[0, index]
    seen, depth = tracks.visible[:, index].float(), geometry.depth[0]
    h, w = geometry.size
    reach = min(max(REACH * (h * w / len(index)) ** 0.5, LEAST_REACH_PX), w * MOST_REACH)
    ys, xs = (geometry.mask[0] & valid).nonzero(as_tuple=True)
    pixels = torch.stack([xs, ys], -1) + 0.5
    here, there = depth[ys, xs], sample_map(depth, start)
    shift, mass = torch.zeros(len(frames), len(pixels), 2), torch.zeros(len(frames), len(pixels))
    blocks = torch.arange(len(pixels)).split(8192)
    for done, part in enumerate(blocks, start=1):
        near = torch.exp(-0.5 * (torch.cdist(pixels[part], start) / reach) ** 2)
        near = near * ((here[part, None] - there).abs() < SAME_SURFACE * there)
        shift[:, part], mass[:, part] = _interpolated(torch.where(near > LEAST_INFLUENCE, near, 0.0), moved, seen)
        on_step(done, len(blocks))
    at = pixels + shift
    still = shift.abs().amax((0, 2)) == 0
    visible = ((mass > 0.5) | still) & inside_image(at, geometry.size)
    intrinsics = geometry.intrinsics[0]
    positions = lift(at, here.expand(len(frames), -1), intrinsics)
    return Tracks(
        positions,
        visible,
        frames[0, ys, xs].float(),
        torch.zeros(len(ys), dtype=torch.long),
        here / intrinsics[0, 0],
        intrinsics.expand(len(frames), 3, 3),
        geometry.size,
    )


def _interpolated(influence: Tensor, moved: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Motion of pixels by that of tracks.

    Args:
        influence: ``(P, N)`` of every track on every pixel.
        moved: ``(T, N, 2)`` the tracks' motion.
        seen: ``(T, N)`` 1 where a track is visible, else 0.

    Returns:
        The pixels' motion ``(T, P, 2)``, and the share ``(T, P)`` of their tracks that is visible.
    """
    sure = HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * seen
    fade = (influence.sum(1) / FULL_INFLUENCE).clamp(max=1)
    total = torch.einsum("pn,tn->tp", influence, sure).clamp_min(1e-6)
    mean = torch.einsum("pn,tnc->tpc", influence, moved * sure[..., None])
    visible = torch.einsum("pn,tn->tp", influence, seen) / influence.sum(1).clamp_min(1e-6)
    return fade[:, None] * mean / total[..., None], visible
