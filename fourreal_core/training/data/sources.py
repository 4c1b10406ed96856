"""What the trainer asks of its data, and the account of what could not be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ...errors import InputError

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Read = TypeVar("Read")


class Captioned(NamedTuple):
    """A grid in words, too.

    Attributes:
        grid: ``(V, T, H, W, 3)`` uint8.
        caption: What it shows; empty where nobody says.
    """

    grid: Tensor
    caption: str = ""


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


@runtime_checkable
class CaptionedSource(Protocol):
    """A source whose grids come in turn, each with its caption."""

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """The grid of a position, so that as many positions as there are items see each of them once.

        Args:
            position: From 0 on; beyond the last item it begins anew.
            generator: Source of all choices but that of the item.
        """


def take(source: GridSource, position: int, generator: torch.Generator) -> Captioned:
    """A source's grid with its caption, in turn where it can be."""
    if isinstance(source, CaptionedSource):
        return source.take(position, generator)
    return Captioned(source.draw(position, generator))


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
        source, place = self._turn(position)
        return source.draw(place, generator)

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource."""
        source, place = self._turn(position)
        return take(source, place, generator)

    def _turn(self, position: int) -> tuple[GridSource, int]:
        lap, place = divmod(position, sum(self.shares))
        for source, share in zip(self.sources, self.shares, strict=True):
            if place < share:
                return source, lap * share + place
            place -= share
        raise AssertionError("a place within the round belongs to a source")


def try_items(
    items: Sequence[Item],
    generator: torch.Generator,
    read: Callable[[Item], Read],
    skipped: Skipped,
    what: str,
    position: int | None = None,
) -> Read:
    """Reads a random item, or that of a position; one that can't be read is noted and another one taken.

    Raises:
        InputError: None of them can be read.
    """
    left = [item for item in items if str(item) not in skipped.reasons]
    first = None if position is None else items[position % len(items)]
    while left:
        item = left[int(torch.randint(len(left), (), generator=generator))]
        if first is not None and first in left:
            item, first = first, None
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
