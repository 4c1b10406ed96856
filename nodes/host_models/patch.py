"""Two streams as a patch of a MODEL, which then works with the host's own samplers and guiders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...fourreal_core.errors import InputError
from .foreign_patches import check_sampling, prepare_options
from .grid_preview import with_wall
from .registry import host_model
from .two_streams import APPLY_MODEL, KEY, OUTER_SAMPLE, TwoStreams, no_grid

KNOWN_CELLS = "fourreal_known_cells"
"""Conditioning value: the known cells ``(V, T)``, compared with the latent's to detect a wrong connection."""

MEMORY = "memory_usage_factor"
MEMORY_FACTOR = 1.5
"""Factor of the memory estimate: two streams' tokens, but one block's intermediate results at a time."""


def patched(model: Any, streams: TwoStreams) -> Any:
    """A clone of a MODEL that runs two streams; the given one is not changed."""
    clone = watched(model)
    clone.remove_wrappers_with_key(APPLY_MODEL, KEY)
    clone.add_wrapper_with_key(APPLY_MODEL, KEY, streams)
    clone.object_patches.pop(MEMORY, None)  # of an earlier patch like this one
    if not streams.family.runs_grids and not streams.alternate:
        clone.add_object_patch(MEMORY, clone.get_model_object(MEMORY) * MEMORY_FACTOR)
    return clone


def watched(model: Any) -> Any:
    """A clone of a MODEL that runs grids itself, with its inputs checked and previews of all cells."""
    clone = model.clone()
    clone.remove_wrappers_with_key(OUTER_SAMPLE, KEY)
    clone.add_wrapper_with_key(OUTER_SAMPLE, KEY, _around_sampling)
    return clone


def unpatched(model: Any) -> Any:
    """A clone of a MODEL that runs grids itself, with its own variant restored."""
    clone = watched(model)
    clone.remove_wrappers_with_key(APPLY_MODEL, KEY)
    return clone


def streams_of(model: Any) -> TwoStreams | None:
    """What a MODEL was patched with, or None."""
    found = model.get_wrappers(APPLY_MODEL, KEY)
    return found[0] if found else None


def check_latent(samples: Tensor, mask: Tensor | None) -> None:
    """Raises InputError when a LATENT is no grid, or its mask not one of a grid."""
    if getattr(samples, "is_nested", False) or samples.ndim != 5 or samples.shape[0] < 2 or samples.shape[2] < 2:
        raise no_grid(tuple(samples.shape) if not getattr(samples, "is_nested", False) else ())
    if mask is None:
        return
    if mask.ndim != 5 or mask.shape[0] not in (1, samples.shape[0]) or mask.shape[2] not in (1, samples.shape[2]):
        raise InputError(
            f"a noise mask of shape {tuple(mask.shape)} for a grid latent of {tuple(samples.shape)}",
            "one value a cell, (views, 1, times, height, width)",
            "use the latent of 'Freeze-Time Conditioning' as it is, without 'Set Latent Noise Mask'",
        )
    if not bool(mask.any()):
        raise InputError(
            "a noise mask by which all cells are known",
            "some cells to make",
            "give 'Frame Grid from Videos' more views or times than the known cells",
        )


def _around_sampling(executor: Any, noise: Tensor, latent_image: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Wraps a whole run of the sampler: checks that latent, conditioning and patches go together, and adds previews.

    ``args`` begin with sampler, sigmas, noise mask and callback.
    """
    sampler, sigmas, mask, callback, *others = args
    guider = executor.class_obj
    check_latent(latent_image, mask)
    _check_patches(guider.model_patcher, guider.model_options, latent_image)
    for conds in guider.conds.values():
        for cond in conds or ():
            _check_cond(cond, latent_image, mask)
    callback = with_wall(callback, guider.model_patcher)
    return executor(noise, latent_image, sampler, sigmas, mask, callback, *others, **kwargs)


def _check_patches(model: Any, options: dict[str, Any], latent: Tensor) -> None:
    family = host_model(model)
    if not family.runs_grids and streams_of(model) is None:
        raise InputError(
            f"{family.name} whose two streams another node has removed",
            "the model of 'Apply Parallel Sync' as it is",
            "put 'Apply Parallel Sync' behind the node that removes patches",
        )
    prepare_options(options, KEY, tuple(latent.shape))
    check_sampling(model, options, family, latent)


def _check_cond(cond: dict[str, Any], latent: Tensor, mask: Tensor | None) -> None:
    views, times = latent.shape[0], latent.shape[2]
    vision = getattr(cond.get("clip_vision_output"), "last_hidden_state", None)
    given = [cond.get(name) for name in ("cross_attn", "pooled_output", "conditioning_byt5small")] + [vision]
    count = max((value.shape[0] for value in given if isinstance(value, Tensor)), default=1)
    if count > 1:
        raise InputError(
            f"{count} prompts or image embeddings in a batch",
            "one for the whole grid",
            "connect a single 'CLIP Text Encode' or 'CLIP Vision Encode' instead of a batch",
        )
    known = cond.get(KNOWN_CELLS)
    if known is None:
        return
    if tuple(known.shape) != (views, times):
        raise InputError(
            f"conditioning for a grid of {known.shape[0]} views and {known.shape[1]} times, and a latent "
            f"of {views} and {times}",
            "both from one 'Freeze-Time Conditioning'",
            "connect its latent, and no node that splits or repeats a batch behind it",
        )
    held = torch.ones(views, times) if mask is None else mask.float().mean((1, 3, 4)).cpu().expand(views, times)
    if not torch.equal(held < 0.5, known.cpu()):
        raise InputError(
            "a latent whose noise mask does not hold the grid's known cells",
            "the latent of the same 'Freeze-Time Conditioning', with its mask",
            "connect it directly, without nodes that drop or replace its mask",
        )
