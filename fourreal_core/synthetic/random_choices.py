"""Seeded random numbers for making scenes, and the seeds of each split, which never meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from ..errors import InputError
from .meshes import Floats

SPLITS = ("train", "validation", "test")
_MOST = 2**32 // len(SPLITS)  # torch's CPU generator looks at 32 bits of a seed

Item = TypeVar("Item")


def scene_seed(split: str, index: int) -> int:
    """The seed of scene ``index`` of a split: seeds of different splits differ by their remainder.

    Raises:
        InputError: No such split, or an index below 0 or beyond 1.43 billion.
    """
    if split not in SPLITS or not 0 <= index < _MOST:
        raise InputError(
            f"scene {index} of the split {split!r}",
            f"a split of {', '.join(SPLITS)} and an index from 0 to {_MOST - 1}",
            "name another scene",
        )
    return index * len(SPLITS) + SPLITS.index(split)


class SceneRng:
    """Random numbers from one seeded generator; a scene is what it draws, in that order."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """A number of the interval from ``low`` to ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def signed(self, low: float, high: float) -> float:
        """A number whose magnitude is from ``low`` to ``high``, with either sign."""
        return self.uniform(low, high) * (1 if self.chance(0.5) else -1)

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform(0, 1) < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """One of several."""
        return items[self.integer(0, len(items) - 1)]

    def normals(self, *shape: int) -> Floats:
        """Normally distributed float32 numbers of mean 0 and variance 1."""
        values: Floats = torch.randn(shape, generator=self.generator).numpy()
        return values

    def uniforms(self, *shape: int) -> Floats:
        """Evenly distributed float32 numbers in ``[0, 1)``."""
        values: Floats = torch.rand(shape, generator=self.generator).numpy()
        return values
