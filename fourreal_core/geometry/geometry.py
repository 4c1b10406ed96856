"""Geometry of a freeze-time clip: per frame depth and intrinsics, and cameras where they are known."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..cameras import Cameras, lift, pixel_grid
from ..errors import InputError


@dataclass(frozen=True)
class Geometry:
    """Per-frame geometry of F frames.

    Attributes:
        depth: ``(F, H, W)`` z-depth in scene units, positive; arbitrary where ``mask`` is false.
        intrinsics: ``(F, 3, 3)`` in pixels.
        mask: ``(F, H, W)`` bool, where the depth is meaningful.
        world_to_cam: ``(F, 4, 4)`` cameras, or None when the source knows none (monocular depth).
        confidence: ``(F, H, W)`` in ``[0, 1]``, how well the depth was measured rather than filled in, or None.
    """

    depth: Tensor
    intrinsics: Tensor
    mask: Tensor
    world_to_cam: Tensor | None = None
    confidence: Tensor | None = None

    def __post_init__(self) -> None:
        f, h, w = self.depth.shape if self.depth.ndim == 3 else (-1, -1, -1)
        if f < 0 or self.intrinsics.shape != (f, 3, 3) or self.mask.shape != (f, h, w):
            raise InputError(
                f"geometry of shapes {tuple(self.depth.shape)}, {tuple(self.intrinsics.shape)}, "
                f"{tuple(self.mask.shape)}",
                "(F, H, W), (F, 3, 3), (F, H, W)",
                "give every frame depth, intrinsics and a mask of the clip's size",
            )
        if self.world_to_cam is not None and self.world_to_cam.shape != (f, 4, 4):
            raise InputError(
                f"cameras of shape {tuple(self.world_to_cam.shape)}",
                f"({f}, 4, 4)",
                "give every frame one world-to-camera transform",
            )

    @property
    def size(self) -> tuple[int, int]:
        """Frame size as ``(height, width)``."""
        return self.depth.shape[1], self.depth.shape[2]

    @property
    def points(self) -> Tensor:
        """Camera-space point maps ``(F, H, W, 3)``."""
        return lift(pixel_grid(self.size, self.depth.device), self.depth, self.intrinsics[:, None, None])

    @property
    def cameras(self) -> Cameras:
        """The cameras, if the geometry has them.

        Raises:
            InputError: The source of this geometry knew no cameras.
        """
        if self.world_to_cam is None:
            raise InputError(
                "geometry without cameras",
                "world_to_cam for every frame",
                "take the geometry from parallax, or let the tracks place the cameras",
            )
        return Cameras(self.world_to_cam, self.intrinsics, self.size)

    def check_clip(self, frames: Tensor) -> None:
        """Raises InputError when ``frames (F, H, W, 3)`` can't be the clip this geometry was made of."""
        if tuple(frames.shape[:3]) != tuple(self.depth.shape):
            raise InputError(
                f"a clip of {tuple(frames.shape[:3])} with geometry of {tuple(self.depth.shape)}",
                "geometry of the same clip",
                "make the geometry from this freeze-time clip",
            )
