"""How strongly the sync layers act, layer by layer, while a grid is sampled (the paper's Figure 3, supplement 2).

The strength of a layer is the size of its update over the size of what it updates, ``|x' - y| / |y|``, for each stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..errors import InputError
from .model4d import Model4D
from .streams import SyncRule
from .sync import Streams


class SyncRecorder:
    """Wraps a sync rule and records how much each call changed.

    Args:
        rule: What mixes the streams.
        layers: Blocks L of the model.
    """

    def __init__(self, rule: SyncRule, layers: int) -> None:
        self.rule, self.layers = rule, layers
        self._passes: list[Tensor] = []

    def __call__(self, layer: int, y_view: Tensor, y_time: Tensor, noise_level: Tensor | None = None) -> Streams:
        """Mixes as the rule does; layer 0 begins a new pass."""
        x_view, x_time = self.rule(layer, y_view, y_time, noise_level)
        if layer == 0 or not self._passes:
            self._passes.append(torch.zeros(2, self.layers))
        for stream, (x, y) in enumerate(((x_view, y_view), (x_time, y_time))):
            self._passes[-1][stream, layer] = _relative(x.detach(), y.detach())
        return x_view, x_time

    def by_pass(self) -> Tensor:
        """``(passes, 2, L)`` strengths of the view and the time stream, in the order the passes ran.

        Raises:
            InputError: Nothing ran.
        """
        if not self._passes:
            raise InputError("no pass through the sync layers", "at least one", "sample a grid of two streams first")
        return torch.stack(self._passes)

    def by_layer(self) -> Tensor:
        """``(2, L)`` strengths, averaged over the passes."""
        return self.by_pass().mean(0)


@contextmanager
def recorded_sync(model: Model4D) -> Iterator[SyncRecorder]:
    """Records the strength of a model's sync layers while the block runs.

    Examples:
        >>> with recorded_sync(model) as recorder:  # doctest: +SKIP
        ...     sample(velocity, noise, levels)
        >>> recorder.by_layer()  # doctest: +SKIP
    """
    before = model.sync_rule
    recorder = SyncRecorder(before or model.sync, model.dit.layers)
    model.sync_rule = recorder
    try:
        yield recorder
    finally:
        model.sync_rule = before


def _relative(x: Tensor, y: Tensor) -> Tensor:
    change: Tensor = (x.float() - y.float()).norm()
    size: Tensor = y.float().norm()
    return (change / size.clamp_min(1e-12)).cpu()
