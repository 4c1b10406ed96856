"""Velocity-matching steps against closed forms and slow loops; held cells; schedules."""

from __future__ import annotations

import math

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.sampling.known_cells import KnownCells, check_completable
from fourreal_core.sampling.rectified_flow import (
    SamplingOptions,
    draw_noise,
    integrate,
    schedule,
    shifted,
    start_latents,
)

from .tiny import rng, start


def free(shape: tuple[int, ...] = (2, 2, 3, 1, 2, 2)) -> KnownCells:
    return KnownCells(torch.zeros(shape[:3], dtype=torch.bool), torch.zeros(shape, dtype=torch.float64))


def test_schedules_by_hand() -> None:
    assert schedule(SamplingOptions(steps=4)).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert shifted(torch.tensor(0.5), 3.0).item() == pytest.approx(0.75)
    # shift 3: 3 s / (1 + 2 s) of 1, 0.5, 0
    assert schedule(SamplingOptions(steps=2, shift=3.0)).tolist() == pytest.approx([1, 0.75, 0])


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 7.0])
@pytest.mark.parametrize("begin", [1.0, 0.6, 0.1])
def test_a_schedule_falls_from_its_start_to_zero(shift: float, begin: float) -> None:
    levels = schedule(SamplingOptions(steps=7, shift=shift, start=begin))
    assert levels[0] == begin and levels[-1] == 0 and len(levels) == 8
    assert bool((levels[1:] < levels[:-1]).all())


def test_a_straight_flow_is_followed_exactly_in_one_step() -> None:
    clean, noise = torch.randn(2, *free().latents.shape, generator=rng(), dtype=torch.float64)
    out = integrate(lambda x, s: noise - clean, noise, schedule(SamplingOptions(steps=1)), free())
    torch.testing.assert_close(out, clean, rtol=0, atol=1e-14)  # rounding of float64


def test_halving_the_step_halves_the_error() -> None:
    # dx/ds = x has x(0) = x(1) / e, and Euler's method is of first order
    begin = torch.ones_like(free().latents)
    errors = []
    for steps in (16, 32):
        out = integrate(lambda x, s: x, begin, schedule(SamplingOptions(steps=steps)), free())
        errors.append(float((out - math.exp(-1)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)


def test_integration_is_the_slow_loop() -> None:
    levels = schedule(SamplingOptions(steps=5, shift=2.0))
    begin = torch.randn(free().latents.shape, generator=rng(), dtype=torch.float64)

    def velocity(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return torch.sin(3 * x) + s[..., None, None, None]

    out = integrate(velocity, begin, levels, free())
    expected = []
    for x in begin.flatten().tolist():
        for level, after in zip(levels.tolist(), levels.tolist()[1:], strict=False):
            x += (after - level) * (math.sin(3 * x) + level)
        expected.append(x)
    # the model gets its level in float32
    torch.testing.assert_close(out.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


def test_known_cells_are_exact_after_every_step_and_at_level_zero() -> None:
    known, seen = start(3, 4, batch=2), []

    def velocity(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        seen.append((x, s))
        return torch.ones_like(x)

    noise = torch.randn(known.latents.shape, generator=rng())
    out = integrate(velocity, noise, schedule(SamplingOptions(steps=3)), known)
    assert len(seen) == 3
    for x, s in [*seen, (out, torch.zeros(2, 3, 4))]:
        assert torch.equal(x[known.mask], known.latents[known.mask])
        assert not s[known.mask].any()
    for _, s in seen:
        assert len(set(s[~known.mask].tolist())) == 1 and bool((s[~known.mask] > 0).all())


def test_every_step_is_reported() -> None:
    reports: list[tuple[int, int]] = []
    steps = schedule(SamplingOptions(steps=3))
    integrate(
        lambda x, s: x, free().latents, steps, free(), lambda done, total, preview=None: reports.append((done, total))
    )
    assert reports == [(1, 3), (2, 3), (3, 3)]


def test_an_exception_in_the_callback_stops_the_work() -> None:
    calls = []

    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        integrate(
            lambda x, s: calls.append(1) or x, free().latents, schedule(SamplingOptions(steps=5)), free(), on_step=stop
        )
    assert len(calls) == 1


def test_starting_from_a_proposal() -> None:
    noise, proposal = torch.randn(2, 1, 2, 2, 1, 2, 2, generator=rng())
    torch.testing.assert_close(start_latents(noise, 0.25, proposal), 0.75 * proposal + 0.25 * noise)
    assert start_latents(noise, 1.0, proposal) is noise
    with pytest.raises(InputError, match="start at level 1"):
        start_latents(noise, 0.5, None)
    with pytest.raises(InputError, match="encode it like the grid"):
        start_latents(noise, 0.5, proposal[:, :1])


def test_a_seed_means_the_same_in_every_type() -> None:
    one = draw_noise((2, 3), rng(4))
    assert torch.equal(draw_noise((2, 3), rng(4), torch.zeros(1, dtype=torch.bfloat16)), one.bfloat16())
    assert not torch.equal(draw_noise((2, 3), rng(5)), one)


def test_a_model_that_breaks_is_reported() -> None:
    with pytest.raises(InputError, match="after step 2 of 3"):
        integrate(
            lambda x, s: x / (s[..., None, None, None] - s.max() + (s.max() > 0.9)),
            free().latents + 1,
            schedule(SamplingOptions(steps=3)),
            free(),
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0},
        {"shift": 0.0},
        {"start": 0.0},
        {"start": 1.5},
        {"shift": math.nan},
    ],
)
def test_impossible_options_are_refused(fields: dict) -> None:
    with pytest.raises(InputError, match="choose"):
        SamplingOptions(**fields)


@pytest.mark.parametrize(
    ("shape", "fill", "message"),
    [
        ((3, 4), "start", "one entry a cell"),
        ((1, 1, 3, 4), "start", "one entry a cell"),
        ((1, 1, 4), "start", "a grid of 1 view; .* freeze-time clip"),
        ((1, 4, 1), "start", "a grid of 1 time; .* fixed-view"),
        ((2, 3, 4), "all", "every cell is known; .* larger grid"),
        ((2, 3, 4), "none", "no cell is known; .* connect"),
    ],
)
def test_grids_that_cannot_be_completed_are_refused(shape: tuple[int, ...], fill: str, message: str) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    if fill == "start":
        mask[..., 0, :] = mask[..., :, 0] = True
    elif fill == "all":
        mask[0] = True
    with pytest.raises(InputError, match=message):
        check_completable(mask)


def test_known_cells_that_do_not_fit_are_refused() -> None:
    latents = torch.zeros(1, 2, 3, 1, 2, 2)
    for mask in (torch.zeros(2, 3, dtype=torch.bool), torch.zeros(1, 3, 2, dtype=torch.bool), torch.zeros(1, 2, 3)):
        with pytest.raises(InputError, match="build both from the same grid"):
            KnownCells(mask, latents)
    mask = torch.ones(1, 2, 3, dtype=torch.bool)
    with pytest.raises(InputError, match="NaN"):
        KnownCells(mask, latents / 0)
    KnownCells(~mask, latents / 0)  # what isn't known doesn't count
