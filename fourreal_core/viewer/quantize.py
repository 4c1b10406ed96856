"""Numbers of a payload made small: rounded where nobody sees it, and laid out so that zlib finds what repeats."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ..cameras import Cameras
from ..scene.scene4d import Scene4D

_MANTISSA_BITS_DROPPED = 7
_LARGEST_STEP = 32767
_CURVE_BITS = 21


def rounded_floats(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 with the last seven bits of the mantissa rounded away: off by at most 2^-17 of the value."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (_MANTISSA_BITS_DROPPED - 1))
    mask = np.uint32(0xFFFFFFFF ^ ((1 << _MANTISSA_BITS_DROPPED) - 1))
    return ((bits + half) & mask).view(np.float32)


def shuffled(values: NDArray[np.generic]) -> bytes:
    """Little-endian bytes of an array, all first bytes, then all second bytes, and so on."""
    flat = np.ascontiguousarray(values).reshape(-1)
    little = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    return little.view(np.uint8).reshape(len(flat), flat.itemsize).T.tobytes()


def float_bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """The bits that ``rounded_floats`` leaves of a float32, as a whole number."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> _MANTISSA_BITS_DROPPED).astype(np.int32)


def delta_coded(values: NDArray[np.int16] | NDArray[np.int32]) -> bytes:
    """Whole numbers, each as the difference to the one before, its sign in the lowest bit; shuffled.

    Differences wrap around, so the sum that undoes them may, too. With the sign at the bottom small differences of
    either sign leave the high bytes zero.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    changes = np.diff(flat, prepend=flat.dtype.type(0))
    return shuffled((changes << 1) ^ (changes >> (8 * flat.itemsize - 1)))


def morton_order(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """An order in which points that follow one another are mostly near each other: along a Z-shaped curve.

    Args:
        points: ``(N, 3)``.

    Returns:
        Which point is first, second, and so on, ``(N,)``.
    """
    if not len(points):
        return np.zeros(0, np.int64)
    low = points.min(0).astype(np.float64)
    cell = max(float((points.max(0) - low).max()), 1e-30) / (2**_CURVE_BITS - 1)
    cells = ((points - low) / cell).astype(np.uint64)
    codes = np.zeros(len(points), np.uint64)
    for bit in range(_CURVE_BITS):
        for axis in range(3):
            codes |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(codes, kind="stable")


def compact_order(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order in which positions take fewer bytes: their own, such as that of a picture's rows, or Morton's.

    Args:
        points: ``(N, 3)``.
    """
    orders = (np.arange(len(points)), morton_order(points))
    return min(orders, key=lambda order: len(zlib.compress(delta_coded(float_bits(points[order].T)), 1)))


def stepwise(values: NDArray[np.uint8]) -> bytes:
    """Bytes, each as the difference to the one before, modulo 256."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return np.diff(flat, prepend=flat.dtype.type(0)).tobytes()


def quantized_motion(
    places: NDArray[np.float32], means: NDArray[np.float32], cameras: Cameras, step_px: float
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Displacements in whole steps.

    A splat's step spans ``step_px`` pixels at the nearest distance from which one of the cameras sees it at any time.

    Args:
        places: ``(K, M, 3)`` world positions at K times, the first at rest.
        means: ``(M, 3)`` the same at rest as they were written.
        cameras: Of the clip.
        step_px: Pixels.

    Returns:
        Steps ``(K, M, 3)``, zero at the first time, and the world length of a step ``(M,)``.
    """
    nearest = np.full(places.shape[1], np.inf, np.float32)
    for pose in cameras.world_to_cam.cpu().numpy():
        depth = places @ pose[2, :3] + pose[2, 3]
        nearest = np.minimum(nearest, np.where(depth > 1e-2, depth, np.inf).min(0))
    nearest = np.where(np.isfinite(nearest), nearest, 1.0).astype(np.float32)
    units = nearest * np.float32(step_px / float(cameras.intrinsics[:, 0, 0].max()))
    moved = places - means
    if moved.size:  # a path of more than two thousand pixels leaves the picture: longer steps do no harm
        units = np.maximum(units, np.abs(moved).max(axis=(0, 2)) / _LARGEST_STEP)
    units = rounded_floats(units)
    steps = np.rint(moved / np.maximum(units, 1e-30)[:, None]).clip(-_LARGEST_STEP, _LARGEST_STEP).astype(np.int16)
    steps[0] = 0
    return steps, units


def quantized_differences(
    scene: Scene4D, view: int, index: NDArray[np.int64], means: NDArray[np.float32], step_px: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """By how much a view shows chosen splats elsewhere and in other colours.

    Args:
        scene: Where they are from.
        view: Which view.
        index: ``(N,)`` which splats.
        means: ``(N, 3)`` their positions as written.
        step_px: Length of a step in pixels at the splat's depth in this view.

    Returns:
        Offsets ``(N, 3)`` in steps, in the camera's space, and colours ``(N, 3)`` in 255ths, as bytes of int8.
    """
    camera = scene.cameras[view]
    pose = camera.world_to_cam[0].cpu().numpy()
    depth = np.maximum(means @ pose[2, :3] + pose[2, 3], 0.01)
    unit = depth * (step_px / float(camera.intrinsics[0, 0, 0]))
    offsets = scene.view_offsets[view].detach().cpu().numpy()[index]
    steps = np.rint(offsets / unit[:, None]).clip(-_LARGEST_STEP, _LARGEST_STEP).astype(np.int16)
    colors = np.zeros((len(index), 3), np.int8)
    if scene.view_colors is not None:
        changed = scene.view_colors[view].detach().cpu().numpy()[index]
        colors = np.rint(changed * 255).clip(-127, 127).astype(np.int8)
    return steps, colors.view(np.uint8)
