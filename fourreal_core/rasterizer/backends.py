"""Which back ends there are, which of them work here, and which one ``auto`` takes.

A back end is a module with the functions of :class:`Backend`; a new one is a file and a line in ``_MODULES``.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Sequence
from typing import Protocol, cast

import torch

from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered

_log = logging.getLogger(__name__)
_MODULES = {
    "numba": "numba_backend",
    "gsplat": "gsplat_backend",
    "torch": "torch_backend",
}


class Backend(Protocol):
    """What a back end's module offers."""

    def unavailable(self) -> str | None:
        """The reason why this back end can't be used, or None."""

    def render(self, views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
        """Renders all views; returns tensors with the leading B."""


def available_backends() -> dict[str, str]:
    """Every back end's name with "ok" or the reason why it can't be used here.

    Loading numba and gsplat takes a second or more the first time; gsplat is tried only where CUDA is.
    """
    return {name: _unavailable(name) or "ok" for name in _MODULES}


def load_backend(name: str, like: torch.Tensor) -> Backend:
    """The back end's module.

    Args:
        name: A back end's name or "auto".
        like: A tensor whose device and type the back end must be able to compute with.

    Raises:
        ValueError: If the named back end can't be used for such tensors or not on this machine.
    """
    if name == "auto":
        name, why = choose_backend(like.device.type, like.dtype)
        _announce(name, why)
    elif (reason := _unfit(name, like.device.type, like.dtype) or _unavailable(name)) is not None:
        raise ValueError(f"backend {name!r} can't be used: {reason}; use backend='auto' or 'torch'")
    return _module(name)


def choose_backend(device: str, dtype: torch.dtype) -> tuple[str, str]:
    """What ``auto`` takes for tensors of this device type and dtype, and why."""
    fast = {"cpu": "numba", "cuda": "gsplat"}.get(device)
    if fast is None:
        return "torch", f"no faster back end runs on {device}"
    reason = _unfit(fast, device, dtype) or _unavailable(fast)
    return ("torch", f"{fast}: {reason}") if reason else (fast, f"it is the fast one on {device}")


def _unfit(name: str, device: str, dtype: torch.dtype) -> str | None:
    if name == "torch":
        return None
    needed = {"numba": "cpu", "gsplat": "cuda"}[name]
    if device != needed:
        return f"it computes on {needed}, the tensors are on {device}"
    return f"it computes in float32, the tensors are {dtype}" if dtype == torch.float64 else None


@functools.cache
def _unavailable(name: str) -> str | None:
    return _module(name).unavailable()


def _module(name: str) -> Backend:
    return cast(Backend, importlib.import_module(f".{_MODULES[name]}", __package__))


@functools.cache  # one line a choice, not one a render
def _announce(name: str, why: str) -> None:
    _log.info("rasterizer: auto took %s (%s)", name, why)
