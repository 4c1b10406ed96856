"""Two runs that meet after every layer, and the two ways a grid is laid out."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


@pytest.fixture
def lockstep(part: Part) -> ModuleType:
    return part("nodes.host_models.lockstep")


def swap(layer: int, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return second, first


def left_over(lockstep: ModuleType) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == lockstep.THREAD_NAME]


def test_each_run_goes_on_with_what_the_mix_gives_it(lockstep: ModuleType) -> None:
    seen: list[tuple[int, float, float]] = []

    def mix(layer: int, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append((layer, float(first), float(second)))
        return first + 10 * second, second + 10 * first

    steps = lockstep.LockStep(mix)

    def run(value: float) -> float:
        tokens = torch.tensor(value)
        for layer in range(3):
            tokens = steps.meet(layer, tokens + 1)
        return float(tokens)

    assert steps.run(lambda: run(0.0), lambda: run(1.0)) == (2493.0, 1764.0)
    assert seen == [(0, 1.0, 2.0), (1, 22.0, 13.0), (2, 153.0, 234.0)]
    assert not left_over(lockstep)


def test_never_more_than_one_of_them_runs(lockstep: ModuleType) -> None:
    steps, running, most = lockstep.LockStep(swap), [0], [0]

    def run() -> None:
        for layer in range(50):
            running[0] += 1
            most[0] = max(most[0], running[0])
            torch.rand(8).sum()
            running[0] -= 1
            steps.meet(layer, torch.zeros(1))

    steps.run(run, run)
    assert most[0] == 1


def test_runs_that_never_meet_run_one_after_the_other(lockstep: ModuleType) -> None:
    order: list[str] = []
    steps = lockstep.LockStep(swap)
    assert steps.run(lambda: order.append("first") or 1, lambda: order.append("second") or 2) == (1, 2)
    assert order == ["first", "second"] and not left_over(lockstep)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("layer", [0, 2])
def test_an_error_in_either_ends_both_and_is_raised(
    lockstep: ModuleType, failing: int, error: type[BaseException], layer: int
) -> None:
    steps, unwound = lockstep.LockStep(swap), []

    def run(lane: int) -> None:
        try:
            for index in range(3):
                if lane == failing and index == layer:
                    raise error(f"lane {lane}")
                try:
                    steps.meet(index, torch.zeros(1))
                except Exception:  # noqa: BLE001 - as a model might: its partner's end must not be swallowed
                    continue
        finally:
            unwound.append(lane)

    with pytest.raises(error, match=f"lane {failing}"):
        steps.run(lambda: run(0), lambda: run(1))
    assert sorted(unwound) == [0, 1] or unwound == [failing]  # the other may not have begun
    assert not left_over(lockstep)


def test_an_error_in_the_mix_is_raised(lockstep: ModuleType) -> None:
    def mix(layer: int, first: torch.Tensor, second: torch.Tensor) -> Any:
        raise RuntimeError("no memory left")

    steps = lockstep.LockStep(mix)
    with pytest.raises(RuntimeError, match="no memory left"):
        steps.run(lambda: steps.meet(0, torch.zeros(1)), lambda: steps.meet(0, torch.zeros(1)))
    assert not left_over(lockstep)


@pytest.mark.parametrize("layers", [(2, 3), (3, 2), (0, 1), (1, 0)])
def test_runs_of_different_layers_are_refused(lockstep: ModuleType, layers: tuple[int, int]) -> None:
    steps = lockstep.LockStep(swap)

    def run(count: int) -> None:
        for layer in range(count):
            steps.meet(layer, torch.zeros(1))

    with pytest.raises(ValueError, match="different layers of the model"):
        steps.run(lambda: run(layers[0]), lambda: run(layers[1]))
    assert not left_over(lockstep)


@pytest.mark.parametrize("inference", [True, False])
def test_the_second_run_has_the_callers_surroundings(lockstep: ModuleType, inference: bool) -> None:
    def here() -> tuple[Any, ...]:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled(), product.dtype, NAME.get()

    token = NAME.set("the caller")
    try:
        with torch.inference_mode(inference), torch.autocast("cpu", torch.bfloat16):
            first, second = lockstep.LockStep(swap).run(here, here)
    finally:
        NAME.reset(token)
    assert first == second == (inference, not inference, torch.bfloat16, "the caller")
    assert torch.is_grad_enabled() and NAME.get() == "nobody"


def test_surroundings_that_cannot_be_taken_over_end_both(lockstep: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Any) -> Any:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(lockstep.ThreadState, "entered", gone)
    steps = lockstep.LockStep(swap)
    with pytest.raises(RuntimeError, match="the device is gone"):
        steps.run(lambda: steps.meet(0, torch.zeros(1)), lambda: steps.meet(0, torch.zeros(1)))
    assert not left_over(lockstep)


def test_other_threads_belong_to_neither(lockstep: ModuleType) -> None:
    steps = lockstep.LockStep(swap)
    assert steps.run(steps.lane, steps.lane) == (0, 1)
    found: list[int | None] = []
    other = threading.Thread(target=lambda: found.append(steps.lane()))
    other.start()
    other.join()
    assert found == [None]


def test_rows_become_columns_and_back(part: Part) -> None:
    shape = part("nodes.host_models.batch_layout").GridShape(2, 3, 4)
    video = torch.arange(2 * 3 * 5 * 4).reshape(6, 5, 4, 1, 1)
    columns = shape.to_columns(video)
    assert columns.shape == (8, 5, 3, 1, 1)
    for chunk, view, time in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
        assert torch.equal(columns[chunk * 4 + time, :, view], video[chunk * 3 + view, :, time])
    assert torch.equal(shape.to_rows(columns), video)
    hints = torch.arange(6 * 2 * 5 * 4).reshape(6, 2, 5, 4)
    assert torch.equal(shape.to_columns(hints, 3)[4 + 1, :, :, 2], hints[3 + 2, :, :, 1])
    prompts = torch.tensor([1, 1, 1, 7, 7, 7])
    assert shape.once_a_column(prompts).tolist() == [1] * 4 + [7] * 4
    assert shape.same_in_all_views(prompts) and not shape.same_in_all_views(torch.arange(6))


def test_tokens_of_both_streams_lie_side_by_side(part: Part) -> None:
    shape = part("nodes.host_models.batch_layout").GridShape(2, 3, 4)
    cells = torch.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    rows, columns = shape.rows_of_cells(cells), shape.columns_of_cells(cells)
    assert rows.shape == (6, 4 * 5, 6) and columns.shape == (8, 3 * 5, 6)
    assert torch.equal(rows[3 + 2, 5:10], cells[1, 2, 1]) and torch.equal(columns[4 + 1, 10:15], cells[1, 2, 1])
    assert torch.equal(shape.cells_of_rows(rows), cells) and torch.equal(shape.cells_of_columns(columns), cells)
    columns.zero_()  # blocks write into their input: one stream's tokens must not be the other's
    assert cells.any()
