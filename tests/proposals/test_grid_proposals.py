"""Planes by flow alone: what they look at, motion carried to where a view sees it, errors in maps, names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_field import identity_map, invert_flow, warp
from fourreal_core.model.shown_planes import CHOICE, CHOICE_MAP
from fourreal_core.proposals.grid_proposals import (
    BLEND_DOUBT_GRAY,
    CANDIDATE_ERROR_GRAY,
    ERROR_GRAY,
    RETURN_PX,
    keep_known,
    propose_planes,
)
from fourreal_core.proposals.plane_names import (
    KNOWN_PLANES,
    PLANE_SETS,
    is_candidate,
    is_map,
    map_channels,
    map_name,
    planes_named,
    set_name,
)

FLOW, VERIFIED, RELIABILITY = (PLANE_SETS[name] for name in ("flow", "verified", "reliability"))
SETS = sorted(set(PLANE_SETS) - {"none", "chosen"})  # a choice is made by a network, not by flow


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
    made = propose_planes(FLOW, freeze, fixed, engine)
    truth = wide[0, :, 15:35]
    for proposal in made:  # by shifts of whole pixels, away from the left border that comes in
        torch.testing.assert_close(proposal[1, 1, 1:, 6:], truth[1:, 6:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SETS)
def test_given_cells_are_as_given(name: str) -> None:
    rng = torch.Generator().manual_seed(1)
    freeze, fixed = torch.rand(3, 24, 32, 3, generator=rng), torch.rand(2, 24, 32, 3, generator=rng)
    fixed[0] = freeze[0]
    names = PLANE_SETS[name]
    made = propose_planes(names, freeze, fixed)
    assert made.shape == (len(names), 3, 2, 24, 32, 3)
    assert made.isfinite().all() and made.min() >= 0 and made.max() <= 1
    for name, plane in zip(names, made, strict=True):
        if is_map(name):
            assert not plane[:, 0].any() and not plane[0].any()
        else:
            assert torch.equal(plane[:, 0], freeze) and torch.equal(plane[0], fixed)


def test_clips_of_different_sizes_and_strange_names_are_refused() -> None:
    with pytest.raises(InputError, match="resize one of them"):
        propose_planes(FLOW, torch.zeros(2, 16, 16, 3), torch.zeros(2, 16, 24, 3))
    for names in ((), ("blend", "from_view/guess")):
        with pytest.raises(InputError, match="names of planes"):
            propose_planes(names, torch.zeros(2, 16, 16, 3), torch.zeros(2, 16, 16, 3))


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


def test_what_the_other_clip_verifies_is_nearer_to_the_truth() -> None:
    freeze, fixed, truth = _walk(5)
    plain, verified = propose_planes(FLOW, freeze, fixed), propose_planes(VERIFIED, freeze, fixed)

    def error(picture: torch.Tensor) -> float:
        return float(((picture - truth)[4:-4, 4:-4] ** 2).mean())

    assert error(verified[1, 1, 1]) < error(plain[0, 1, 1])  # moved in time
    # a shift is seen from the view exactly; the blend has to find out that it is
    assert error(verified[0, 1, 1]) < 0.1 * error(plain[0, 1, 1])


def test_a_blend_is_by_the_errors_in_the_map() -> None:
    freeze, fixed, _ = _walk(3)
    blend, moved, seen, errors = propose_planes(RELIABILITY, freeze, fixed)[:, 1, 1]
    shares = (-errors[..., :2] * ERROR_GRAY / BLEND_DOUBT_GRAY).exp()
    inside = (errors[..., :2] < 1).all(-1)  # beyond that the map is cut off
    expected = (shares[..., :1] * moved + shares[..., 1:] * seen) / shares.sum(-1, keepdim=True)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(blend[inside], expected[inside], rtol=0, atol=1e-4)


def test_the_map_says_where_a_proposal_is_wrong() -> None:
    freeze, fixed, truth = _walk(5)
    made = propose_planes(RELIABILITY, freeze, fixed)
    error, wrong = made[3, 1, 1, 4:-4, 4:-4, 0], (made[1, 1, 1] - truth).abs().mean(-1)[4:-4, 4:-4]
    worst = error > error.quantile(0.9)
    assert wrong[worst].mean() > 2 * wrong[~worst].mean()  # without a relation both would be alike


def test_a_plane_does_not_depend_on_what_else_is_asked() -> None:
    freeze, fixed, _ = _walk(4)
    everything = propose_planes(PLANE_SETS["candidates"], freeze, fixed)
    for k, name in enumerate(PLANE_SETS["candidates"]):
        if k % 5 == 0 or name in RELIABILITY:
            assert torch.equal(propose_planes((name,), freeze, fixed)[0], everything[k]), name


def test_candidates_and_their_errors_by_hand() -> None:
    freeze, fixed, truth = _walk(5)
    names = ("from_view/static", map_name(["from_view/static.error", "from_view.return_error"]), "from_view/revealed")
    static, errors, revealed = propose_planes(names[:1] + PLANE_SETS["candidates"][24:25] + names[2:], freeze, fixed)[
        :, 1, 1
    ]
    assert torch.equal(static, freeze[1])  # nothing moves
    channels = map_channels(PLANE_SETS["candidates"][25])
    assert channels[0] == "from_view/static.error"
    plane = propose_planes(PLANE_SETS["candidates"][25:26], freeze, fixed)[0, 1, 1, ..., 0]
    changed = 255 * (fixed[1] - fixed[0]).abs().mean(-1) / CANDIDATE_ERROR_GRAY
    # where row 0 shows the point: 2 pixels farther right than view 1
    near = torch.roll(changed, -2, 1)[8:24, 8:36].clamp(0, 1)
    assert torch.corrcoef(torch.stack([plane[8:24, 8:36].flatten(), near.flatten()]))[0, 1] > 0.8
    # what row 0 shows now, brought to where the view sees it
    inner = (slice(8, 24), slice(8, 36))
    assert (revealed - truth)[inner].abs().mean() < 0.5 * (static - truth)[inner].abs().mean()
    assert errors.max() <= 1


def test_the_return_error_is_in_its_unit() -> None:
    rng = torch.Generator().manual_seed(1)
    freeze, fixed = torch.rand(2, 24, 32, 3, generator=rng), torch.rand(2, 24, 32, 3, generator=rng)
    fixed[0] = freeze[0]
    names = (RELIABILITY[3], *PLANE_SETS["candidates"][24:])
    made = propose_planes(names, freeze, fixed)[:, 1, 1]
    parts = []
    for k, name in enumerate(names[1:], 1):
        parts += [made[k, ..., c] for c, ch in enumerate(map_channels(name)) if ch.endswith(".return_error")]
    assert len(parts) == 2
    # 16 pixels there and 8 here count as 1
    mean = sum(parts) / 2 * 16 / RETURN_PX
    inside = (mean < 0.9) & (torch.stack(parts) < 1).all(0)
    torch.testing.assert_close(made[0, ..., 2][inside], mean[inside], rtol=0, atol=1e-5)


def test_names_of_maps_and_sets() -> None:
    assert map_channels(map_name(["a", "b.error"])) == ["a", "b.error"] and map_channels("blend") == []
    assert is_map("map(a)") and not is_map("from_view/static")
    assert is_candidate("from_view/static") and not is_candidate("from_view") and not is_candidate("map(a/b.error)")
    for name, planes in PLANE_SETS.items():
        assert planes_named(name) == planes and set_name(planes) == name
        assert set(planes) <= KNOWN_PLANES | {CHOICE, CHOICE_MAP} and len(set(planes)) == len(planes)
    assert set_name(("blend",)) is None
    with pytest.raises(InputError, match="choose one of them"):
        planes_named("settled")


def test_maps_are_zero_and_pictures_are_the_frames_where_cells_are_known() -> None:
    rng = torch.Generator().manual_seed(3)
    frames, planes = torch.rand(2, 2, 4, 4, 3, generator=rng), torch.rand(4, 2, 2, 4, 4, 3, generator=rng)
    before = planes.clone()
    known = torch.tensor([[True, False], [False, True]])
    shown = keep_known(planes, RELIABILITY, frames, known)
    assert torch.equal(planes, before) and torch.equal(shown[:, ~known], planes[:, ~known])
    assert not shown[3][known].any()
    for k in range(3):
        assert torch.equal(shown[k][known], frames[known])
