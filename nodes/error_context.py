"""Errors of the core, which knows no nodes, as the host's user reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..fourreal_core.errors import InputError


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Input errors raised inside are reported with ``place``, the node to change."""
    try:
        yield
    except InputError as error:
        raise InputError(error.got, error.expected, f"{error.remedy}: change {place}") from error


def without_module_path() -> None:
    """Has the host begin with the sentence: it puts the path of an exception's module before it, but of no builtin's.

    A toast read ``/home/me/ComfyUI/custom_nodes/comfyui-4real.fourreal_core.errors.InputError: time 99; ...``.
    """
    InputError.__module__ = "builtins"
