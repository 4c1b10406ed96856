"""Checkpoints of 4D models: in models/fourreal, in models/diffusion_models, and those that come with this extension."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import folder_paths

from ..fourreal_core.errors import InputError
from ..fourreal_core.model.packaged import packaged_files
from .sync_files import FOLDER, SUFFIX, register_folder

SMALL = "fourreal_small.safetensors"
"""The model of the shipped workflows."""
PACKAGED = Path(__file__).resolve().parents[1] / "fourreal_core" / "weights"
"""Where models lie that come with this extension, if any do."""
FOLDERS = (FOLDER, "diffusion_models")


def list_models() -> list[str]:
    """Names of all 4D models that are there, and always that of the small one, so that workflows can name it."""
    found = {path.name: None for path in packaged_files(PACKAGED)}
    register_folder()
    for folder in FOLDERS:
        for name in folder_paths.get_filename_list(folder):
            path = folder_paths.get_full_path(folder, name)
            if name.endswith(SUFFIX) and path is not None and _is_model(Path(path)):
                found[name] = None
    return sorted({*found, SMALL}, key=lambda name: (name != SMALL, name))


def model_path(name: str) -> Path:
    """The file of a name that ``list_models`` gave; a file in the host's folders goes before a packaged one.

    Raises:
        InputError: There is no such file.
    """
    register_folder()
    for folder in FOLDERS:
        found = folder_paths.get_full_path(folder, name)
        if found is not None:
            return Path(found)
    packaged = PACKAGED / Path(name).name
    if packaged.name == name and packaged.is_file():
        return packaged
    raise InputError(
        f"no model {name!r} in models/{FOLDER} or models/diffusion_models",
        "a file that exists",
        "put it there, or choose another; press R to read the folders again",
    )


def _is_model(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return _kind(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4096)
def _kind(path: Path, changed: int, size: int) -> bool:
    """Whether a file that changed at some time is a model; headers of a large folder are read once."""
    from ..fourreal_core.model.checkpoints import checkpoint_kind
    from ..fourreal_core.model.model_file import KIND

    return checkpoint_kind(path) == KIND
