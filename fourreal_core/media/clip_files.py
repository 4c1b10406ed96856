"""Clips to files by the ending of their name: films, an animated picture, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from .animation import write_webp
from .files import prepare_folder
from .images import save_image
from .video import write_video

WRITERS: dict[str, Callable[[Tensor, Path, float], Path]] = {
    ".mp4": write_video,
    ".webm": write_video,
    ".webp": write_webp,
}
"""Files of a whole clip by their ending; a name without one is a folder of PNG frames."""
WITH_ALPHA = (".webp", "")
"""Endings of what can be transparent; the empty one is that of a folder."""


def check_clip_path(path: Path, alpha: bool = False) -> None:
    """Raises InputError for an ending that no clip has, or one that cannot be transparent where that is wanted."""
    ending = path.suffix.lower()
    if ending and ending not in WRITERS and not ending[1:].isdigit():  # v1.5 is a folder
        raise InputError(
            f"the output {path.name}, whose ending {path.suffix} means no clip",
            f"{', '.join(WRITERS)}, or a name without an ending for a folder of PNG frames",
            "choose one of these endings",
        )
    if alpha and ending in WRITERS and ending not in WITH_ALPHA:
        raise InputError(
            f"{path.name} with a transparent background", ".webp, or a folder of PNG frames", "choose another -o"
        )


def write_clip(frames: Tensor, path: Path, fps: float, on_step: OnStep = no_progress) -> list[Path]:
    """Writes a clip; folders are made if needed, every file appears whole or not at all.

    Args:
        frames: ``(F, H, W, 3)`` in ``[0, 1]``, or ``(F, H, W, 4)`` with straight alpha where the file can hold it.
        path: ``.mp4``, ``.webm``, ``.webp``, or a folder that gets ``frame_0000.png`` and on.
        fps: Frames a second of a file; pictures in a folder have none.
        on_step: Progress, one step a picture of a folder.

    Returns:
        What appeared.

    Raises:
        InputError: Another ending, no frames, or a path that cannot be written.
    """
    check_clip_path(path, alpha=frames.shape[-1] == 4)
    if path.suffix.lower() in WRITERS:
        prepare_folder(path.parent)
        return [WRITERS[path.suffix.lower()](frames, path, fps)]
    folder, written = prepare_folder(path), []
    for k, frame in enumerate(frames):
        written.append(save_image(frame, folder / f"frame_{k:04}.png"))
        on_step(k + 1, len(frames))
    return written
