"""What the moved frames of a clip don't show of the first view, taken from other times along the motion.

A camera that shakes leaves out a strip at the rim, and beside what a caption hides, another one at every time. What
stands there is as other times show it. What moves isn't: a limb taken from where it was is doubled or cut off, and flow
loses it far into the picture. So flow between neighbouring times, in the steady picture, is extended over what they
don't show and followed from time to time to frames that show the place (flow-guided completion, as Xu et al., CVPR
2019; here flow is extended from the nearest pixel and not learned). Only what comes back along the flow counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import (
    Flow,
    Image,
    Mask,
    chain,
    forward_backward_error,
    identity_map,
    invert_flow,
    on_picture,
    warp,
)

SURE_PX = 1.0
"""Largest forward-backward error of a flow that is extended to pixels that aren't shown."""
RETURN_PX = 1.5
"""Largest distance at which what is followed to another time and back comes back."""
STANDS_RATIO, STANDS_MARGIN_GRAY = 1.1, 1.0
"""What standing still explains up to this multiple of the flow's error plus this many grey levels of 255 stands."""
WINDOW_PX = 2.0
"""Standard deviation of the window over which colours are compared."""
STANDING_PX = 0.5
"""What moves by less stands."""
REPEAT_WITHIN = 0.02
"""Distance, as a share of the picture's width, up to which a place that no other time is sure of repeats what is beside
it; farther in it is as the nearest time has it, which may be out of date."""
VOTES = 3
"""Times that are asked what is there, each counting by how near it is; one that the others contradict isn't taken."""
REFINEMENTS = 2
"""Steps in which the way there is corrected by the flow of the frame that shows it."""


@dataclass(frozen=True)
class SteadyFrame:
    """A frame as the camera of the first one would see it, and which of its pixels it shows.

    Attributes:
        picture: ``(H, W, 3)`` in ``[0, 1]``; what isn't on the frame repeats its rim.
        shown: ``(H, W)`` pixels that show the scene.
        on_frame: ``(H, W)`` pixels that are on the frame, shown or hidden by a caption.
        read_at: ``(H, W, 2)`` in pixels, by how much off the frame as it was shows them.
    """

    picture: Image
    shown: Mask
    on_frame: Mask
    read_at: Flow


def completed_row(frames: list[SteadyFrame], clip: ClipFlows, valid: Mask) -> NDArray[np.float32]:
    """The frames ``(T, H, W, 3)`` of a row with what each doesn't show taken from the others, in its light.

    Args:
        frames: T frames.
        clip: As it was, with its flows.
        valid: ``(H, W)`` pixels to look at; the others stay as a frame shows them where it does.
    """
    unseen = [~frame.shown & (valid | ~frame.on_frame) for frame in frames]
    out = np.stack([frame.picture for frame in frames])
    if any(mask.any() for mask in unseen):
        ways = _Ways(frames, clip)
        for t, mask in enumerate(unseen):
            if mask.any():
                out[t] = _completed(frames, ways, t, mask)
    return out


def _completed(frames: list[SteadyFrame], ways: _Ways, time: int, unseen: Mask) -> Image:
    """One frame: of every time, nearest first, what moved there and comes back, else what stands."""
    out, stale = frames[time].picture.copy(), unseen.copy()
    found, count = np.zeros((VOTES, *out.shape), np.float32), np.zeros(unseen.shape, np.int64)
    weight = np.zeros((VOTES, *unseen.shape), np.float32)
    walks = {step: _Walk(ways, time, step) for step in (-1, 1)}
    for gap in range(1, len(frames)):
        for step in (-1, 1):
            other = time + step * gap
            if not 0 <= other < len(frames) or not (unseen & (count < VOTES)).any():
                continue
            there, back = walks[step].next()
            seen, light = frames[other], _light(frames[time], frames[other])
            open_ = unseen & (count < VOTES)
            for way in (_refined(there, back), np.zeros_like(there)):
                returns = np.linalg.norm(way + warp(back, way), axis=-1) < RETURN_PX
                taken = open_ & returns & on_picture(way) & (warp(seen.shown.astype(np.float32), way) > 0.99)
                at = (count[taken], *taken.nonzero())
                found[at], weight[at] = (_read(seen.picture, way)[taken] + light).clip(0, 1), 1 / gap
                count[taken] += 1
                open_ &= ~taken
            known = stale & seen.shown
            out[known] = (seen.picture[known] + light).clip(0, 1)
            stale &= ~known
    nowhere = unseen & (count == 0) & _within(frames[time].shown, REPEAT_WITHIN * unseen.shape[1])
    out[nowhere] = _extended(frames[time].picture, frames[time].shown)[nowhere]
    for votes in range(1, VOTES + 1):
        settled = unseen & (count == votes)
        out[settled] = _agreed(found[:votes, settled], weight[:votes, settled])
    return out


def _agreed(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of values ``(N, M, 3)`` with weights ``(N, M)`` the one ``(M, 3)`` that the others are nearest to."""
    apart = (np.abs(values[:, None] - values[None]).sum(-1) * weight[None]).sum(1)
    agreed: NDArray[np.float32] = np.take_along_axis(values, apart.argmin(0)[None, :, None], 0)[0]
    return agreed


class _Ways:
    """Flows between neighbouring times in the steady picture, extended over what either doesn't show."""

    def __init__(self, frames: list[SteadyFrame], clip: ClipFlows) -> None:
        self.frames, self.clip = frames, clip
        self._to_steady: dict[int, Flow] = {}
        self._steps: dict[tuple[int, int], Flow] = {}

    def step(self, i: int, j: int) -> Flow:
        """Flow ``(H, W, 2)`` in pixels from a time to its neighbour."""
        if (i, j) not in self._steps:
            forth = self._measured(i, j)
            first, then = self.frames[i], self.frames[j]
            common = first.shown & (warp(then.shown.astype(np.float32), forth) > 0.99)
            standing = first.shown & then.shown & _stands(first, then, forth, common)
            sure = first.on_frame & (forward_backward_error(forth, self._measured(j, i)) < SURE_PX)
            sure &= warp(then.on_frame.astype(np.float32), forth) > 0.99
            self._steps[i, j] = _extended(np.where(standing[..., None], np.float32(0), forth), sure | standing)
        return self._steps[i, j]

    def _measured(self, i: int, j: int) -> Flow:
        """A flow between the frames as they were, between the places that these have in the steady picture."""
        if j not in self._to_steady:
            self._to_steady[j] = invert_flow(self.frames[j].read_at)
        return chain(chain(self.frames[i].read_at, self.clip.progressive(i, j)), self._to_steady[j])


class _Walk:
    """Flow from a time to ever farther ones in one direction, and back."""

    def __init__(self, ways: _Ways, time: int, step: int) -> None:
        self.ways, self.at, self.step = ways, time, step
        self.there = self.back = np.zeros_like(ways.frames[time].read_at)

    def next(self) -> tuple[Flow, Flow]:
        """Flow to the next time, and from there to the first."""
        to, self.at = self.at + self.step, self.at + self.step
        self.there = chain(self.there, self.ways.step(to - self.step, to))
        self.back = chain(self.ways.step(to, to - self.step), self.back)
        return self.there, self.back


def _refined(there: Flow, back: Flow) -> Flow:
    """A way there that agrees with the way back; standing where it hardly moves."""
    for _ in range(REFINEMENTS):
        there = -warp(back, there)
    return np.where(np.linalg.norm(there, axis=-1, keepdims=True) < STANDING_PX, np.float32(0), there)


def _stands(first: SteadyFrame, then: SteadyFrame, flow: Flow, common: Mask) -> Mask:
    """Where ``(H, W)`` standing still explains the other frame about as well as a flow does."""
    light = _light(first, then)
    resting = _averaged(np.abs(first.picture - then.picture - light).mean(-1), first.shown & then.shown)
    moving = _averaged(np.abs(first.picture - warp(then.picture, flow) - light).mean(-1), common)
    stands: Mask = 255 * resting < 255 * moving * STANDS_RATIO + STANDS_MARGIN_GRAY
    return stands


def _averaged(values: Image, counts: Mask) -> Image:
    """Mean of values ``(H, W)`` over a Gaussian window, of those that count; infinite where there are none."""
    from ..needed.opencv import cv2

    weight = cv2.GaussianBlur(counts.astype(np.float32), (0, 0), WINDOW_PX)
    total = cv2.GaussianBlur(np.where(counts, values, np.float32(0)), (0, 0), WINDOW_PX)
    mean: Image = np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), np.float32(np.inf))
    return mean


def _light(first: SteadyFrame, then: SteadyFrame) -> NDArray[np.float32]:
    """What a frame is brighter by ``(3,)`` than another one, where both show the same place."""
    both = first.shown & then.shown
    if not both.any():
        return np.zeros(3, np.float32)
    light: NDArray[np.float32] = np.median((first.picture - then.picture)[both], 0)
    return light


def _extended(values: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """A map ``(H, W, C)`` that has at every pixel what it has at the nearest known one; zero where nothing is known."""
    if not known.any():
        return np.zeros_like(values)
    label = _nearest(known)[1]
    at = np.zeros(int(label.max()) + 1, np.int64)
    at[label[known]] = np.flatnonzero(known)
    extended: NDArray[np.float32] = values.reshape(-1, values.shape[-1])[at[label]]
    return extended


def _within(known: Mask, distance_px: float) -> Mask:
    """Pixels ``(H, W)`` that are so near to a known one."""
    near: Mask = _nearest(known)[0] < distance_px
    return near & bool(known.any())


def _nearest(known: Mask) -> tuple[Image, NDArray[np.int32]]:
    """Distance ``(H, W)`` in pixels to the nearest known pixel, and a number that it has to itself."""
    from ..needed.opencv import cv2

    distance, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return np.asarray(distance, np.float32), np.asarray(label, np.int32)


def _read(picture: Image, flow: Flow) -> Image:
    """A picture ``(H, W, 3)`` read at ``x + flow`` by a cubic kernel."""
    from ..needed.opencv import cv2

    at = identity_map(flow.shape[:2]) + flow
    read: Image = cv2.remap(picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return read
