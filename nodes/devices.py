"""The device on which the core computes inside the host, from the host's memory manager, and plain tensors on it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import comfy.model_management
import torch
from torch import Tensor, nn

from ..fourreal_core.grid import FrameGrid

Value = TypeVar("Value")


@contextmanager
def plain_tensors(gradients: bool = False) -> Iterator[None]:
    """Leaves the host's inference mode, in which nothing can be fitted.

    What is computed inside are ordinary tensors that a later node may use in an optimisation.

    Args:
        gradients: Record what an optimisation needs; only for core functions that fit.
    """
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        yield


def place(value: Value, device: torch.device | str = "cpu") -> Value:
    """A copy of a value on ``device``, made of ordinary tensors; the value itself is not changed.

    Dataclasses of tensors are walked through, modules are deep-copied, everything else is kept, the packed grid that a
    scene brings too. A tensor that is already an ordinary one on the device is shared, not copied.
    """
    if isinstance(value, Tensor):
        moved = value.to(device)
        return moved.clone() if moved.is_inference() else moved
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).to(device)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return replace(value, **{k: x if isinstance(x, FrameGrid) else place(x, device) for k, x in parts.items()})
    return value


def size_in_bytes(*values: Any) -> int:
    """Bytes that the tensors of dataclasses take."""
    total = 0
    for value in values:
        if isinstance(value, Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, nn.Module):
            total += sum(p.numel() * p.element_size() for p in value.parameters())
        elif is_dataclass(value) and not isinstance(value, type):
            parts = (getattr(value, f.name) for f in fields(value))
            total += size_in_bytes(*(part for part in parts if not isinstance(part, FrameGrid)))  # it stays where it is
    return total


def compute_device(*inputs: Any, working_factor: float = 6.0) -> torch.device:
    """The host's device, after the host has made room on it for work on ``inputs``.

    Args:
        inputs: What will be moved there.
        working_factor: Memory that the work takes, in multiples of its inputs.
    """
    device = comfy.model_management.get_torch_device()
    if device.type != "cpu":
        comfy.model_management.free_memory(int(size_in_bytes(*inputs) * working_factor), device)
    return device
