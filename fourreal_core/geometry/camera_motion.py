"""Whether the camera of a fixed-view clip stands, and how it moves where it doesn't.

What stands in the scene moves in the picture as a camera would have it; what moves by itself doesn't. So points that
are spread over the whole picture are matched from the first frame to every other one, each part of the picture counts
alike and its rim twice, and the motion that most of them agree on is the camera's. A camera that stands leaves much
exactly where it was, one that moves leaves next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..flow.clip_flows import ClipFlows
from ..flow.engines import LEAST_SIDE_PX
from ..flow.flow_field import Flow, Gray, Image, Mask, forward_backward_error, identity_map, warp
from ..progress import OnStep, no_progress
from .camera_fit import LEAST_WIDTH, Array, FrameMotion, PointMatches, errors_px, fit_motion, support
from .geometry import Geometry

LOOK_WIDTH = 192
"""Width in pixels in which a clip is looked at first; only where its camera moves is all of it looked at."""
POINTS_ACROSS = 64
"""Points that are matched, along the picture's width."""
MATCH_PX, LEAST_MATCHES = 1.0, 40
"""Largest forward-backward error of a match in pixels, and matches that a motion takes."""
LEAST_LEFT = 0.35
"""Share of the first frame that must be in the picture; with less left of it the frame before is the reference."""
UNLIKE = 0.7
"""Mean difference of both frames around a match, each in units of its own contrast there, beyond which it is none:
light may change, what is seen may not."""
NOISE_GRAY = 1.0
"""Gradient in grey levels of 255 a pixel, in the direction that has least of it, at which a match counts half."""
BLOCKS = (6, 8)
"""Parts of the picture, down and across, that count alike."""
RIM_WEIGHT = 2.0
"""How much more parts at the rim count: subjects stand in the middle."""
LEAST_SHIFT = 0.0034
"""Mean motion of the picture, as a share of its width, from which a camera is said to move; generated clips of a camera
that stands reach 0.0036 where clouds drift, but leave a sixth of the picture standing."""
STANDS_WITHIN, MOST_STANDING = 0.0018, 0.1
"""Motion, as a share of the width, of a point that stands; and the share of the picture that may stand though the
camera moves."""
SURELY_STANDING = 0.4
"""Share of the picture that stands at every time of a clip whose camera isn't looked at further."""
LEAST_GAIN = 0.12
"""By how much more of the picture the motion must explain than standing still does."""
LEFT_ALONE = 0.0006
"""Motion, as a share of the width, that is not taken out of a frame: reading it anew would cost more detail."""


@dataclass(frozen=True)
class CameraMotion:
    """How the camera moves from the first frame of a clip to every frame.

    Attributes:
        motions: T motions, the first of which is none.
        shift_px: Mean distance by which each moves the picture, in pixels.
        moving: Times at which the camera surely isn't where it was; empty for a camera that stands.
        size: ``(height, width)`` of the frames.
    """

    motions: tuple[FrameMotion, ...]
    shift_px: tuple[float, ...]
    moving: tuple[int, ...]
    size: tuple[int, int]

    @classmethod
    def none(cls, times: int, size: tuple[int, int]) -> CameraMotion:
        """A camera that stands."""
        return cls((FrameMotion.still(),) * times, (0.0,) * times, (), size)

    @property
    def stands(self) -> bool:
        """Whether the camera stands at all times."""
        return not self.moving

    @property
    def largest_px(self) -> float:
        """The largest mean shift of a time at which it moves, in pixels."""
        return max((self.shift_px[t] for t in self.moving), default=0.0)

    @property
    def sentence(self) -> str:
        """What was found, for a reader; empty for a camera that stands."""
        if self.stands:
            return ""
        roll, zoom = self.roll_degrees, self.zoom
        more = f", rolls by up to {roll:.1f} degrees" if roll >= 0.3 else ""
        more += f", zooms by up to {100 * zoom:.0f} %" if zoom >= 0.01 else ""
        walks = ", and it walks: near things move against far ones" if self.walks else ""
        return (
            f"the camera of the fixed-view clip does not stand: it moves the picture by up to {self.largest_px:.1f} "
            f"pixels ({100 * self.largest_px / self.size[1]:.1f} % of the width), most at time "
            f"{max(self.moving, key=lambda t: self.shift_px[t])}{more}{walks}"
        )

    @property
    def walks(self) -> bool:
        """Whether the camera changes its place at a time at which it moves, so far as can be told."""
        return any(self.motions[t].walks for t in self.moving)

    @property
    def roll_degrees(self) -> float:
        """Largest turn of the picture in its plane."""
        return max(abs(self.motions[t].roll_degrees) for t in self.moving) if self.moving else 0.0

    @property
    def zoom(self) -> float:
        """Largest change of the picture's scale, 0 for none."""
        return max(abs(self.motions[t].scale - 1) for t in self.moving) if self.moving else 0.0

    def summary(self) -> dict[str, Any]:
        """What was found, for a report file."""
        return {
            "stands": self.stands,
            "shift_px": [round(x, 2) for x in self.shift_px],
            "moving_times": list(self.moving),
            "roll_degrees": round(self.roll_degrees, 2),
            "zoom": round(self.zoom, 4),
            "walks": self.walks,
        }


def find_camera_motion(
    clip: ClipFlows, valid: Tensor | None = None, geometry: Geometry | None = None, on_step: OnStep = no_progress
) -> CameraMotion:
    """The camera's own motion in a fixed-view clip.

    Args:
        clip: T frames; the first is view 0 of the geometry.
        valid: ``(H, W)`` bool, pixels that show the scene.
        geometry: Of the freeze-time clip: its depth tells a camera that walks. None to do without.
        on_step: Progress, one step a frame.
    """
    good = np.ones(clip.size, bool) if valid is None else valid.cpu().numpy()
    none = CameraMotion.none(len(clip), clip.size)
    if min(clip.size) < LEAST_SIDE_PX:  # too small for flow
        return none
    factor = LOOK_WIDTH / clip.size[1]
    if factor < 1 and _motion(*_reduced(clip, good, factor), None, no_progress).stands:
        return none
    return _motion(clip, good, geometry, on_step)


def _reduced(clip: ClipFlows, good: Mask, factor: float) -> tuple[ClipFlows, Mask]:
    """A clip and its valid pixels in a smaller size."""
    size = [max(LEAST_SIDE_PX, round(side * factor)) for side in clip.size]
    frames = torch.nn.functional.interpolate(clip.frames.cpu().float().permute(0, 3, 1, 2), size, mode="area")
    shown = torch.nn.functional.interpolate(torch.from_numpy(good)[None, None].float(), size, mode="area")[0, 0]
    return ClipFlows(frames.permute(0, 2, 3, 1), clip.engine), (shown > 0.99).numpy()


def _motion(clip: ClipFlows, good: Mask, geometry: Geometry | None, on_step: OnStep) -> CameraMotion:
    matched = [match_frames(clip, (0, t), good, geometry) for t in range(1, len(clip))]
    if all(_standing_share(matches) > SURELY_STANDING for matches in matched):
        return CameraMotion.none(len(clip), clip.size)
    motions, shifts = [FrameMotion.still()], [0.0]
    moving: list[int] = []
    everywhere, inv_depth = _picture_points(clip.size), None
    if geometry is not None:
        inv_depth = (1.0 / geometry.depth[0].double().cpu().numpy()).clip(0, 1e3)
    for t, matches in enumerate(matched, 1):
        if len(matches) < LEAST_MATCHES or _left(motions[-1], everywhere, clip.size) < LEAST_LEFT:
            motion, moves = _chained(clip, t, good, motions[-1]), bool(moving)
        else:
            motion = fit_motion(matches, [motions[-1]])
            moves = _moves(motion, matches)
        depth = 1.0 if inv_depth is None else inv_depth[::4, ::4].ravel()
        shift = float(np.linalg.norm(motion.apply(everywhere, depth) - everywhere, axis=-1).mean())
        if moves and shift > LEAST_SHIFT * clip.size[1]:
            moving.append(t)
        motions.append(motion)
        shifts.append(shift)
        on_step(t, len(clip) - 1)
    return CameraMotion(tuple(motions), tuple(shifts), tuple(moving), clip.size)


def match_frames(clip: ClipFlows, pair: tuple[int, int], valid: Mask, geometry: Geometry | None = None) -> PointMatches:
    """Points of one frame, spread over the picture, and where another one shows them.

    Args:
        clip: The clip.
        pair: From which frame to which.
        valid: ``(H, W)`` pixels that show the scene.
        geometry: Whose view 0 the first of both frames shows; None where no depth is known.
    """
    (h, w), (i, j) = clip.size, pair
    flow = clip.progressive(i, j)
    error = forward_backward_error(flow, clip.progressive(j, i))
    stride = _stride((h, w))
    ys, xs = (a.ravel() for a in np.mgrid[stride // 2 : h : stride, stride // 2 : w : stride])
    gradient = _least_gradient(clip.grays[i])[ys, xs]
    weight = gradient / (gradient + NOISE_GRAY) * np.exp(-((error[ys, xs] / (MATCH_PX / 2)) ** 2))
    alike = _unlikeness(clip.grays[i], clip.grays[j], flow)[ys, xs] < UNLIKE
    kept = (error[ys, xs] < MATCH_PX) & valid[ys, xs] & (weight > 0.02) & alike
    ys, xs, weight = ys[kept], xs[kept], weight[kept].astype(np.float64)
    pixels = np.stack([xs, ys], -1) - _centre((h, w))
    depth, focal = None, None
    if geometry is not None:
        depth = 1.0 / geometry.depth[0].cpu().numpy()[ys, xs].astype(np.float64)
        focal = float(geometry.intrinsics[0, 0, 0])
    return PointMatches(pixels, pixels + flow[ys, xs], _spread(weight, ys, xs, (h, w)), depth, w, focal)


def _moves(motion: FrameMotion, matches: PointMatches) -> bool:
    """Whether the matches say that the camera moved, not that something before it did."""
    width_px = LEAST_WIDTH * matches.width
    gain = support(motion, matches, width_px) - support(FrameMotion.still(), matches, width_px)
    return _standing_share(matches) < MOST_STANDING and gain > LEAST_GAIN


def _standing_share(matches: PointMatches) -> float:
    """Share of what is matched that is where it was; 1 where nothing is."""
    if not len(matches):
        return 1.0
    standing = errors_px(FrameMotion.still(), matches) < STANDS_WITHIN * matches.width
    return float(matches.weight[standing].sum() / matches.weight.sum())


def _chained(clip: ClipFlows, time: int, valid: Mask, before: FrameMotion) -> FrameMotion:
    """The motion to the frame before, and from there on; the frame before's where that can't be told either."""
    step = match_frames(clip, (time - 1, time), valid)
    return before if len(step) < LEAST_MATCHES else fit_motion(step, []).after(before)


def _left(motion: FrameMotion, pixels: Array, size: tuple[int, int]) -> float:
    """Share of the first frame's pixels that a motion leaves on the picture."""
    return float((np.abs(motion.apply(pixels)) < [size[1] / 2, size[0] / 2]).all(-1).mean())


def _spread(weight: Array, ys: NDArray[np.int64], xs: NDArray[np.int64], size: tuple[int, int]) -> Array:
    """Weights with which all parts of the picture count alike, those at the rim more."""
    down, across = BLOCKS
    row, column = ys * down // size[0], xs * across // size[1]
    block = row * across + column
    total = np.bincount(block, weight, down * across)
    rim = (row == 0) | (row == down - 1) | (column == 0) | (column == across - 1)
    few = 0.1 * (POINTS_ACROSS / across) ** 2  # a part of which next to nothing is matched counts less
    out: Array = weight / np.maximum(total, few)[block] * np.where(rim, RIM_WEIGHT, 1.0)
    return out


def _least_gradient(gray: Gray) -> Image:
    """Root of the smaller eigenvalue ``(H, W)`` of the gradients around a pixel: small in flat places, and on edges."""
    from ..needed.opencv import cv2

    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 0.7)
    least: Image = np.sqrt(np.maximum(cv2.cornerMinEigenVal(smooth, 7), 0))
    return least


def _unlikeness(first: Gray, then: Gray, flow: Flow) -> Image:
    """How differently ``(H, W)`` two frames vary around a match, in units of their contrast there."""
    from ..needed.opencv import cv2

    def varies(gray: Gray) -> Image:
        values = gray.astype(np.float32)
        mean = cv2.GaussianBlur(values, (0, 0), 2.5)
        spread = np.sqrt(np.maximum(cv2.GaussianBlur(values**2, (0, 0), 2.5) - mean**2, 0))
        normal: Image = (values - mean) / (spread + 2 * NOISE_GRAY)
        return normal

    difference: Image = cv2.GaussianBlur(np.abs(varies(first) - warp(varies(then), flow)), (0, 0), 1.5)
    return difference


def _stride(size: tuple[int, int]) -> int:
    return max(2, round(size[1] / POINTS_ACROSS))


def _centre(size: tuple[int, int]) -> Array:
    return np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])


def _picture_points(size: tuple[int, int]) -> Array:
    points: Array = (identity_map(size)[::4, ::4].reshape(-1, 2) - _centre(size)).astype(np.float64)
    return points
