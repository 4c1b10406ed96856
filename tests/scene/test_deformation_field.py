"""The deformation field: identity where it must be, linear in time, and solved from tracks in closed form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.scene.deformation_field import (
    Deformation,
    DeformationSpec,
    TrackFitOptions,
    ray_coordinates,
    solve_from_tracks,
)

SPEC = DeformationSpec(features=12, frequencies=(1.0, 4.0), knots=3, extent=0.5)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int = 50, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, generator=rng(seed)) + torch.tensor([-0.5, -0.5, 1.0])


def trained(seed: int = 2, spec: DeformationSpec = SPEC) -> Deformation:
    field = Deformation(spec, rng(seed))
    with torch.no_grad():
        field.out.copy_(torch.randn(field.out.shape, generator=rng(seed + 1)) * 0.1)
    return field


def test_a_new_field_is_the_identity_at_every_time() -> None:
    field = Deformation(SPEC, rng())
    for time in (0.0, 0.01, 1 / 3, 0.5, 0.99, 1.0):
        assert not field(points(), time).any()


def test_time_zero_does_not_move_whatever_was_learned() -> None:
    field = trained()
    assert field(points(), 1.0).abs().mean() > 0.01
    assert not field(points(), 0.0).any()
    adam = torch.optim.Adam(field.parameters(), lr=0.1)
    for _ in range(3):
        adam.zero_grad()
        (field(points(), 0.7) - 1).square().sum().backward()
        adam.step()
    assert not field(points(), 0.0).any()


@pytest.mark.parametrize(
    ("time", "weights"),
    [(0.0, [0, 0, 0]), (1 / 6, [0.5, 0, 0]), (1 / 3, [1, 0, 0]), (0.5, [0.5, 0.5, 0]), (1.0, [0, 0, 1])],
)
def test_knot_weights_by_hand(time: float, weights: list[float]) -> None:
    assert Deformation(SPEC, rng()).knot_weights(time).tolist() == pytest.approx(weights, abs=1e-6)


def test_motion_is_linear_between_knots() -> None:
    field, p = trained(), points()
    half = (field(p, 1 / 3) + field(p, 2 / 3)) / 2
    torch.testing.assert_close(field(p, 0.5), half, rtol=0, atol=1e-6)  # float32
    torch.testing.assert_close(field(p, 1 / 6), field(p, 1 / 3) / 2, rtol=0, atol=1e-6)


def test_the_field_is_a_slow_loop() -> None:
    field, p, time = trained().double(), points(7).double(), 0.4
    at = time * SPEC.knots
    expected = torch.zeros(7, 3, dtype=torch.float64)
    for n in range(7):
        x, y, z = p[n].tolist()
        unit = (
            torch.tensor(
                [x / z, y / z, SPEC.depth_gain * torch.tensor(z, dtype=torch.float64).log()], dtype=torch.float64
            )
            / SPEC.extent
        )
        for f in range(SPEC.features + 1):
            wave = torch.sin((unit * field.waves[:, f]).sum() + field.phases[f]) if f < SPEC.features else 1.0
            for k in range(SPEC.knots):
                hat = max(1 - abs(at - (k + 1)), 0)
                expected[n] += wave * hat * field.out[f, 3 * k : 3 * k + 3] * z * SPEC.extent
    torch.testing.assert_close(field(p, time), expected, rtol=0, atol=1e-12)  # float64


def test_gradients_are_finite_differences() -> None:
    field, p = trained().double(), points(4).double().requires_grad_()

    def outputs(where: torch.Tensor, waves: torch.Tensor, phases: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(field, {"waves": waves, "phases": phases, "out": out}, (where, 0.6))

    leaves = [x.detach().clone().requires_grad_() for x in (field.waves, field.phases, field.out)]
    assert torch.autograd.gradcheck(outputs, (p, *leaves))


def test_seeds_decide_the_waves() -> None:
    a, b, c = Deformation(SPEC, rng(1)), Deformation(SPEC, rng(1)), Deformation(SPEC, rng(2))
    assert torch.equal(a.waves, b.waves) and torch.equal(a.phases, b.phases)
    assert not torch.equal(a.waves, c.waves)


def test_ray_coordinates_by_hand() -> None:
    rays = ray_coordinates(torch.tensor([[1.0, -2.0, 4.0], [0.5, 0.0, 1.0]]), 0.05)
    assert rays[0].tolist() == pytest.approx([0.25, -0.5, 0.05 * 1.3862944], abs=1e-6)
    assert rays[1].tolist() == pytest.approx([0.5, 0.0, 0.0])


def test_points_behind_the_camera_stay_finite() -> None:
    assert trained()(torch.tensor([[0.0, 0, -1], [0, 0, 0]]), 0.5).isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": 0},
        {"knots": 0},
        {"extent": 0.0},
        {"depth_gain": 0.0},
        {"frequencies": (2.0, 1.0)},
        {"frequencies": (0.0, 1.0)},
    ],
)
def test_sizes_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="positive sizes, low before high"):
        DeformationSpec(**wrong)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"rounds": 0}, {"ridge": 0.0}, {"robust_px": 0.0}])
def test_track_fit_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected positive numbers"):
        TrackFitOptions(**wrong)


def measured(field: Deformation, p: torch.Tensor, times: int) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([field(p, t / (times - 1)) for t in range(times)])


def test_a_field_in_the_span_is_found_again() -> None:
    p, truth = points(400), trained(5)
    offsets, seen = measured(truth, p, 4), torch.ones(4, 400, dtype=torch.bool)
    field = Deformation(SPEC, rng(5))  # the same waves
    error = solve_from_tracks(field, p, offsets, seen, torch.full((400,), 100.0), TrackFitOptions(ridge=1e-9), rng())
    # normal equations in float32: half of its 7 digits are left
    assert error < 0.05
    torch.testing.assert_close(measured(field, p, 4), offsets, rtol=0, atol=1e-3)


def test_one_round_is_a_dense_ridge() -> None:
    p, ridge = points(200), 1e-2
    offsets = torch.cat([torch.zeros(1, 200, 3), torch.randn(3, 200, 3, generator=rng(8)) * 0.1])
    field = Deformation(SPEC, rng(5))
    solve_from_tracks(
        field,
        p,
        offsets,
        torch.ones(4, 200, dtype=torch.bool),
        torch.full((200,), 100.0),
        TrackFitOptions(ridge=ridge, rounds=1),
        rng(),
    )
    phi = field.encode(p).detach().double()
    knots = (offsets[1:] / field.reach(p)).permute(1, 0, 2).reshape(200, -1).double()  # 4 times, 3 knots: one each
    damped = torch.cat([phi, (ridge * 200) ** 0.5 * torch.eye(phi.shape[1], dtype=torch.float64)])
    right = torch.cat([knots, torch.zeros(phi.shape[1], knots.shape[1], dtype=torch.float64)])
    expected = torch.linalg.lstsq(damped, right).solution
    torch.testing.assert_close(field.out.detach().double(), expected, rtol=0, atol=1e-4)  # float32 sums of 200 terms


@pytest.mark.parametrize("times", [2, 3, 6])
def test_times_and_knots_may_differ(times: int) -> None:
    p, truth = points(300), trained(5)
    field = Deformation(SPEC, rng(5))
    seen = torch.ones(times, 300, dtype=torch.bool)
    offsets = measured(truth, p, times)
    solve_from_tracks(field, p, offsets, seen, torch.full((300,), 100.0), TrackFitOptions(ridge=1e-9), rng())
    torch.testing.assert_close(measured(field, p, times), offsets, rtol=0, atol=1e-3)  # float32 normal equations


def test_hidden_and_wrong_tracks_do_not_pull() -> None:
    p, truth = points(400), trained(5)
    offsets, seen = measured(truth, p, 4), torch.ones(4, 400, dtype=torch.bool)
    spoilt = offsets.clone()
    spoilt[2, :120], seen[2, :120] = 50.0, False  # hidden: whatever stands there
    spoilt[1:, 360:] += 0.5  # wrong, a tenth, 50 px
    field = Deformation(SPEC, rng(5))
    solve_from_tracks(field, p, spoilt, seen, torch.full((400,), 100.0), TrackFitOptions(ridge=1e-6, rounds=8), rng())
    error = (measured(field, p, 4) - offsets).norm(dim=-1) * 100
    # least squares would be off by a tenth of 50 px; each reweighting leaves a part of the rest
    assert float(error.median()) < 0.5


def test_the_answer_is_seeded_and_the_input_untouched() -> None:
    p, truth = points(400), trained(5)
    offsets, seen = measured(truth, p, 4), torch.ones(4, 400, dtype=torch.bool)
    before = p.clone(), offsets.clone(), seen.clone()
    fields = [Deformation(SPEC, rng(6)) for _ in range(3)]
    for field, seed in zip(fields, (0, 0, 1), strict=True):
        solve_from_tracks(field, p, offsets, seen, torch.ones(400), TrackFitOptions(samples=60), rng(seed))
    assert torch.equal(fields[0].out, fields[1].out) and not torch.equal(fields[0].out, fields[2].out)
    assert all(torch.equal(a, b) for a, b in zip(before, (p, offsets, seen), strict=True))
    assert torch.equal(fields[0].waves, Deformation(SPEC, rng(6)).waves)


def test_the_field_does_not_care_about_units() -> None:
    """A scene twice as large moves twice as far."""
    field = trained(spec=replace(SPEC, depth_gain=1e-9))  # the waves then see directions alone
    p = points()
    torch.testing.assert_close(field(2 * p, 0.8), 2 * field(p, 0.8), rtol=1e-4, atol=1e-6)
