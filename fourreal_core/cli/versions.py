"""Versions of everything that shapes a result."""

from __future__ import annotations

import platform
from importlib import metadata

from .. import __version__

_LIBRARIES = (
    "torch",
    "numpy",
    "numba",
    "kornia",
    "opencv-python-headless",
    "imageio",
    "av",
    "gsplat",
    "safetensors",
    "einops",
)


def versions() -> dict[str, str]:
    """Versions of this package, Python, the system and the libraries that compute; torch's says which build it is."""
    import torch

    found = {"fourreal": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found | {"torch": str(torch.__version__)}  # what is installed may be named without its build
