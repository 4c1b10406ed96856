"""The residual block of every convolving part of the model, and the memory layout in which convolutions are fastest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, which it is until it is trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        zero_parameters(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width, h, w)`` to the same."""
        change: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + change


def zero_parameters(layer: nn.Module) -> None:
    """Sets a layer's weights to zero in place: what it adds to the model starts at nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def channels_last(planes: Tensor) -> Tensor:
    """The same planes ``(N, C, h, w)`` with their channels last in memory."""
    return planes.contiguous(memory_format=torch.channels_last)
