"""No picture and no video is written of values that are not finite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media import save_image, write_video


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pictures_and_videos_are_refused_whole(tmp_path: Path, value: float) -> None:
    frames = torch.full((3, 16, 16, 3), 0.5)
    frames[1, 4, 5, 2] = value
    with pytest.raises(InputError, match="NaN or infinite pixels"):
        save_image(frames[1], tmp_path / "a.png")
    with pytest.raises(InputError, match="NaN or infinite pixels"):
        write_video(frames, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
