"""Seeded choices for making scenes, and the seeds of each split, which never meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from ..errors import InputError

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
    """Random choices from one generator.

    Args:
        seed: Of the generator; or a generator to go on with.
    """

    def __init__(self, seed: int | torch.Generator) -> None:
        self.generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """A number between two."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def signed(self, low: float, high: float) -> float:
        """A number between two, with either sign."""
        return self.uniform(low, high) * (1 if self.chance(0.5) else -1)

    def whole(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, share: float) -> bool:
        """True in ``share`` of all cases."""
        return self.uniform(0, 1) < share

    def pick(self, items: Sequence[Item]) -> Item:
        """One of several."""
        return items[self.whole(0, len(items) - 1)]

    def numbers(self, *shape: int) -> np.ndarray:
        """Normally distributed float32 numbers of mean 0 and variance 1."""
        return torch.randn(shape, generator=self.generator).numpy()

    def shares(self, *shape: int) -> np.ndarray:
        """Evenly distributed float32 numbers in ``[0, 1)``."""
        return torch.rand(shape, generator=self.generator).numpy()
