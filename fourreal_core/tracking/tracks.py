"""3D tracks: the same surface points followed through frames, in each frame's own camera space."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class Tracks:
    """N surface points in F frames (views of a freeze-time clip, or times of a fixed-view clip).

    Attributes:
        positions: ``(F, N, 3)`` position in every frame's own camera space, also where the point is hidden.
        visible: ``(F, N)`` bool, whether the frame sees the point.
        colors: ``(N, 3)`` RGB of the point in the frame it was started in.
        keyframe: ``(N,)`` long, the frame each point was started in.
        spacing: ``(N,)`` distance to the neighbouring points at the start, in scene units; gives splats their size.
        intrinsics: ``(F, 3, 3)`` in pixels.
        size: ``(height, width)`` of the frames.
        depth: ``(F, H, W)`` depth of every frame that the points were lifted with, or None where there is none.
    """

    positions: Tensor
    visible: Tensor
    colors: Tensor
    keyframe: Tensor
    spacing: Tensor
    intrinsics: Tensor
    size: tuple[int, int]
    depth: Tensor | None = None

    def __post_init__(self) -> None:
        f, n = self.positions.shape[:2]
        got = [
            tuple(x.shape)
            for x in (self.positions, self.visible, self.colors, self.keyframe, self.spacing, self.intrinsics)
        ]
        expected = [(f, n, 3), (f, n), (n, 3), (n,), (n,), (f, 3, 3)]
        if got != expected:
            raise InputError(f"tracks of shapes {got}", str(expected), "follow every point through every frame")
        if self.depth is not None and self.depth.shape != (f, *self.size):
            raise InputError(
                f"tracks with depth of shape {tuple(self.depth.shape)}",
                str((f, *self.size)),
                "give the depth of the tracked frames, or none",
            )

    def __len__(self) -> int:
        return self.positions.shape[1]

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return self.positions.shape[0]

    def select(self, keep: Tensor) -> Tracks:
        """The points picked by a bool mask or an index tensor."""
        return Tracks(
            self.positions[:, keep],
            self.visible[:, keep],
            self.colors[keep],
            self.keyframe[keep],
            self.spacing[keep],
            self.intrinsics,
            self.size,
            self.depth,
        )
