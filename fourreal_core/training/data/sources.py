"""What the trainer asks of its data, and the account of what could not be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ...errors import InputError

log = logging.getLogger(__name__)
Item = TypeVar("Item")


class GridSource(Protocol):
    """Grids of 8-bit cells to learn from."""

    @property
    def skipped(self) -> Skipped:
        """What could not be read so far."""

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """A grid ``(V, T, H, W, 3)`` uint8.

        Args:
            position: Which one of the run this is, from 0 on. Sources that stream go by it, so that a run that was
                killed goes on where it stopped; others go by the generator.
            generator: Source of all choices.
        """


@dataclass
class Skipped:
    """Names of what could not be read, each with the reason; every one is logged once."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, reason: object) -> None:
        """Notes something that is left out."""
        if name not in self.reasons:
            self.reasons[name] = str(reason)
            log.warning("%s is skipped: %s", name, reason)

    def __len__(self) -> int:
        return len(self.reasons)


class Mixture:
    """Several sources in turn, in fixed shares.

    Args:
        sources: At least one.
        shares: How many of a round come from each, for example ``(1, 2)``.
    """

    def __init__(self, sources: Sequence[GridSource], shares: Sequence[int]) -> None:
        if not sources or len(sources) != len(shares) or min(shares) < 1:
            raise InputError(
                f"{len(sources)} sources and the shares {list(shares)}",
                "one positive share a source",
                "say for example 1 and 2",
            )
        self.sources, self.shares = list(sources), list(shares)

    @property
    def skipped(self) -> Skipped:
        """What all sources left out."""
        return Skipped({k: v for source in self.sources for k, v in source.skipped.reasons.items()})

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource; the position decides whose turn it is."""
        lap, place = divmod(position, sum(self.shares))
        for source, share in zip(self.sources, self.shares, strict=True):
            if place < share:
                return source.draw(lap * share + place, generator)
            place -= share
        raise AssertionError("a place within the round belongs to a source")


def try_items(
    items: Sequence[Item], generator: torch.Generator, read: Callable[[Item], Tensor], skipped: Skipped, what: str
) -> Tensor:
    """Reads a random item; one that can't be read is noted and another one taken.

    Raises:
        InputError: None of them can be read.
    """
    left = [item for item in items if str(item) not in skipped.reasons]
    while left:
        item = left[int(torch.randint(len(left), (), generator=generator))]
        try:
            return read(item)
        except (InputError, OSError) as err:
            skipped.add(str(item), err)
            left.remove(item)
    raise InputError(
        f"{what}: none of {len(items)} can be read (the first: {next(iter(skipped.reasons.items()), 'nothing there')})",
        "at least one readable",
        "check the files that the log names",
    )
