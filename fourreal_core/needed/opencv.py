"""OpenCV, of whichever distribution."""

from __future__ import annotations

from . import missing

try:
    import cv2
except Exception as error:  # missing, or broken in its own way
    raise missing("OpenCV", error, "opencv-python-headless") from error

__all__ = ["cv2"]
