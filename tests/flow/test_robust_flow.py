"""Flow over a whole clip: the candidate that explains the picture wins, and what is static gets no flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.flow.flow_field import Flow, Gray
from fourreal_core.flow.robust_flow import (
    appearance_error,
    candidate_cost,
    choose_flow,
    robust_flow,
    smooth_flow,
    zero_flow_explains,
)

from ..cancelling import Cancelled
from ..geometry.worlds import SIZE, World


def slide(world: World, shifts: list[int]) -> torch.Tensor:
    """The first frame moved to the right by whole pixels."""
    return torch.stack([torch.roll(world.frames[0], s, 1) for s in shifts])


def constant(x: float, y: float = 0.0) -> Flow:
    return np.tile(np.float32([x, y]), (*SIZE, 1))


def test_a_slide_is_measured_at_every_time(walk: World) -> None:
    flows, errors = robust_flow(ClipFlows(slide(walk, [0, 3, 6, 9])))
    assert flows.shape == (4, *SIZE, 2) and errors.shape == (4, *SIZE)
    assert not flows[0].any() and not errors[0].any()
    for t in range(1, 4):
        inner = flows[t, 12:-12, 20:-20].reshape(-1, 2)
        # whole pixels on good texture: dense inverse search is good to a tenth of one
        assert np.abs(np.median(inner, 0) - [3 * t, 0]).max() < 0.1
        assert np.median(errors[t, 12:-12, 20:-20]) < 0.2


class Short:
    """An engine that is exact up to 4 pixels, and lost beyond unless its start is within 4 pixels of the truth."""

    def __init__(self, places: dict[bytes, float]) -> None:
        self.places = places

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        move = self.places[b.tobytes()] - self.places[a.tobytes()]
        start = 0.0 if init is None else float(np.median(init[..., 0]))
        return constant(move if abs(move - start) <= 4 else 0.0)


def test_large_motion_is_reached_by_the_chain_forth_and_back(walk: World) -> None:
    """Every step is within the engine's reach, the whole way is not; the same holds for the chain of backward flows."""
    places = [0, 4, 8, 12]
    clip = ClipFlows(slide(walk, places))
    engine = Short({gray.tobytes(): float(x) for gray, x in zip(clip.grays, places, strict=True)})
    flows, errors = robust_flow(ClipFlows(clip.frames, engine))
    for t in range(1, 4):
        assert np.median(flows[t, 10:-10, 30:-30, 0]) == pytest.approx(places[t], abs=0.01)
        assert np.median(errors[t, 10:-10, 30:-30]) < 0.01


def test_a_pixel_that_does_not_return_follows_its_neighbours(walk: World) -> None:
    frames = slide(walk, [0, 3])
    first = ClipFlows(frames).grays[0].tobytes()

    def torn(a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        flow = constant(3 if a.tobytes() == first else -3)
        if a.tobytes() == first:
            flow[30, 60] = 30
        return flow

    flows, _ = robust_flow(ClipFlows(frames, torn))
    assert np.abs(flows[1, 30, 60] - [3, 0]).max() < 0.1 * 27


def test_what_is_static_has_exactly_no_flow(walk: World) -> None:
    noise = torch.rand(3, *SIZE, 3, generator=torch.Generator().manual_seed(0)) * 0.004  # half a grey level of 255
    flows, errors = robust_flow(ClipFlows((walk.frames[:1] + noise).clamp(0, 1)))
    assert not flows.any() and not errors.any()


def test_a_place_is_static_only_if_it_is_at_every_time(walk: World) -> None:
    flows, _ = robust_flow(ClipFlows(slide(walk, [0, 3, 0])))
    assert np.abs(np.median(flows[1, 12:-12, 20:-20].reshape(-1, 2), 0) - [3, 0]).max() < 0.1


def test_specks_in_what_moves_are_not_static(walk: World) -> None:
    """A patch of one colour looks the same wherever it moves; inside a moving surface it moves along."""
    frames = torch.stack([walk.frames[0]] * 2)
    frames[0, 30:44, 50:64] = 0.5
    clip = ClipFlows(torch.stack([frames[0], torch.roll(frames[0], 3, 1)]))
    flows, _ = robust_flow(clip)
    # its middle is static by its looks, over less than 5 x 5 pixels once the window has blurred its rim in
    static = zero_flow_explains(clip.pictures[0], clip.pictures[1], flows[1])[32:42, 52:62]
    assert static.any() and flows[1, 32:42, 52:62].any(-1).all()


def test_the_candidate_that_explains_the_picture_wins(walk: World) -> None:
    first, now = walk.frames[0].numpy(), slide(walk, [5])[0].numpy()
    right, wrong = constant(5), constant(-4)
    flow, error, most = choose_flow(first, now, [(wrong, -wrong), (right, -right)])
    inner = (slice(10, -10), slice(10, -15))
    assert most == 1
    assert (flow[inner] == [5.0, 0.0]).mean() > 0.98  # flat spots may take the other
    assert np.median(error[inner]) == 0


def test_a_flow_that_does_not_return_loses_to_one_that_does(walk: World) -> None:
    first, now = walk.frames[0].numpy(), slide(walk, [5])[0].numpy()
    right = constant(5)
    flow, error, most = choose_flow(first, now, [(right, -right + 3), (right, -right)])
    assert most == 1 and np.median(error) == 0 and np.median(flow[..., 0]) == 5


def test_cost_by_hand() -> None:
    """Two flat frames 0.1 apart: 25.5 grey levels, and 1.5 for each pixel of forward-backward error up to 20."""
    first, now = np.full((*SIZE, 3), 0.4, np.float32), np.full((*SIZE, 3), 0.5, np.float32)
    inner = (slice(30, 40), slice(50, 60))
    for back, expected in ((0.0, 25.5), (2.0, 28.5), (50.0, 55.5)):
        cost, returns = candidate_cost(first, now, constant(0), constant(back))
        np.testing.assert_allclose(cost[inner], expected, rtol=1e-4)
        np.testing.assert_allclose(returns[inner], min(back, 20.0))


def test_differences_are_averaged_over_a_window() -> None:
    """One pixel that differs by 1 spreads as a Gaussian: 1 / (2 pi sigma^2) at its own place."""
    a, b = np.zeros((41, 41, 3), np.float32), np.zeros((41, 41, 3), np.float32)
    b[20, 20] = 1.0
    for sigma in (2.0, 3.0):
        error = appearance_error(a, b, np.zeros((41, 41, 2), np.float32), sigma)
        assert error[20, 20] == pytest.approx(1 / (2 * np.pi * sigma**2), rel=0.02)  # the window is cut and sampled
        assert error.sum() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("moving", "static", "explains"), [(0, 0.9, True), (0, 1.2, False), (10, 11.8, True), (10, 12.2, False)]
)
def test_zero_flow_explains_up_to_a_tenth_and_a_grey_level_more(moving: float, static: float, explains: bool) -> None:
    """A ramp that slides by 5 pixels and brightens: so many grey levels off under its flow, and under none."""
    ramp = np.arange(SIZE[1], dtype=np.float32) * (static - moving) / 5 / 255
    first = np.tile(0.5 - ramp[None, :, None], (SIZE[0], 1, 3))
    now = np.tile(0.5 - (ramp - 5 * ramp[1])[None, :, None] + np.float32(moving / 255), (SIZE[0], 1, 3))
    found = zero_flow_explains(first, now, constant(5))[10:-10, 15:-20]
    assert found.all() if explains else not found.any()


def test_smoothing_keeps_even_flow_and_mends_what_does_not_return(walk: World) -> None:
    frame = walk.frames[0].numpy()
    even, none = constant(3, -1), np.zeros(SIZE, np.float32)
    np.testing.assert_allclose(smooth_flow(frame, even, none), even, atol=1e-4)  # float32 solves
    flat = np.full_like(frame, 0.5)
    torn, error = even.copy(), none.copy()
    torn[21, 31], error[21, 31] = 40.0, 20.0
    mended, trusted = smooth_flow(flat, torn, error), smooth_flow(flat, torn, none)
    off = [np.abs(flow[21, 31] - even[21, 31]).max() for flow in (torn, trusted, mended)]
    # an error of 20 px leaves it a weight of 1 / 11 against its neighbours, which are 9 square pixels of reach
    assert off[1] < 0.5 * off[0] and off[2] < 0.2 * off[1]
    edged = flat.copy()
    edged[:, 31] = 0.9  # a region of its own
    beside = [np.abs(smooth_flow(guide, torn, none)[21, 32] - even[21, 32]).max() for guide in (flat, edged)]
    assert beside[0] > 0.02 * off[0] > 100 * beside[1]


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
