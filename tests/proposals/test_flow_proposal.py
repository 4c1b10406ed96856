"""Proposals by flow alone: what they look at, motion carried to where a view sees it, flows turned around."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_field import identity_map, invert_flow, warp
from fourreal_core.proposals.flow_proposal import (
    PICTURES,
    PROPOSERS,
    SettlingOptions,
    as_given,
    flow_proposals,
    flows_of_first,
    settled_proposals,
    witnessed_proposals,
)


class KnownFlow:
    """Flow of a clip whose frames all move by whole pixels, read from the brightness of their first pixel."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        steps = round((float(b[0, 0]) - float(a[0, 0])) / 10)
        flow = np.zeros((*a.shape, 2), np.float32)
        flow[..., 0] = self.shift * steps
        return flow


def test_turning_a_flow_around_leads_back() -> None:
    at = identity_map((24, 32))
    flow = np.stack([3 + 2 * np.sin(at[..., 1] / 5), np.cos(at[..., 0] / 6)], -1).astype(np.float32)
    back = invert_flow(flow)
    away = back + warp(flow, back)
    # the flow's slope is at most 0.4, so six steps leave 0.4**6 of at most 5 pixels; borders repeat and don't count
    assert np.abs(away[6:-6, 8:-8]).max() < 5 * 0.4**6 + 1e-3


def test_a_shift_is_carried_over_by_hand() -> None:
    rng = torch.Generator().manual_seed(0)
    wide = torch.rand(1, 20, 60, 3, generator=rng)
    freeze = torch.stack([wide[0, :, 20:40], wide[0, :, 18:38]])  # the second view sees all 2 pixels farther right
    fixed = torch.stack([wide[0, :, 20:40], wide[0, :, 17:37]])  # in time all moves 3 pixels to the right
    for clip in (freeze, fixed):
        clip[:, 0, 0] = torch.tensor([0.0, 10 / 255])[:, None]
    engines = {2: KnownFlow(2.0), 3: KnownFlow(3.0)}

    def engine(a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        return engines[2 if any(np.array_equal(x, y) for x in (a, b) for y in grays[1:2]) else 3](a, b, init)

    from fourreal_core.flow.flow_field import to_gray

    grays = to_gray(freeze)
    made = flow_proposals(freeze, fixed, engine)
    truth = wide[0, :, 15:35]
    for proposal in made:  # by shifts of whole pixels, away from the left border that comes in
        torch.testing.assert_close(proposal[1, 1, 1:, 6:], truth[1:, 6:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", sorted(PROPOSERS))
def test_given_cells_are_as_given(count: int) -> None:
    rng = torch.Generator().manual_seed(1)
    freeze, fixed = torch.rand(3, 24, 32, 3, generator=rng), torch.rand(2, 24, 32, 3, generator=rng)
    fixed[0] = freeze[0]
    made = PROPOSERS[count](freeze, fixed)
    assert made.shape == (count, 3, 2, 24, 32, 3)
    assert made.isfinite().all() and made.min() >= 0 and made.max() <= 1
    for proposal in made[: PICTURES[count]]:
        assert torch.equal(proposal[:, 0], freeze) and torch.equal(proposal[0], fixed)


def test_enlarged_flow_is_in_the_pixels_of_the_clip() -> None:
    import cv2

    rng = np.random.default_rng(2)
    wide = cv2.GaussianBlur(rng.random((40, 80, 3), np.float32), (0, 0), 1.5)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    clip = torch.from_numpy(np.stack([wide[:, 20:60], wide[:, 18:58]]))
    from fourreal_core.flow.flow_field import DisFlow

    for enlarge in (1, 2):
        forth, back = flows_of_first(clip, DisFlow(), enlarge)
        assert forth.shape == back.shape == (2, 40, 40, 2) and not forth[0].any()
        # DIS is good to a tenth of a pixel here; the border comes in
        assert np.median(forth[1, 5:-5, 5:-5], (0, 1)) == pytest.approx([2, 0], abs=0.2)
        assert np.median(back[1, 5:-5, 5:-5], (0, 1)) == pytest.approx([-2, 0], abs=0.2)


@pytest.mark.parametrize("propose", [flow_proposals, settled_proposals])
def test_clips_of_different_sizes_are_refused(propose) -> None:
    with pytest.raises(InputError, match="resize one of them"):
        propose(torch.zeros(2, 16, 16, 3), torch.zeros(2, 16, 24, 3))


def _walk(dx: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A disc that walks over a textured ground: both clips and the missing cell (1, 1), seen 2 pixels farther left."""
    import cv2

    noise = np.random.default_rng(5).random((32, 60, 3), np.float32)
    ground = cv2.GaussianBlur(noise, (0, 0), 1.0)
    ground = (ground - ground.min()) / (ground.max() - ground.min())
    disc = cv2.GaussianBlur(np.random.default_rng(6).random((32, 60, 3), np.float32), (0, 0), 0.8)
    ys, xs = np.mgrid[:32, :60]

    def cell(view: int, time: int) -> torch.Tensor:
        mask = ((xs - 24 - dx * time) ** 2 + (ys - 16) ** 2 < 49)[..., None]
        picture = np.where(mask, 1 - np.roll(disc, dx * time, 1), 0.4 * ground)
        return torch.from_numpy(picture[:, 2 * view : 2 * view + 48].astype(np.float32))

    return torch.stack([cell(0, 0), cell(1, 0)]), torch.stack([cell(0, 0), cell(0, 1)]), cell(1, 1)


def test_what_the_other_clip_bears_out_is_nearer_to_the_truth() -> None:
    freeze, fixed, truth = _walk(5)
    plain, settled = flow_proposals(freeze, fixed), settled_proposals(freeze, fixed)

    def error(picture: torch.Tensor) -> float:
        return float(((picture - truth)[4:-4, 4:-4] ** 2).mean())

    assert error(settled[1, 1, 1]) < error(plain[0, 1, 1])  # moved in time
    # a shift is seen from the view exactly; the blend has to find out that it is
    assert error(settled[0, 1, 1]) < 0.1 * error(plain[0, 1, 1])


def test_a_blend_lies_between_its_parts() -> None:
    freeze, fixed, _ = _walk(3)
    blend, moved, seen = settled_proposals(freeze, fixed)[:, 1, 1]
    low, high = torch.minimum(moved, seen), torch.maximum(moved, seen)
    assert (blend >= low - 1e-6).all() and (blend <= high + 1e-6).all()  # float32


def test_settling_by_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="defaults"):
        SettlingOptions(doubt_gray=0)


def test_the_map_of_doubts_says_where_a_proposal_is_wrong() -> None:
    freeze, fixed, truth = _walk(5)
    made = witnessed_proposals(freeze, fixed)
    assert torch.equal(made[:3], settled_proposals(freeze, fixed))
    assert not made[3, 0].any() and not made[3, :, 0].any()  # given cells are beyond doubt
    doubt, wrong = made[3, 1, 1, 4:-4, 4:-4, 0], (made[1, 1, 1] - truth).abs().mean(-1)[4:-4, 4:-4]
    worst = doubt > doubt.quantile(0.9)
    assert wrong[worst].mean() > 2 * wrong[~worst].mean()  # without a relation both would be alike


def test_maps_are_zero_and_pictures_are_the_frames_where_cells_are_known() -> None:
    rng = torch.Generator().manual_seed(3)
    frames, proposals = torch.rand(2, 2, 4, 4, 3, generator=rng), torch.rand(4, 2, 2, 4, 4, 3, generator=rng)
    known = torch.tensor([[True, False], [False, True]])
    shown = as_given(proposals, frames, known)
    assert torch.equal(shown[:, ~known], proposals[:, ~known])
    assert not shown[3][known].any()
    for k in range(3):
        assert torch.equal(shown[k][known], frames[known])
