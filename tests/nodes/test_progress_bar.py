"""The core's callback on the host's bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]


@pytest.fixture
def shown(part: Part) -> Iterator[list[tuple[int, int, Any]]]:
    """What the host's bar was told: value, total, preview."""
    import comfy.utils

    calls: list[tuple[int, int, Any]] = []
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: calls.append((value, total, preview))
    )
    yield calls
    comfy.utils.set_progress_bar_global_hook(None)


def test_parts_share_one_bar(part: Part, shown: list[tuple[int, int, Any]]) -> None:
    progress = part("nodes.progress").HostProgress(parts=2)
    progress.part(0)(3, 3)
    progress.part(1)(1, 4)
    progress.part(1)(4, 4)
    fractions = [value / total for value, total, _ in shown]
    assert fractions[0] == 0.5 and fractions[-1] == 1.0 and fractions == sorted(fractions)


def test_what_a_node_is_at_stands_on_it(part: Part, said: list[tuple[str, str]]) -> None:
    progress = part("nodes.progress").HostProgress(parts=3)
    progress.part(0)(1, 2)
    assert not said
    on_step = progress.part(1, "Fitting")
    for done in range(1, 41):
        on_step(done, 40)
    assert said[0] == ("7", "Fitting") and said[-1] == ("7", "Fitting · 40 of 40")
    assert len(said) < 20  # the rest came too soon after another


def test_stages_take_their_shares_of_the_bar(part: Part, shown: list[tuple[int, int, Any]]) -> None:
    for stage, done in (("a", 1), ("b", 1), ("b", 3)):  # a bar each: they hold back what follows too soon
        part("nodes.progress").HostProgress(4).stages({"a": ("First", 1), "b": ("Second", 3)})(stage)(done, 3)
    fractions = [value / total for value, total, _ in shown]
    assert fractions == pytest.approx([1 / 12, 0.5, 1.0], abs=0.001)


def test_a_preview_becomes_a_picture(part: Part, shown: list[tuple[int, int, Any]]) -> None:
    frame = torch.zeros(4, 6, 3)
    frame[0, 0] = torch.tensor([1.0, 0.5, 2.0])
    on_step = part("nodes.progress").HostProgress().part()
    on_step(1, 2, frame)
    on_step(2, 2, frame)  # too soon for another
    (kind, picture, _), second = shown[0][2], shown[1][2]
    assert kind == "JPEG" and picture.size == (6, 4) and picture.getpixel((0, 0)) == (255, 128, 255)
    assert second is None


def test_cancelling_passes_through(part: Part) -> None:
    import comfy.model_management as management

    on_step = part("nodes.progress").HostProgress().part()
    management.interrupt_current_processing(True)
    try:
        with pytest.raises(management.InterruptProcessingException):
            on_step(1, 2)
    finally:
        management.interrupt_current_processing(False)
