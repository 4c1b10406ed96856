"""Checks of clips that the main job accepts although its result will suffer: blank frames, cuts, exposure, motion.

None of it stops the job; a warning is logged, so that a strange result has its reason beside it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import lift, pixel_grid, project
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Gray, Mask, forward_backward_error, warp
from .geometry import Geometry

log = logging.getLogger(__name__)

_WIDTH = 160  # checks work on small pictures: they need no detail
_BLANK = 2.0  # grey levels of 255 between the 2nd and 98th percentile that a picture must span
_AGREE = 25.0  # grey levels between a pixel and the one that flow leads to in the next frame, in one light
_LIGHT_GRAY, _LIGHT_ROUNDS = 10.0, 10  # width of the loss with which the change of light is fitted, and its steps
_SAME_LIGHT = 0.1  # difference of mean or spread from which frames are brought to one light before they are matched
_MOST_GAIN = 4.0  # changes of contrast beyond this are none of the light
_BRIGHTER = 1.15  # change of brightness from which exposure jumps
_RETURN_PX = 1.5  # forward-backward error up to which neighbouring frames have a pixel in common
_SURE_PX = 0.5  # and up to which it is surely matched
_TEXTURE = 4  # standard deviation in grey levels over 7 x 7 pixels above which a match can be sure
_BESIDE_PX = 1.0  # distance from its epipolar line beyond which a pixel moved
_CUT = 0.2  # share of pixels in common below which two neighbouring frames are of two takes
_MOVING = 0.1  # share of surely matched pixels that no camera explains; generated views reach 0.08


@dataclass(frozen=True)
class ClipReport:
    """What is wrong with a clip.

    Attributes:
        blank: Frames of one colour.
        cuts: Frames after which nothing goes on.
        common: Share of pixels that every frame has in common with the next, whatever their light.
        brightness: By which factor every next frame is brighter.
        jumps: Frames after which the brightness jumps.
    """

    blank: list[int]
    cuts: list[int]
    common: list[float]
    brightness: list[float]
    jumps: list[int]


def examine(clip: ClipFlows, valid: Tensor | None = None) -> ClipReport:
    """Looks for blank frames, cuts and jumps of exposure.

    Args:
        clip: F frames.
        valid: ``(H, W)`` bool, pixels that show the scene.
    """
    small, good = _reduced(clip, valid)
    if not good.any():  # a mask that leaves a few pixels leaves nothing to look at
        return ClipReport([], [], [1.0] * (len(small) - 1), [1.0] * (len(small) - 1), [])
    blank = [k for k, gray in enumerate(small.grays) if _span(gray[good]) < _BLANK]
    common, brightness = [], []
    for a, b in zip(small.grays, small.grays[1:], strict=False):
        lit = _in_light_of(a, b, good)  # flow loses its way where the light changes much
        forward, backward = small.engine(a, lit), small.engine(lit, a)
        returns = good & (forward_backward_error(forward, backward) < _RETURN_PX)
        first, then = a.astype(np.float32), warp(b.astype(np.float32), forward)
        gain, offset = light_change(first[returns], then[returns])
        expected = gain * first + offset
        same = returns & (np.abs(expected - then) < _AGREE * max(gain, 1.0))
        shown = good & (expected < 256) & (expected > -1)  # what is too bright or too dark for the next frame goes out
        common.append(float(same[shown].mean()) if shown.any() else 0.0)
        middle = max(float(np.mean(first[good])), 1.0)
        brightness.append(max(gain * middle + offset, 1.0) / middle)
    jumped = [max(x, 1 / x) > _BRIGHTER for x in brightness]
    beside_blank = {n for k in blank for n in (k - 1, k)}
    torn = {k for k, share in enumerate(common) if share < _CUT}
    cuts = sorted(torn - beside_blank)
    jumps = [k for k, far in enumerate(jumped) if far and k not in torn | beside_blank]
    return ClipReport(blank, cuts, common, brightness, jumps)


def light_change(first: NDArray[np.float32], then: NDArray[np.float32]) -> tuple[float, float]:
    """Gain and offset with which grey levels ``(M,)`` became those of the next frame, robustly; 1 and 0 for too few.

    A line, fitted by least squares that are reweighted so that pixels which show something else don't count.
    """
    spread = float(np.std(first)) if len(first) > 1 else 0.0
    if spread < _BLANK:
        return 1.0, float(np.median(then - first)) if len(first) else 0.0
    gain = float(np.clip(np.std(then) / spread, 1 / _MOST_GAIN, _MOST_GAIN))
    offset = float(np.median(then - gain * first))
    for _ in range(_LIGHT_ROUNDS):
        weight = 1 / (1 + ((gain * first + offset - then) / _LIGHT_GRAY) ** 2) ** 2
        total = max(float(weight.sum()), 1e-9)
        x, y = float((weight * first).sum()) / total, float((weight * then).sum()) / total
        varies = float((weight * (first - x) ** 2).sum())
        if varies < 1e-6 * total:
            break
        slope = float((weight * (first - x) * (then - y)).sum()) / varies
        gain = float(np.clip(slope, 1 / _MOST_GAIN, _MOST_GAIN))
        offset = y - gain * x
    return gain, offset


def moving_share(clip: ClipFlows, geometry: Geometry, valid: Tensor | None = None) -> float:
    """Share of surely matched pixels of neighbouring frames that the cameras can't explain at any depth.

    A pixel of a scene that stands lies on its epipolar line in the next frame; what is seen beside that line moved.

    Args:
        clip: The freeze-time clip, V frames.
        geometry: Depth and cameras of it.
        valid: ``(H, W)`` bool, pixels that show the scene.
    """
    small, good = _reduced(clip, valid)
    h, w = small.size
    cameras = geometry.cameras.scaled((h, w))
    beside, sure = 0, 0
    for k in range(len(small) - 1):
        forward, backward = small.measure(k, k + 1), small.measure(k + 1, k)
        firm = good & (forward_backward_error(forward, backward) < _SURE_PX) & (_texture(small.grays[k]) > _TEXTURE)
        there = torch.from_numpy(pixel_grid((h, w)).numpy() + forward)
        line_error = _beside_line(cameras.world_to_cam[k : k + 2], cameras.intrinsics[k : k + 2], (h, w), there)
        beside += int((line_error.numpy() > _BESIDE_PX)[firm].sum())
        sure += int(firm.sum())
    return beside / max(sure, 1)


def report_clips(freeze_time: ClipFlows, fixed_view: ClipFlows, valid: Tensor | None = None) -> None:
    """Logs a warning for the blank frames, the cuts and the jumps of exposure of the two clips."""
    for name, clip in (("freeze-time", freeze_time), ("fixed-view", fixed_view)):
        found = examine(clip, valid)
        if found.blank:
            log.warning(
                "frames of one colour in the %s clip: %s of %d; nothing can be followed through them",
                name,
                _listed(found.blank),
                len(clip),
            )
        if found.cuts:
            log.warning(
                "the %s clip seems to cut or jump after frame %s: no more than %.0f %% of the picture goes on "
                "there; give a clip of one take",
                name,
                _listed(found.cuts),
                100 * max(found.common[k] for k in found.cuts),
            )
        if found.jumps:
            log.warning(
                "the brightness of the %s clip jumps after frame %s (by up to a factor %.2f): exposure or flicker; "
                "every cell keeps the light it was given in, so give clips of one exposure",
                name,
                _listed(found.jumps),
                max((found.brightness[k] for k in found.jumps), key=lambda x: max(x, 1 / x)),
            )


def report_motion(freeze_time: ClipFlows, geometry: Geometry, valid: Tensor | None = None) -> None:
    """Logs a warning when the freeze-time clip shows something that moves."""
    share = moving_share(freeze_time, geometry, valid)
    if share > _MOVING:
        log.warning(
            "something moves in the freeze-time clip, or its views don't agree: %.0f %% of what is surely "
            "matched fits no camera; give a clip in which time stands still",
            100 * share,
        )


def _beside_line(poses: Tensor, intrinsics: Tensor, size: tuple[int, int], there: Tensor) -> Tensor:
    """Distance ``(H, W)`` in pixels of where pixels are seen ``(H, W, 2)`` in camera 1 from their line there.

    The line is that of camera 0's pixels at all depths: from far away to as near as four of the camera's steps.
    """
    to_next = poses[1] @ torch.linalg.inv(poses[0])
    step = float(to_next[:3, 3].norm())
    at = pixel_grid(size)
    ends = []
    for distance in (1e4 * max(step, 1e-3), 4 * max(step, 1e-6)):
        points = lift(at, torch.full(size, distance), intrinsics[0]) @ to_next[:3, :3].T + to_next[:3, 3]
        ends.append(project(points, intrinsics[1]))
    along = ends[1] - ends[0]
    part = ((there - ends[0]) * along).sum(-1) / (along**2).sum(-1).clamp_min(1e-9)
    beside: Tensor = (there - ends[0] - part.clamp(0, 1)[..., None] * along).norm(dim=-1)
    return beside


def _reduced(clip: ClipFlows, valid: Tensor | None) -> tuple[ClipFlows, NDArray[np.bool_]]:
    """The clip in a small size, and which of its pixels ``(h, w)`` show nothing but the scene."""
    h, w = clip.size
    factor = min(1.0, _WIDTH / w)
    size = (max(16, round(h * factor)), max(16, round(w * factor)))
    small = torch.nn.functional.interpolate(clip.frames.cpu().permute(0, 3, 1, 2), size, mode="area").permute(
        0, 2, 3, 1
    )
    good = torch.ones(1, 1, h, w) if valid is None else valid[None, None].float().cpu()
    shown = torch.nn.functional.interpolate(good, size, mode="area")[0, 0] > 0.99
    return ClipFlows(small, clip.engine), shown.numpy()


def _in_light_of(first: Gray, then: Gray, good: Mask) -> Gray:
    """A frame with the mean and the spread of grey levels of the one before; itself where they hardly differ."""
    (mean, spread), (its_mean, its_spread) = ((float(x[good].mean()), float(x[good].std())) for x in (first, then))
    if its_spread < _BLANK or spread < _BLANK:
        return then
    if max(abs(its_mean - mean) / max(mean, 1.0), abs(its_spread / spread - 1)) < _SAME_LIGHT:
        return then
    lit: Gray = ((then - its_mean) * (spread / its_spread) + mean).clip(0, 255).round().astype(np.uint8)
    return lit


def _span(values: NDArray[np.uint8]) -> float:
    return float(np.subtract(*np.percentile(values, [98, 2]))) if values.size else 0.0


def _texture(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    from ..needed.opencv import cv2

    values = gray.astype(np.float32)
    variance: NDArray[np.float32] = cv2.blur(values**2, (7, 7)) - cv2.blur(values, (7, 7)) ** 2
    return np.sqrt(np.maximum(variance, 0))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + (" ..." if len(numbers) > 6 else "")
