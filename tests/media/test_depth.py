"""Depth pictures: every level of every bit depth comes in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media.depth import read_depth_folder


def ramp(height: int = 4, width: int = 6) -> np.ndarray:
    return np.arange(height * width).reshape(height, width)


def test_levels_are_kept(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "d2.png"), (2000 * ramp()).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "d10.png"), np.repeat(ramp()[..., None], 3, 2).astype(np.uint8))
    np.save(tmp_path / "d1.npy", ramp() / 7)
    cv2.imwrite(str(tmp_path / "d3.tiff"), (ramp() * 1e-3).astype(np.float32))
    (tmp_path / "notes.txt").write_text("nothing")
    found = read_depth_folder(tmp_path)
    assert found.shape == (4, 4, 6) and found.dtype == torch.float32
    expected = [ramp() / 7, 2000.0 * ramp(), ramp() * 1e-3, ramp()]  # in natural order
    for picture, there in zip(found, expected, strict=True):
        torch.testing.assert_close(picture, torch.from_numpy(there).float())


def test_frames_are_taken_as_a_clips_are(tmp_path: Path) -> None:
    for k in range(9):
        np.save(tmp_path / f"{k}.npy", np.full((2, 3), float(k)))
    assert read_depth_folder(tmp_path, 3)[:, 0, 0].tolist() == [0, 4, 8]
    with pytest.raises(InputError, match="with 9 depth pictures; expected at least 10"):
        read_depth_folder(tmp_path, 10)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.png", b"no picture", "can't be read as a picture"),
        ("a.npy", b"no array", "can't be read"),
        ("a.npy", np.full((2, 3), np.nan), "NaN or infinite"),
        ("a.npy", np.full((4, 2, 3, 3), 1.0), "height, width"),
        ("a.npy", np.array([["a"]]), "height, width"),
        ("a.npy", np.array([[{}]], dtype=object), "can't be read"),
        ("b.npy", np.ones((5, 5)), "different sizes"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, data: bytes | np.ndarray, says: str) -> None:
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    else:
        np.save(tmp_path / name, data)
    if name == "b.npy":
        np.save(tmp_path / "c.npy", np.ones((5, 6)))
    with pytest.raises(InputError, match=says):
        read_depth_folder(tmp_path)


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with 0 depth pictures"):
        read_depth_folder(tmp_path)
