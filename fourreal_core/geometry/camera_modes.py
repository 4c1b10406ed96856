"""What can be done about a fixed view whose camera moves; light, as the command's parser wants it."""

from __future__ import annotations

from typing import Literal, get_args

from ..errors import InputError

CameraMode = Literal["auto", "still", "own"]
CAMERA_MODES: tuple[CameraMode, ...] = get_args(CameraMode)
"""``auto`` takes the motion out, so that cell ``[v, t]`` is view v of a camera that stands; ``own`` too, and puts it
into the completed cells, so that row 0 is as it was given; ``still`` doesn't look for any."""


def check_camera(mode: str) -> CameraMode:
    """The mode of that name.

    Raises:
        InputError: There is none.
    """
    for known in CAMERA_MODES:
        if mode == known:
            return known
    raise InputError(f"a camera {mode!r}", f"one of {', '.join(CAMERA_MODES)}", "choose one of them")
