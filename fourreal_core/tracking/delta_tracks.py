"""DELTA (Ngo et al., ICLR 2025) as a track engine, through an installed ``densetrack3d`` and its checkpoint.

The package tracks every pixel of a clip's first frame forward. A keyframe inside the clip is therefore tracked twice,
forward and, with the clip reversed, backward.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..cameras import inside_image, lift
from ..errors import InputError
from ..flow.checkpoint_files import read_weights
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import warp
from ..geometry.geometry import Geometry
from ..progress import OnStep, no_progress
from .track3d import TrackOptions, choose_points, keyframe_order
from .tracks import Tracks

if TYPE_CHECKING:
    from torch import nn

MODEL = {
    "stride": 4,
    "window_len": 16,
    "add_space_attn": True,
    "num_virtual_tracks": 64,
    "model_resolution": (384, 512),
    "upsample_factor": 4,
}
"""What the published checkpoint was trained as."""
KEYFRAMES = 3
"""How many frames of the freeze-time clip start tracks: the central one and the ends."""


class DeltaTracks:
    """A track engine that runs ``densetrack3d``.

    Args:
        checkpoint: The published weights, ``.pth`` or ``.safetensors``; they are never downloaded here.
        device: Where the network runs.

    Raises:
        InputError: No package, no checkpoint, or one of something else.
    """

    def __init__(self, checkpoint: str | os.PathLike[str], device: str = "cpu", keyframes: int = 3) -> None:
        if keyframes < 1:
            raise InputError(f"{keyframes} keyframes", "at least 1", "leave it at its default")
        self.device, self.keyframes = device, keyframes
        self._predictor = _load(Path(checkpoint)).to(device)

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        options, frames = options or TrackOptions(), clip.frames
        geometry.check_clip(frames)
        valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
        keys, pixels, _ = choose_points(geometry, valid)
        wanted = keyframe_order(len(frames))[:KEYFRAMES]
        parts = []
        for done, k in enumerate(wanted, start=1):
            fresh = torch.zeros(geometry.size, dtype=torch.bool)
            mine = (pixels[keys == k] - 0.5).long()
            fresh[mine[:, 1], mine[:, 0]] = True
            parts.append(self._from_keyframe(frames, geometry, k, fresh))
            on_step(done, len(wanted))
        positions, visible, colors, keyframe, spacing = (
            torch.cat(x, dim) for x, dim in zip(zip(*parts, strict=True), (1, 1, 0, 0, 0), strict=True)
        )
        tracks = Tracks(
            positions, visible, colors, keyframe, spacing, geometry.intrinsics, geometry.size, geometry.depth
        )
        return _thinned(tracks, options)

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        frames = clip.frames
        if clip.size != geometry.size:
            raise InputError(
                f"a fixed-view clip of {clip.size[1]} x {clip.size[0]} pixels",
                f"{geometry.size[1]} x {geometry.size[0]} as the geometry",
                "resize the clip first",
            )
        valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
        standing = geometry.intrinsics[:1].expand(len(frames), 3, 3)
        in_time = Geometry(_depth_in_time(clip, geometry), standing, geometry.mask[:1].expand(frames.shape[:3]))
        positions, visible, colors, keyframe, spacing = self._from_keyframe(
            frames, in_time, 0, geometry.mask[0] & valid
        )
        on_step(1, 1)
        return Tracks(positions, visible, colors, keyframe, spacing, standing, geometry.size)

    def _from_keyframe(
        self, frames: Tensor, geometry: Geometry, key: int, fresh: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Tracks started at the ``fresh (H, W)`` pixels of one frame: what a Tracks is made of, but for cameras."""
        later = self._predict(frames[key:], geometry.depth[key:], geometry.intrinsics[key])
        pixels, depth, visible = later
        if key > 0:
            earlier = self._predict(
                frames[: key + 1].flip(0), geometry.depth[: key + 1].flip(0), geometry.intrinsics[key]
            )
            pixels, depth, visible = (torch.cat([b[1:].flip(0), a]) for a, b in zip(later, earlier, strict=True))
        start = pixels[key]
        at = start.long()
        column, row = at[:, 0].clamp(0, geometry.size[1] - 1), at[:, 1].clamp(0, geometry.size[0] - 1)
        keep = fresh[row, column]
        pixels, depth, visible, row, column = pixels[:, keep], depth[:, keep], visible[:, keep], row[keep], column[keep]
        positions = lift(pixels, depth.clamp_min(1e-3), geometry.intrinsics[:, None])
        # the network's grid is not the picture's: a point stands for as much of the picture as its share of the grid
        area = geometry.size[0] * geometry.size[1] / max(len(start), 1)
        spacing = geometry.depth[key, row, column] / geometry.intrinsics[key, 0, 0] * area**0.5
        visible = visible & inside_image(pixels, geometry.size)
        visible[key] = True
        return (
            positions,
            visible,
            frames[key, row, column].float(),
            torch.full((len(row),), key, dtype=torch.long),
            spacing,
        )

    def _predict(self, frames: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels ``(F, N, 2)``, depths ``(F, N)`` and visibility ``(F, N)`` of the first frame's points."""
        video = (frames.permute(0, 3, 1, 2)[None] * 255).float().to(self.device)
        with torch.inference_mode():
            out = self._predictor(
                video,
                depth[None, :, None].float().to(self.device),
                grid_query_frame=0,
                predefined_intrs=intrinsics[None].float().to(self.device),
            )
        pixels = out["trajs_uv"][0].float().cpu().clone() + 0.5  # its pixel centres are whole numbers
        return pixels, out["trajs_depth"][0, ..., 0].float().cpu().clone(), out["vis"][0].bool().cpu().clone()


def _depth_in_time(clip: ClipFlows, geometry: Geometry) -> Tensor:
    """View 0's depth ``(T, H, W)`` at every time, read where flow puts a pixel at the start."""
    first = geometry.depth[0].cpu().numpy()
    later = [torch.from_numpy(warp(first, clip.measure(t, 0))) for t in range(1, len(clip))]
    return torch.stack([geometry.depth[0].cpu(), *later])


def _thinned(tracks: Tracks, options: TrackOptions) -> Tracks:
    count = len(tracks)
    if count <= options.max_points:
        return tracks
    order = torch.randperm(count, generator=torch.Generator().manual_seed(options.seed))
    kept = tracks.select(order[: options.max_points].sort().values)
    return Tracks(
        kept.positions,
        kept.visible,
        kept.colors,
        kept.keyframe,
        kept.spacing * (count / options.max_points) ** 0.5,
        kept.intrinsics,
        kept.size,
        kept.depth,
    )


def _load(checkpoint: Path) -> nn.Module:
    try:
        from densetrack3d.models.densetrack3d.densetrack3d import DenseTrack3D
        from densetrack3d.models.predictor.dense_predictor import DensePredictor3D
    except ImportError as err:
        raise InputError(
            f"no package densetrack3d here ({err})",
            "it, for DELTA's tracks",
            "install it as its authors say, or use the built-in tracks 'flow'",
        ) from err
    if not checkpoint.is_file():
        raise InputError(f"no file {checkpoint}", "DELTA's checkpoint", "check the name; it is not downloaded here")
    model = DenseTrack3D(**MODEL)
    try:
        state = read_weights(checkpoint)
        missing = model.load_state_dict(state.get("model", state), strict=False).missing_keys
    except InputError:
        raise
    except Exception as err:  # whatever a file of another kind fails with
        why = (str(err).splitlines() or [type(err).__name__])[0].rstrip(".")
        raise InputError(
            f"{checkpoint.name} can't be read as DELTA's checkpoint ({why})", "the dense 3D one", "choose another file"
        ) from err
    if missing:
        raise InputError(
            f"{checkpoint.name} lacks {len(missing)} of DELTA's tensors, {missing[0]} among them",
            "the dense 3D checkpoint",
            "choose another file",
        )
    predictor: nn.Module = DensePredictor3D(model=model).eval()
    return predictor
