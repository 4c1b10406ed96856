"""Flow over a whole clip: the candidate that explains the picture wins, and what stands keeps standing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.flow.robust_flow import RobustFlowOptions, choose_flow, robust_flow, smooth_flow, still_explains

from ..cancelling import Cancelled
from ..geometry.worlds import SIZE, World


def slide(world: World, shifts: list[int]) -> torch.Tensor:
    """The first frame moved to the right by whole pixels."""
    return torch.stack([torch.roll(world.frames[0], s, 1) for s in shifts])


def test_a_slide_is_measured_at_every_time(walk: World) -> None:
    frames = slide(walk, [0, 3, 6, 9])
    flows, errors = robust_flow(ClipFlows(frames))
    assert flows.shape == (4, *SIZE, 2) and errors.shape == (4, *SIZE)
    assert not flows[0].any() and not errors[0].any()
    for t in range(1, 4):
        inner = flows[t, 12:-12, 20:-20].reshape(-1, 2)
        # whole pixels on good texture: dense inverse search is good to a tenth of one
        assert np.abs(np.median(inner, 0) - [3 * t, 0]).max() < 0.1
        assert np.median(errors[t, 12:-12, 20:-20]) < 0.2


def test_what_stands_has_exactly_no_flow(walk: World) -> None:
    noise = torch.rand(3, *SIZE, 3, generator=torch.Generator().manual_seed(0)) * 0.004  # half a grey level of 255
    frames = (walk.frames[:1] + noise).clamp(0, 1)
    flows, errors = robust_flow(ClipFlows(frames))
    assert not flows.any() and not errors.any()


def test_the_candidate_that_explains_the_picture_wins(walk: World) -> None:
    first, now = walk.frames[0].numpy(), slide(walk, [5])[0].numpy()
    right, wrong = (np.tile(np.float32([x, 0]), (*SIZE, 1)) for x in (5.0, -4.0))
    flow, error, picked = choose_flow(first, now, [(wrong, -wrong), (right, -right)], RobustFlowOptions())
    inner = (slice(10, -10), slice(10, -15))
    assert picked == 1
    assert (flow[inner] == [5.0, 0.0]).mean() > 0.98  # flat spots may take the other
    assert np.median(error[inner]) == 0


def test_a_flow_that_does_not_return_loses_to_one_that_does(walk: World) -> None:
    first, now = walk.frames[0].numpy(), slide(walk, [5])[0].numpy()
    right = np.tile(np.float32([5.0, 0]), (*SIZE, 1))
    flow, error, picked = choose_flow(first, now, [(right, -right + 3), (right, -right)], RobustFlowOptions())
    assert picked == 1 and np.median(error) == 0 and np.median(flow[..., 0]) == 5


@pytest.mark.parametrize(("margin", "stands"), [(0.0, False), (300.0, True)])
def test_standing_is_preferred_by_the_margin_given(walk: World, margin: float, stands: bool) -> None:
    first, now = walk.frames[0].numpy(), slide(walk, [2])[0].numpy()
    right = np.tile(np.float32([2.0, 0]), (*SIZE, 1))
    still = still_explains(first, now, right, RobustFlowOptions(still_margin=margin))[10:-10, 10:-12]
    assert still.all() if stands else still.mean() < 0.02  # flat spots may stand


def test_smoothing_keeps_even_flow_and_mends_what_does_not_return(walk: World) -> None:
    frame = walk.frames[0].numpy()
    even = np.tile(np.float32([3.0, -1.0]), (*SIZE, 1))
    none = np.zeros(SIZE, np.float32)
    np.testing.assert_allclose(smooth_flow(frame, even, none, RobustFlowOptions()), even, atol=1e-4)  # float32 solves
    torn, error = even.copy(), none.copy()
    torn[20:23, 30:33], error[20:23, 30:33] = 40.0, 20.0
    mended = smooth_flow(frame, torn, error, RobustFlowOptions(smooth_px=8.0, edge=10.0))
    assert np.abs(mended[21, 31] - even[21, 31]).max() < 0.1 * np.abs(torn[21, 31] - even[21, 31]).max()
    assert smooth_flow(frame, torn, error, RobustFlowOptions(smooth_px=0.0)) is torn


def test_clips_are_not_written_to_and_answers_repeat(moving: World) -> None:
    frames = moving.frames.clone()
    clip = ClipFlows(frames)
    before = [g.copy() for g in clip.grays]
    first, second = (robust_flow(clip) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert torch.equal(frames, moving.frames)
    assert all(np.array_equal(a, b) for a, b in zip(clip.grays, before, strict=True))


def test_a_cut_and_black_frames_stay_finite(walk: World) -> None:
    frames = torch.stack([walk.frames[0], torch.zeros(*SIZE, 3), walk.frames[4].flip(0, 1)])
    flows, errors = robust_flow(ClipFlows(frames))
    assert np.isfinite(flows).all() and np.isfinite(errors).all()


def test_progress_and_stopping(moving: World) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, preview: object = None) -> None:
        seen.append((done, total))
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        robust_flow(moving.clip, on_step=note)
    assert seen == [(1, 3), (2, 3)]
