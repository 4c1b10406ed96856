"""Checks of clips that the main job accepts although its result will suffer: blank frames, cuts, a scene that moves.

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
from ..flow.flow_field import forward_backward_error, warp
from .geometry import Geometry

log = logging.getLogger(__name__)

_WIDTH = 160  # checks work on small pictures: they need no detail
_BLANK = 2.0  # grey levels of 255 between the 2nd and 98th percentile that a picture must span
_AGREE = 25.0  # grey levels between a pixel and the one that flow leads to in the next frame
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
        common: Share of pixels that every frame has in common with the next.
    """

    blank: list[int]
    cuts: list[int]
    common: list[float]


def examine(clip: ClipFlows, valid: Tensor | None = None) -> ClipReport:
    """Looks for blank frames and cuts.

    Args:
        clip: F frames.
        valid: ``(H, W)`` bool, pixels that show the scene.
    """
    small, good = _reduced(clip, valid)
    if not good.any():  # a mask that leaves a few pixels leaves nothing to look at
        return ClipReport([], [], [1.0] * (len(small) - 1))
    blank = [k for k, gray in enumerate(small.grays) if _span(gray[good]) < _BLANK]
    common = []
    for k, (a, b) in enumerate(zip(small.grays, small.grays[1:], strict=False)):
        forward, backward = small.measure(k, k + 1), small.measure(k + 1, k)
        same = np.abs(a.astype(np.float32) - warp(b.astype(np.float32), forward)) < _AGREE
        common.append(float((same & (forward_backward_error(forward, backward) < _RETURN_PX))[good].mean()))
    cuts = [k for k, share in enumerate(common) if share < _CUT and not {k, k + 1} & set(blank)]
    return ClipReport(blank, cuts, common)


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
    """Logs a warning for every blank frame and every cut of the two clips."""
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


def _span(values: NDArray[np.uint8]) -> float:
    return float(np.subtract(*np.percentile(values, [98, 2]))) if values.size else 0.0


def _texture(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    from ..needed.opencv import cv2

    values = gray.astype(np.float32)
    variance: NDArray[np.float32] = cv2.blur(values**2, (7, 7)) - cv2.blur(values, (7, 7)) ** 2
    return np.sqrt(np.maximum(variance, 0))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + (" ..." if len(numbers) > 6 else "")
