"""Packages that may be missing or broken: loaded inside functions, or one sentence that names the remedy.

A module here imports one package and offers it under its usual name (``from ..needed.opencv import cv2``); where that
fails, whatever the package raises, importing the module raises MissingPackage.
"""

from __future__ import annotations

from ..errors import InputError, one_line


class MissingPackage(InputError):
    """A package that can't be loaded here, or lacks what is needed of it."""


def missing(name: str, error: BaseException, install: str) -> MissingPackage:
    """The sentence about a package that can't be loaded.

    Args:
        name: Of the package, as people know it.
        error: What its import raised.
        install: What pip calls it.
    """
    return MissingPackage(
        f"{name} can't be loaded ({one_line(error)})",
        "it beside this package",
        f"install it for this Python: python -m pip install -U {install}",
    )
