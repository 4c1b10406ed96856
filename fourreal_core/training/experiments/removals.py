"""Models with a part taken out, to see what the part earns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...model.model4d import Model4D

REMOVALS = {
    "sync": "both streams run beside each other and are averaged at the end",
    "tokens": "the head is given zeros: what is drawn comes past all blocks",
    "chooser": "the rules' blend takes the place of what the chooser makes of the candidates",
    "rest": "what the chooser makes is the answer: no stem, block or head runs",
}
"""What can be taken out, and what then happens."""
_METHODS = ("head", "_choose")


@contextmanager
def without(model: Model4D, part: str) -> Iterator[Model4D]:
    """The model without a part, which is back afterwards.

    Args:
        model: Any model; it is changed for as long as the context lasts.
        part: One of REMOVALS.

    Raises:
        InputError: Another name, or a part that the model doesn't have.
    """
    if part not in REMOVALS:
        raise InputError(f"a part {part!r}", "one of " + ", ".join(REMOVALS), "choose one of them")
    if not can_go_without(model, part):
        raise InputError(
            f"a {model.spec.variant} model that cannot go without {part!r}",
            "two streams for 'sync', a chooser for 'chooser' and 'rest'",
            "take out another part",
        )
    dit, rule = model.dit, model.sync_rule
    before = {name: dit.__dict__[name] for name in _METHODS if name in dit.__dict__}
    try:
        if part == "sync":
            model.sync_rule = _apart
        elif part == "tokens":
            head = dit.head
            _set(dit, "head", lambda tokens, inputs, drawing: head(torch.zeros_like(tokens), inputs, drawing))
        elif part == "chooser":
            _set(dit, "_choose", lambda cells: _first_plane(cells, dit.spec.stem == "differences"))
        else:
            model.choice_alone = True
        yield model
    finally:
        model.sync_rule, model.choice_alone = rule, False
        for name in _METHODS:
            dit.__dict__.pop(name, None)
        dit.__dict__.update(before)


@contextmanager
def choosing_once(model: Model4D) -> Iterator[None]:
    """Within it the chooser isn't run again on the cells that it chose for last: for a grid without part after part."""
    dit, last = model.dit, list[tuple[Tensor, Tensor]]()
    choose = dit._choose

    def choose_or_keep(cells: Tensor) -> Tensor:
        if not (last and last[0][0].shape == cells.shape and torch.equal(last[0][0], cells)):
            last[:] = [(cells, choose(cells))]
        return last[0][1]

    _set(dit, "_choose", choose_or_keep)
    try:
        yield
    finally:
        dit.__dict__.pop("_choose", None)


def can_go_without(model: Model4D, part: str) -> bool:
    """Whether the model has the part at all."""
    if part == "sync":
        return model.spec.variant != "fused" and not model.spec.variant.startswith("sequential")
    if part == "rest" and model.spec.dit.prediction != "clean":  # what is chosen is a clean frame
        return False
    return part == "tokens" or model.dit.chooser is not None


def _first_plane(cells: Tensor, doubt: bool) -> Tensor:
    """The first plane ``(N, 1, C, h, w)`` of cells as if it had been chosen, and if asked for no doubt about it."""
    first = cells[:, :1]
    return torch.cat([first, torch.full_like(first, -1.0)], 1) if doubt else first


def _apart(layer: int, view: Tensor, time: Tensor, level: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both streams go on as they are."""
    return view, time


def _set(module: torch.nn.Module, name: str, function: Any) -> None:
    """An attribute of this one module that stands before the method of its class."""
    module.__dict__[name] = function
