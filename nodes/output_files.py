"""Files that nodes write and read, always inside the host's own folders."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..fourreal_core.errors import InputError
from ..fourreal_core.media.files import output_path, prepare_folder

SCENE_SUFFIX = ".safetensors"


def next_output(prefix: str, suffix: str) -> tuple[Path, str]:
    """The next free numbered file of a prefix in the host's output folder, as the host's own save nodes number theirs.

    Args:
        prefix: Name, perhaps with subfolders and the host's ``%date%``-like words.
        suffix: File name ending, with its dot.

    Returns:
        The path, and its subfolder within the output folder with forward slashes.

    Raises:
        InputError: A prefix that leaves the output folder, or a folder that can't be written.
    """
    root = Path(folder_paths.get_output_directory())
    output_path(root, prefix.replace("%", ""))  # refuses names that leave the folder, before anything is created
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, str(root))
    prepare_folder(folder)
    path = Path(folder) / f"{name}_{counter:05}_{suffix}"
    while path.exists():  # the host counts only up to what it can parse
        counter += 1
        path = Path(folder) / f"{name}_{counter:05}_{suffix}"
    return path, subfolder.replace(os.sep, "/")


def entries(path: Path, subfolder: str) -> list[dict[str, str]]:
    """What was written, as the host's history lists files and ``/view`` takes them; a folder's files one by one.

    Args:
        path: A file or a folder within the output folder.
        subfolder: Where it lies there, with forward slashes.
    """
    if path.is_file():
        return [{"filename": path.name, "subfolder": subfolder, "type": "output"}]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    inside = [file.parent.relative_to(path.parent).as_posix() for file in files]
    return [
        {"filename": file.name, "subfolder": "/".join(part for part in (subfolder, folder) if part), "type": "output"}
        for file, folder in zip(files, inside, strict=True)
    ]


def list_scenes() -> list[str]:
    """Scene files in the host's input and output folders, in the host's ``name [folder]`` form, newest first."""
    found = []
    for kind, root in _roots().items():
        files = [p for pattern in ("*", "*/*") for p in Path(root).glob(pattern + SCENE_SUFFIX) if p.is_file()]
        found += [(p.stat().st_mtime, f"{p.relative_to(root).as_posix()} [{kind}]") for p in files]
    return [name for _, name in sorted(found, reverse=True)]


def scene_path(name: str) -> Path:
    """The file of a ``name [input]`` or ``name [output]``.

    Raises:
        InputError: A file that is missing, of another type, or outside these folders.
    """
    plain, base = folder_paths.annotated_filepath(name)
    root = base or folder_paths.get_input_directory()
    if os.path.realpath(root) not in {os.path.realpath(r) for r in _roots().values()}:
        raise InputError(f"the scene file {name!r}", "a file of the input or the output folder", "choose another file")
    path = output_path(root, plain.strip())
    if path.suffix != SCENE_SUFFIX:
        raise InputError(f"the scene file {name!r}", f"a {SCENE_SUFFIX} file", "save it with 'Save 4D Scene'")
    if not path.is_file():
        raise InputError(
            f"no scene file {name!r}",
            "a file of the input or the output folder",
            "choose one that exists; press R to read the folders again",
        )
    return path


def _roots() -> dict[str, str]:
    return {"output": folder_paths.get_output_directory(), "input": folder_paths.get_input_directory()}
