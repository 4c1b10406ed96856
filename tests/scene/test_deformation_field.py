"""The deformation field: identity where it must be, linear in time, and the sum that it says it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.scene import deformation_field
from fourreal_core.scene.deformation_field import (
    DeformationField,
    DeformationSpec,
    knot_weights,
    random_field,
    ray_coordinates,
    read_out,
)
from fourreal_core.scene.points_in_time import TimeOffsets

SPEC = DeformationSpec(features=12, frequencies=(1.0, 4.0), knots=3, centre=(0.1, -0.05, 0.02), extent=0.5)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int = 50, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, generator=rng(seed)) + torch.tensor([-0.5, -0.5, 1.0])


def trained(seed: int = 2, spec: DeformationSpec = SPEC) -> DeformationField:
    field = random_field(spec, rng(seed))
    return replace(field, weights=torch.randn(field.weights.shape, generator=rng(seed + 1)) * 0.1)


def double(field: DeformationField) -> DeformationField:
    return replace(field, **{name: getattr(field, name).double() for name in ("frequencies", "phases", "weights")})


def test_a_new_field_is_the_identity_at_every_knot() -> None:
    assert not any(offsets.any() for offsets in random_field(SPEC, rng()).at_knots(points()))


@pytest.mark.parametrize(
    ("position", "weights"),
    [(0.0, []), (1 / 6, [(0, 0.5)]), (1 / 3, [(0, 1)]), (0.5, [(0, 0.5), (1, 0.5)]), (1.0, [(2, 1)])],
)
def test_knot_weights_by_hand(position: float, weights: list[tuple[int, float]]) -> None:
    found = knot_weights(3, position)
    assert [k for k, _ in found] == [k for k, _ in weights]
    assert [w for _, w in found] == pytest.approx([w for _, w in weights], abs=1e-6)  # float32


@pytest.mark.parametrize("times", [2, 8, 25])
def test_a_time_step_with_a_knot_of_its_own_takes_it_alone(times: int) -> None:
    for t in range(1, times):
        assert knot_weights(times - 1, t / (times - 1)) == [(t - 1, 1.0)]


def test_motion_is_linear_between_knots() -> None:
    knots = trained().at_knots(points())
    offsets = TimeOffsets(torch.arange(50), knots, 4)
    torch.testing.assert_close(offsets.at(1.5), (knots[0] + knots[1]) / 2, rtol=0, atol=1e-6)  # float32
    torch.testing.assert_close(offsets.at(0.5), knots[0] / 2, rtol=0, atol=1e-6)


def test_the_field_is_a_slow_loop() -> None:
    field, p = double(trained()), points(7).double()
    expected = torch.zeros(SPEC.knots, 7, 3, dtype=torch.float64)
    for n in range(7):
        x, y, z = p[n]
        unit = torch.stack([x / z - 0.1, y / z + 0.05, SPEC.depth_gain * z.log() - 0.02]) / SPEC.extent
        for f in range(SPEC.features + 1):
            feature = torch.sin((unit * field.frequencies[:, f]).sum() + field.phases[f]) if f < SPEC.features else 1.0
            for k in range(SPEC.knots):
                expected[k, n] += feature * field.weights[f, 3 * k : 3 * k + 3] * z * SPEC.extent
    found = torch.stack(field.at_knots(p))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)  # the centre is float32 in the specification


def test_gradients_are_finite_differences() -> None:
    field, p = double(trained()), points(4).double()
    features, reach = field.encode(p).T, field.reach(p)

    def outputs(weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(read_out(features, weights, reach))

    assert torch.autograd.gradcheck(outputs, field.weights.requires_grad_())


def test_seeds_decide_the_features() -> None:
    a, b, c = random_field(SPEC, rng(1)), random_field(SPEC, rng(1)), random_field(SPEC, rng(2))
    assert torch.equal(a.frequencies, b.frequencies) and torch.equal(a.phases, b.phases)
    assert not torch.equal(a.frequencies, c.frequencies)


def test_frequencies_span_the_range_that_was_asked_for() -> None:
    field = random_field(DeformationSpec(features=4000, frequencies=(2.0, 32.0)), rng(3))
    lowest, highest = (field.frequencies[:, part].square().mean().sqrt() for part in (slice(400), slice(-400, None)))
    assert float(lowest) == pytest.approx(2.31, rel=0.05)  # a tenth of the octaves: 2 to 2 * 16 ^ 0.1 = 2.64
    assert float(highest) == pytest.approx(27.8, rel=0.05)
    assert float(field.phases.min()) >= 0 and 6 < float(field.phases.max()) < 2 * torch.pi


def test_ray_coordinates_by_hand() -> None:
    rays = ray_coordinates(torch.tensor([[1.0, -2.0, 4.0], [0.5, 0.0, 1.0]]), 0.05)
    assert rays[0].tolist() == pytest.approx([0.25, -0.5, 0.05 * 1.3862944], abs=1e-6)
    assert rays[1].tolist() == pytest.approx([0.5, 0.0, 0.0])


def test_points_behind_the_camera_stay_finite() -> None:
    behind = torch.tensor([[0.0, 0, -1], [0, 0, 0]])
    assert all(offsets.isfinite().all() and offsets.abs().max() < 1 for offsets in trained().at_knots(behind))


def test_the_field_does_not_depend_on_units() -> None:
    """A scene twice as large moves twice as far."""
    field = trained(spec=replace(SPEC, depth_gain=1e-9))  # the features then see directions alone
    p = points()
    for large, small in zip(field.at_knots(2 * p), field.at_knots(p), strict=True):
        torch.testing.assert_close(large, 2 * small, rtol=1e-4, atol=1e-6)


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


@pytest.mark.parametrize("name", ["frequencies", "phases", "weights"])
def test_tensors_fit_the_sizes(name: str) -> None:
    with pytest.raises(InputError, match="a deformation of shapes"):
        replace(trained(), **{name: torch.zeros(2, 5)})


def test_many_points_are_encoded_a_part_at_a_time_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(5)
    spec = DeformationSpec(64, knots=3)
    field = random_field(spec, rng)
    field = replace(field, weights=torch.randn(65, 9, generator=rng))
    points = torch.rand(1001, 3, generator=rng) + torch.tensor([0.0, 0.0, 1.0])
    at_knots, features = field.at_knots(points), field.features(points)
    sizes: list[int] = []
    encode = DeformationField.encode
    monkeypatch.setattr(deformation_field, "AT_ONCE", 100)
    monkeypatch.setattr(DeformationField, "encode", lambda self, x: sizes.append(len(x)) or encode(self, x))
    assert torch.equal(features, encode(field, points).T) and torch.equal(field.features(points), features)
    for knot, whole in zip(field.at_knots(points), at_knots, strict=True):
        torch.testing.assert_close(knot, whole, rtol=0, atol=1e-6)
    assert min(sizes) >= 100 and max(sizes) < 200 and sum(sizes) == 2 * 1001
    assert [len(x) for x in field.at_knots(points[:0])] == [0, 0, 0]
