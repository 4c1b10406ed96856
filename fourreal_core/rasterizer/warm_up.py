"""The CPU's kernels compiled ahead of their first use, for callers that don't want to wait inside of it."""

from __future__ import annotations

import torch

from .backends import choose_backend
from .interface import rasterize


def missing_code(gradients: bool) -> bool:
    """Whether kernels that CPU tensors will be rendered by lie neither in memory nor in the cache on disk.

    Args:
        gradients: Those of the backward pass, too.
    """
    if choose_backend("cpu", torch.float32)[0] != "numba":
        return False
    from .binning import place_pairs, project_splats
    from .compiling import has_code
    from .compositing import composite_tiles
    from .gradients import gather_gradients, replay_tiles

    kernels = (project_splats, place_pairs, composite_tiles)
    return not all(has_code(kernel) for kernel in (*kernels, *(replay_tiles, gather_gradients) * gradients))


def warm_up(gradients: bool) -> None:
    """Renders one splat on the CPU, whereby the kernels are compiled and kept on disk.

    Args:
        gradients: Those of the backward pass, too.
    """
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        means = torch.tensor([[0.0, 0.0, 2.0]], requires_grad=gradients)
        one, lens = torch.ones(1), torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 4.0], [0.0, 0.0, 1.0]])
        image = rasterize(means, 0.1 * one, 0.5 * one, torch.ones(1, 3), lens, (8, 8)).image
        if gradients:
            image.sum().backward()
