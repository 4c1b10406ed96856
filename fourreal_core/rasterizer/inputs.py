"""The checked, batched form in which every back end gets a scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

MAX_CHANNELS = 32
_MAX_SIDE = 32767  # pixel boxes are kept as 16-bit integers
_COMPUTE_DTYPES = (torch.float32, torch.float64)

Buffers = dict[str, np.ndarray]
"""What a back end keeps from one call to the next for a caller who passes the same dictionary again."""


@dataclass(frozen=True)
class Pinhole:
    """A pinhole camera's focal lengths and principal point, pixels; the top-left pixel's centre is (0.5, 0.5)."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(value) for value in values) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                f"intrinsics have fx, fy, cx, cy = {values}, expected finite numbers with fx and fy > 0 in pixels"
            )


@dataclass(frozen=True)
class SplatView:
    """The splats as one camera sees them.

    Attributes:
        means: ``(N, 3)`` camera space, OpenCV axes, scene units.
        scales: ``(N,)`` linear standard deviation, scene units.
        opacities: ``(N,)``.
        colors: ``(N, C)``, C may be 0.
        background: ``(C,)``.
        camera: The pinhole.
        size: ``(height, width)`` in pixels.
    """

    means: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor
    background: torch.Tensor
    camera: Pinhole
    size: tuple[int, int]

    def require_finite(self) -> None:
        """Raises ValueError where a tensor holds a NaN or an infinity, naming the tensor."""
        for name in ("means", "scales", "opacities", "colors"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise non_finite(name)


def non_finite(name: str) -> ValueError:
    """The error for a tensor that holds a NaN or an infinity."""
    return ValueError(f"{name} holds a NaN or infinite value, expected finite numbers; remove those splats first")


def split_views(
    means: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor | None,
    intrinsics: torch.Tensor,
    size: tuple[int, int],
    background: torch.Tensor | None,
) -> tuple[list[SplatView], bool]:
    """Checks the arguments of :func:`fourreal_core.rasterizer.rasterize` and makes one view a camera of them.

    A tensor without the camera axis is shared by all cameras.

    Returns:
        The views, and whether any of the inputs had the camera axis.

    Raises:
        ValueError: If shapes, types, devices or the intrinsics don't fit.
    """
    size = _checked_size(size)
    if means.ndim not in (2, 3) or means.shape[-1] != 3:
        raise ValueError(f"means have shape {tuple(means.shape)}, expected (N, 3) or (B, N, 3) in camera space")
    count = means.shape[-2]
    if colors is None:
        colors = means.new_zeros((count, 0))
    named = {"means": (means, 2), "scales": (scales, 1), "opacities": (opacities, 1), "colors": (colors, 2)}
    for name, (tensor, dims) in named.items():
        _check_tensor(name, tensor, dims, count, means)
    channels = colors.shape[-1]
    if channels > MAX_CHANNELS:
        raise ValueError(f"colors have {channels} channels, expected at most {MAX_CHANNELS}; render them in groups")
    cameras = _pinholes(intrinsics)
    background = _checked_background(background, channels, means)

    batches = {tensor.shape[0] for tensor, dims in named.values() if tensor.ndim > dims}
    if intrinsics.ndim == 3:
        batches.add(intrinsics.shape[0])
    if len(batches) > 1:
        raise ValueError(f"inputs are for {sorted(batches)} cameras, expected one number B in all that are batched")
    total = batches.pop() if batches else 1
    if total == 0:
        raise ValueError("inputs are for 0 cameras, expected at least one; skip the call when there is nothing to draw")
    batched = intrinsics.ndim == 3 or any(tensor.ndim > dims for tensor, dims in named.values())

    # unbound once: indexing would make every camera's backward pass fill gradients for all cameras
    unbound = {
        name: tensor.unbind(0) if tensor.ndim > dims else (tensor,) * total for name, (tensor, dims) in named.items()
    }
    dtype = means.dtype if means.dtype in _COMPUTE_DTYPES else torch.float32
    views = []
    for index in range(total):
        tensors = {name: parts[index].to(dtype) for name, parts in unbound.items()}
        camera = cameras[index] if len(cameras) > 1 else cameras[0]
        views.append(SplatView(**tensors, background=background.to(dtype), camera=camera, size=size))
    return views, batched


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size)
    if not (0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE):
        raise ValueError(f"size is {tuple(size)}, expected (height, width) between 1 and {_MAX_SIDE} pixels")
    return height, width


def _check_tensor(name: str, tensor: torch.Tensor, dims: int, count: int, means: torch.Tensor) -> None:
    tail = "" if dims == 1 else (", 3" if name == "means" else ", C")
    axis = tensor.ndim - dims
    if axis not in (0, 1) or tensor.shape[axis] != count:
        raise ValueError(
            f"{name} have shape {tuple(tensor.shape)}, expected (N{tail}) or (B, N{tail}) with N = {count} as in means"
        )
    if not tensor.is_floating_point() or tensor.dtype != means.dtype:
        raise ValueError(f"{name} are {tensor.dtype}, expected one floating type in all ({means.dtype}); convert them")
    if tensor.device != means.device:
        raise ValueError(f"{name} are on {tensor.device}, expected the means' device {means.device}; move them there")


def _pinholes(intrinsics: torch.Tensor) -> list[Pinhole]:
    if intrinsics.ndim not in (2, 3) or intrinsics.shape[-2:] != (3, 3):
        raise ValueError(f"intrinsics have shape {tuple(intrinsics.shape)}, expected (3, 3) or (B, 3, 3) in pixels")
    cameras = []
    for (fx, skew, cx), (shear, fy, cy), last in intrinsics.detach().double().reshape(-1, 3, 3).tolist():
        if skew != 0 or shear != 0 or last != [0, 0, 1]:
            raise ValueError(
                f"intrinsics have the rows {[fx, skew, cx]}, {[shear, fy, cy]}, {last}, expected "
                "[fx, 0, cx], [0, fy, cy], [0, 0, 1] in pixels; normalise them and undo any skew first"
            )
        cameras.append(Pinhole(fx, fy, cx, cy))
    return cameras


def _checked_background(background: torch.Tensor | None, channels: int, means: torch.Tensor) -> torch.Tensor:
    if background is None:
        return means.new_zeros(channels)
    if background.shape != (channels,):
        raise ValueError(f"background has shape {tuple(background.shape)}, expected ({channels},), one value a channel")
    background = background.detach().to(device=means.device)
    if not bool(torch.isfinite(background).all()):
        raise non_finite("background")
    return background
