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
    "imageio",
    "av",
    "gsplat",
    "safetensors",
)
_OPENCV = ("opencv-python-headless", "opencv-contrib-python-headless", "opencv-python", "opencv-contrib-python")
"""All of them bring the package cv2."""


def versions() -> dict[str, str]:
    """Versions of this package, Python, the system and the libraries that compute; torch's says which build it is."""
    import torch

    found = {"fourreal": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _LIBRARIES:
        found[name] = _installed(name) or "not installed"
    found["opencv"] = next(filter(None, map(_installed, _OPENCV)), "not installed")
    return found | {"torch": str(torch.__version__)}  # what is installed may be named without its build


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
