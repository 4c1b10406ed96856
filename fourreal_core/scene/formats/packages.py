"""Packages that only one or two formats need, loaded when a file is written."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from ...errors import InputError


@dataclass(frozen=True)
class NeededPackage:
    """A Python package that only this format needs.

    Attributes:
        module: What is imported.
        install: What pip calls it.
    """

    module: str
    install: str

    def load(self, name: str) -> ModuleType:
        """The package.

        Args:
            name: Of the module, or of one within the package.

        Raises:
            InputError: It is not installed, or lacks that module.
        """
        try:
            return importlib.import_module(name)
        except ImportError as err:
            raise InputError(
                f"no package {self.module} here ({err})",
                "it, to write this format",
                f"install it with `python -m pip install {self.install}`, or export .ply",
            ) from err


FOURDGS = NeededPackage("fourdgs", "fourdgs")
USD = NeededPackage("pxr", "usd-core")
GAUSSFORGE = NeededPackage("gaussforge", "gaussforge")
