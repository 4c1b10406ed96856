"""Rendering a whole camera path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from .backends import render
from .inputs import Buffers, split_views
from .options import RasterOptions, Rendered

_DEFAULTS = RasterOptions()


class OnStep(Protocol):
    """Called after every frame; an exception that it raises ends the rendering."""

    def __call__(self, done: int, total: int, preview: torch.Tensor | None = None) -> None: ...


def render_path(
    means: torch.Tensor | Callable[[int], torch.Tensor],
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor | None,
    world_to_camera: torch.Tensor,
    intrinsics: torch.Tensor,
    size: tuple[int, int],
    background: torch.Tensor | None = None,
    options: RasterOptions = _DEFAULTS,
    on_step: OnStep | None = None,
) -> Iterator[Rendered]:
    """Renders splats of world space from one camera after another, without gradients.

    A generator: a frame is rendered when it is asked for, so a film of any length takes the memory of one frame. The
    back end keeps its working buffers from frame to frame; the tensors that are yielded are the caller's.

    Args:
        means: ``(N, 3)`` world-space centres, ``(F, N, 3)`` where they move, or a function from the frame's number to
            ``(N, 3)``.
        scales: ``(N,)`` standard deviations, linear, world units.
        opacities: ``(N,)`` in [0, 1].
        colors: ``(N, C)`` or None for depth and alpha only.
        world_to_camera: ``(F, 4, 4)`` rigid transforms into camera space (OpenCV axes), one a frame.
        intrinsics: ``(3, 3)`` for all frames or ``(F, 3, 3)``, pixels.
        size: ``(height, width)`` in pixels.
        background: ``(C,)``; zeros if None.
        options: As in :func:`fourreal_core.rasterizer.rasterize`.
        on_step: Called as ``on_step(done, total, preview=image)`` after every frame, ``image`` being ``(H, W, C)``.

    Yields:
        One unbatched :class:`Rendered` a frame.

    Raises:
        ValueError: If shapes, types or devices don't fit; with the first frame that is asked for.
    """
    total = len(world_to_camera)
    if world_to_camera.shape != (total, 4, 4):
        raise ValueError(f"world_to_camera has shape {tuple(world_to_camera.shape)}, expected (F, 4, 4)")
    for name, tensor, dims in (("means", means, 2), ("intrinsics", intrinsics, 2)):
        if isinstance(tensor, torch.Tensor) and tensor.ndim > dims and len(tensor) != total:
            raise ValueError(f"{name} are for {len(tensor)} frames, expected {total} as in world_to_camera, or one")
    buffers: Buffers = {}
    for index in range(total):
        with torch.no_grad():
            world = means(index) if callable(means) else (means[index] if means.ndim == 3 else means)
            pose = world_to_camera[index].to(world)
            pinhole = intrinsics[index] if intrinsics.ndim == 3 else intrinsics
            camera_space = world @ pose[:3, :3].T + pose[:3, 3]
            views, _ = split_views(camera_space, scales, opacities, colors, pinhole, size, background)
            batch = render(views, options, buffers)
            rendered = Rendered(batch.image[0], batch.alpha[0], batch.depth[0])
        if on_step is not None:
            on_step(index + 1, total, preview=rendered.image)
        yield rendered
