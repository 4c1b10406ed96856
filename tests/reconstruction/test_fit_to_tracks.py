"""The deformation field determined by tracks in closed form: found again, robustly, and the ridge it says it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.reconstruction import fit_to_tracks as module
from fourreal_core.reconstruction.fit_to_tracks import ROBUST_PX, fit_to_tracks
from fourreal_core.reconstruction.scene_flow import SceneFlow
from fourreal_core.scene.deformation_field import DeformationField, DeformationSpec, random_field
from fourreal_core.scene.points_in_time import TimeOffsets

SPEC = DeformationSpec(features=12, frequencies=(1.0, 4.0), knots=3, extent=0.5)
PX = 100.0
"""Pixels that a world unit spans."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_field(seed: int) -> DeformationField:
    field = random_field(SPEC, rng(seed))
    return replace(field, weights=torch.randn(field.weights.shape, generator=rng(seed + 1)) * 0.1)


def displacements(field: DeformationField, points: torch.Tensor, times: int) -> torch.Tensor:
    offsets = TimeOffsets(torch.arange(len(points)), field.at_knots(points), times)
    return torch.stack([offsets.at(t) for t in range(times)])


def measured(field: DeformationField, count: int = 400, times: int = 4) -> SceneFlow:
    """Tracks that follow a field exactly."""
    points = torch.rand(count, 3, generator=rng(1)) + torch.tensor([-0.5, -0.5, 1.0])
    seen = torch.ones(times, count, dtype=torch.bool)
    moves = torch.full((count,), 5.0)
    return SceneFlow(
        points, displacements(field, points, times), seen, torch.zeros(count, 2), moves, torch.full((count,), PX)
    )


@pytest.mark.parametrize("times", [2, 3, 4, 6])
def test_a_field_in_the_span_is_found_again(times: int) -> None:
    flow = measured(some_field(5), times=times)
    found, error = fit_to_tracks(random_field(SPEC, rng(5)), flow, rng(), ridge=1e-9)  # the same features
    # normal equations in float32: half of its 7 digits are left
    assert error < 0.05
    torch.testing.assert_close(displacements(found, flow.points, times), flow.offsets, rtol=0, atol=1e-3)


def test_one_round_is_a_dense_ridge() -> None:
    ridge, flow = 1e-2, measured(some_field(5), 200)
    flow = replace(flow, offsets=torch.cat([torch.zeros(1, 200, 3), torch.randn(3, 200, 3, generator=rng(8)) * 0.1]))
    field = random_field(SPEC, rng(5))
    found, _ = fit_to_tracks(field, flow, rng(), ridge, rounds=1)
    phi = field.encode(flow.points).double()
    # 4 times, 3 knots: one each
    knots = (flow.offsets[1:] / field.reach(flow.points)).permute(1, 0, 2).reshape(200, -1).double()
    damped = torch.cat([phi, (ridge * 200) ** 0.5 * torch.eye(phi.shape[1], dtype=torch.float64)])
    right = torch.cat([knots, torch.zeros(phi.shape[1], knots.shape[1], dtype=torch.float64)])
    expected = torch.linalg.lstsq(damped, right).solution
    torch.testing.assert_close(found.weights.double(), expected, rtol=0, atol=1e-4)  # float32 sums of 200 terms


def test_a_second_round_weighs_by_the_errors_of_the_first() -> None:
    ridge, flow, field = 1e-2, measured(some_field(5), 200), random_field(SPEC, rng(5))
    flow = replace(flow, offsets=torch.cat([torch.zeros(1, 200, 3), torch.randn(3, 200, 3, generator=rng(8)) * 0.005]))
    first, _ = fit_to_tracks(field, flow, rng(), ridge, rounds=1)
    second, _ = fit_to_tracks(field, flow, rng(), ridge, rounds=2)
    error = (displacements(first, flow.points, 4) - flow.offsets)[1:].norm(dim=-1).mean(0) * PX
    weight = (1 / (error + ROBUST_PX)).double()
    phi = field.encode(flow.points).double()
    knots = (flow.offsets[1:] / field.reach(flow.points)).permute(1, 0, 2).reshape(200, -1).double()
    gram = (phi.T * weight) @ phi + ridge * weight.sum() * torch.eye(phi.shape[1], dtype=torch.float64)
    expected = torch.linalg.solve(gram, (phi.T * weight) @ knots)
    torch.testing.assert_close(second.weights.double(), expected, rtol=0, atol=1e-4)  # float32 sums of 200 terms
    assert float((second.weights - first.weights).abs().max()) > 2e-4


def test_the_error_is_the_mean_distance_to_seen_displacements() -> None:
    flow = measured(some_field(5), 200)
    offsets = torch.cat([torch.zeros(1, 200, 3), torch.randn(3, 200, 3, generator=rng(8)) * 0.1])
    flow = replace(flow, offsets=offsets, visible=torch.rand(4, 200, generator=rng(9)) < 0.7)
    found, error = fit_to_tracks(random_field(SPEC, rng(5)), flow, rng(), rounds=1)
    distance, seen = (displacements(found, flow.points, 4) - offsets)[1:].norm(dim=-1) * PX, flow.visible[1:]
    each = [float(distance[seen[:, n], n].mean()) if bool(seen[:, n].any()) else 0.0 for n in range(200)]
    assert error == pytest.approx(sum(each) / 200, rel=1e-3)


def test_wrong_tracks_are_outvoted() -> None:
    flow = measured(some_field(5))
    spoilt = flow.offsets.clone()
    spoilt[1:, 360:] += 0.5  # a tenth, 50 px off
    field = random_field(SPEC, rng(5))
    found, _ = fit_to_tracks(field, replace(flow, offsets=spoilt), rng(), ridge=1e-6, rounds=8)
    error = (displacements(found, flow.points, 4) - flow.offsets).norm(dim=-1) * PX
    # least squares would be off by a tenth of 50 px; each reweighting leaves a part of the rest
    assert float(error.median()) < 0.5


def mean_error(found: DeformationField, flow: SceneFlow, true: torch.Tensor) -> list[float]:
    """Mean error in pixels at every time."""
    return ((displacements(found, flow.points, len(true)) - true).norm(dim=-1) * PX).mean(1).tolist()


def test_tracks_are_drawn_to_the_field_where_they_were_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the tracks stay where they were lost after the first step; the field moves on."""
    flow = measured(some_field(5))
    lost, hidden = flow.offsets.clone(), torch.zeros_like(flow.visible)
    lost[2:, ::2], hidden[2:, ::2] = lost[1, ::2], True
    spoilt = replace(flow, offsets=lost, visible=~hidden)
    drawn, _ = fit_to_tracks(random_field(SPEC, rng(5)), spoilt, rng())
    monkeypatch.setattr(module, "UNSURE", 1.0)
    believed, _ = fit_to_tracks(random_field(SPEC, rng(5)), spoilt, rng())
    error, without = mean_error(drawn, flow, flow.offsets), mean_error(believed, flow, flow.offsets)
    assert error[3] < 0.75 * without[3] and error[2] < 0.75 * without[2]
    assert error[1] < 1.5  # where they were seen they are followed


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_track_that_was_seldom_seen_counts_less_as_a_whole(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Two halves of the tracks contradict each other everywhere; the half that was always seen weighs more."""
    monkeypatch.setattr(module, "ROBUST_PX", 1e6)  # so that no track is outvoted
    flow = measured(some_field(5))
    offsets, visible = flow.offsets.clone(), flow.visible.clone()
    offsets[1:, ::2, 0] += 0.05
    visible[1:3, ::2] = False
    once = replace(flow, offsets=offsets, visible=visible)
    found, _ = fit_to_tracks(random_field(SPEC, rng(5)), once, rng(), ridge=1e-6, rounds=rounds)
    # of 5 px between them a plain mean would be 2.5 off; three shares in ten, twice of three times: 1.6 at the last
    assert 1.2 < mean_error(found, flow, flow.offsets)[3] < 2.0


def test_the_penalty_grows_with_the_data_not_with_its_units() -> None:
    flow = measured(some_field(5), 200)
    twice = flow.select(torch.arange(200).repeat(2))
    a, b = (fit_to_tracks(random_field(SPEC, rng(5)), f, rng(), ridge=0.3, rounds=1)[0] for f in (flow, twice))
    torch.testing.assert_close(a.weights, b.weights, rtol=0, atol=1e-5)  # float32 sums
    assert float(a.weights.norm()) < 0.9 * float(some_field(5).weights.norm())


def test_the_answer_is_seeded_and_the_input_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES", 60)
    flow, field = measured(some_field(5)), random_field(SPEC, rng(6))
    before = flow.points.clone(), flow.offsets.clone(), flow.visible.clone(), field.weights.clone()
    found = [fit_to_tracks(field, flow, rng(seed))[0] for seed in (0, 0, 1)]
    assert torch.equal(found[0].weights, found[1].weights) and not torch.equal(found[0].weights, found[2].weights)
    after = flow.points, flow.offsets, flow.visible, field.weights
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(found[0].frequencies, field.frequencies) and torch.equal(found[0].phases, field.phases)


def test_what_was_not_seen_makes_no_track_wrong() -> None:
    """Most tracks are right but for one time at which they were lost far away; the others are 3 px off everywhere."""
    flow = measured(some_field(5))
    offsets, visible = flow.offsets.clone(), flow.visible.clone()
    most = torch.arange(400) % 5 < 3
    offsets[2, most], visible[2, most] = 5.0, False
    offsets[1:, ~most, 0] += 0.03
    spoilt = replace(flow, offsets=offsets, visible=visible)
    found, _ = fit_to_tracks(random_field(SPEC, rng(5)), spoilt, rng(), ridge=1e-6)
    assert mean_error(found, flow, flow.offsets)[3] < 1.0
