"""Compiles the rasterizer's kernels once, while the cancel button works."""

from __future__ import annotations

import threading

import comfy.model_management
import torch

from .node_text import show_text

POLL_SECONDS = 0.1
_lock = threading.Lock()
_running: dict[bool, threading.Thread] = {}
"""Compilations with and without the backward pass; one that was cancelled ends by itself and serves the next run."""


def compile_first(device: torch.device, gradients: bool) -> None:
    """Compiles the kernels that a node will render with, where they are not compiled yet.

    Compiling can't be divided: it goes on in a thread of its own, and whoever cancels only stops waiting for it.

    Args:
        device: Where the node computes.
        gradients: Whether it fits something by rendering.
    """
    from ..fourreal_core.rasterizer.warm_up import missing_code
    from ..fourreal_core.reconstruction import photometric_loss

    missing = missing_code(gradients) or (gradients and photometric_loss.missing_code())
    if device.type != "cpu" or not missing:
        return
    show_text("Compiling for the first time; this takes about a minute, once")
    thread = _compiling(gradients)
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        comfy.model_management.throw_exception_if_processing_interrupted()


def _compiling(gradients: bool) -> threading.Thread:
    """The thread that compiles, started by the first call."""
    with _lock:
        thread = _running.get(gradients)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=_compile, args=(gradients,), name="4Real compilation", daemon=True)
            _running[gradients] = thread
            thread.start()
        return thread


def _compile(gradients: bool) -> None:
    from ..fourreal_core.rasterizer.warm_up import warm_up
    from ..fourreal_core.reconstruction import photometric_loss

    warm_up(gradients)
    if gradients:
        photometric_loss.warm_up()
