"""Values on their way between the host's inference mode and the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

Part = Callable[[str], ModuleType]


@dataclass(frozen=True)
class Inner:
    values: Tensor
    note: str


@dataclass(frozen=True)
class Outer:
    inner: Inner
    module: nn.Module | None
    missing: Tensor | None = None


def test_what_the_host_made_can_be_fitted_with(part: Part) -> None:
    placement = part("nodes.devices")
    with torch.inference_mode():
        made = Outer(Inner(torch.ones(3), "kept"), None)
        with placement.plain_tensors(gradients=True):
            got = placement.place(made)
            weight = torch.ones(3, requires_grad=True)
            (weight * got.inner.values).sum().backward()
    assert weight.grad.tolist() == [1, 1, 1]
    assert got.inner.note == "kept" and got.missing is None


def test_nothing_records_a_graph_by_itself(part: Part) -> None:
    with torch.inference_mode(), part("nodes.devices").plain_tensors():
        assert not (nn.Linear(2, 2)(torch.ones(1, 2))).requires_grad


def test_a_module_is_copied_not_shared(part: Part) -> None:
    given = Outer(Inner(torch.ones(1), ""), nn.Linear(2, 2))
    got = part("nodes.devices").place(given)
    with torch.no_grad():
        got.module.weight.zero_()
    assert given.module.weight.any()


def test_memory_counts_every_tensor(part: Part) -> None:
    given = Outer(Inner(torch.ones(5, dtype=torch.float64), ""), nn.Linear(2, 3))
    assert part("nodes.devices").size_in_bytes(given, None) == 5 * 8 + (6 + 3) * 4
