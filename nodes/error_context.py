"""Adds to errors of the core, which knows no nodes, the node to change."""

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
