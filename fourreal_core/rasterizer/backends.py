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

from ..compiled import announce_plain
from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered

_log = logging.getLogger(__name__)
_MODULES = {
    "numba": "numba_backend",
    "gsplat": "gsplat_backend",
    "sparse": "sparse_backend",
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
        if name in ("sparse", "torch"):
            _warn_of_slowness(like.device.type, like.dtype)
    elif (reason := _unfit(name, like.device.type, like.dtype) or _unavailable(name)) is not None:
        raise ValueError(f"backend {name!r} can't be used: {reason}; use backend='auto' or 'torch'")
    return _module(name)


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views by the back end that the options name; see Backend.

    Where numba, taken by "auto", fails although it could be loaded, "sparse" renders from then on.

    Raises:
        ValueError: As load_backend, or if a value is NaN or infinite.
    """
    backend = load_backend(options.backend, views[0].means)
    try:
        return backend.render(views, options, buffers)
    except (ValueError, MemoryError):  # of the inputs
        raise
    except Exception as error:
        if options.backend != "auto" or backend is not _module("numba"):
            raise
        from .numba_backend import give_up

        give_up(error)
    return load_backend("auto", views[0].means).render(views, options)


def choose_backend(device: str, dtype: torch.dtype) -> tuple[str, str]:
    """What ``auto`` takes for tensors of this device type and dtype, and why."""
    fast = {"cpu": "numba", "cuda": "gsplat"}.get(device)
    if fast is None:
        return "torch", f"no faster back end runs on {device}"
    if (reason := _unfit(fast, device, dtype)) is not None:
        return "torch", f"{fast}: {reason}"
    if (reason := _unavailable(fast)) is not None:
        return "sparse" if device == "cpu" else "torch", f"{fast}: {reason}"
    return fast, f"it is the fast one on {device}"


def _unfit(name: str, device: str, dtype: torch.dtype) -> str | None:
    if name == "torch":
        return None
    needed = {"numba": "cpu", "gsplat": "cuda", "sparse": "cpu"}[name]
    if device != needed:
        return f"it computes on {needed}, the tensors are on {device}"
    wrong = dtype == torch.float64 and name != "sparse"
    return f"it computes in float32, the tensors are {dtype}" if wrong else None


def _unavailable(name: str) -> str | None:
    return _module(name).unavailable()


def _module(name: str) -> Backend:
    return cast(Backend, importlib.import_module(f".{_MODULES[name]}", __package__))


def _warn_of_slowness(device: str, dtype: torch.dtype) -> None:
    """Warns, once, where a faster back end would fit but can't be had."""
    fast = {"cpu": "numba", "cuda": "gsplat"}.get(device, "torch")
    if _unfit(fast, device, dtype) is not None or (reason := _unavailable(fast)) is None:
        return
    if fast == "numba":
        announce_plain(reason)
    else:
        _warn_of_gsplat(reason)


@functools.cache
def _warn_of_gsplat(reason: str) -> None:
    _log.warning(
        "%s: torch renders the splats, with the same result but more slowly; `python -m pip install -U "
        "gsplat` beside a CUDA toolkit of torch's version may help",
        reason,
    )


@functools.cache  # one line a choice, not one a render
def _announce(name: str, why: str) -> None:
    _log.info("rasterizer: auto took %s (%s)", name, why)
