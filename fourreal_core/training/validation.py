"""Figures on held-out grids while a model is trained: the loss on fixed items, and the PSNR of its first guess."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.codec import SpaceToDepth
from ..model.dit import GridInputs
from ..model.model4d import Model4D
from ..proposals.grid_proposals import propose_planes
from ..synthetic.scene import to_float
from .batches import generator_for
from .data.cache import CachedGrids
from .data.measured import kept_proposals
from .options import TrainingConfig


@torch.no_grad()
def first_guess(
    model: Model4D, frames: Tensor, known: Tensor, seed: int = 0, proposals: Tensor | None = None
) -> Tensor:
    """The mean of what the model holds for possible: its clean frames ``(V, T, H, W, 3)`` at noise level 1.

    Args:
        model: On the CPU.
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``; only known cells are looked at.
        known: ``(V, T)`` bool.
        seed: Of the noise.
        proposals: ``(P, V, T, H, W, 3)`` for a model that takes them.
    """
    codec = SpaceToDepth(model.spec.dit.subpixel)
    clean = codec.encode(frames)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    given = known[..., None, None, None]
    inputs = GridInputs(
        torch.where(given, clean, noise)[None],
        (~known).float()[None],
        known[None],
        None if proposals is None else codec.encode(proposals).movedim(0, 2).flatten(2, 3)[None],
    )
    return codec.decode(model.predict(inputs).clean[0])


def validate(
    config: TrainingConfig, model: Model4D, grids: CachedGrids, count: int
) -> tuple[dict[str, float], tuple[Tensor, Tensor, Tensor]]:
    """Figures over the first ``count`` held-out grids, and a sample.

    Args:
        config: The stage; ``base`` is shown rows and columns with their first two frames known.
        model: In evaluation mode.
        grids: Held out.
        count: How many, at most all.

    Returns:
        ``psnr`` and ``subject_psnr`` over unknown cells in dB; and the first grid as made, its known cells, its truth.
    """
    window, proposals = max(config.train.windows, key=lambda w: w[0] * w[1]), model.spec.dit.proposals
    known = torch.zeros(window, dtype=torch.bool)
    known[0] = known[:, 0] = True
    everything, subjects, sample = [], [], None
    for i in range(min(count, len(grids))):
        cells, masks = grids.read(i)
        truth, masks = to_float(cells[: window[0], : window[1]]), masks[: window[0], : window[1]]
        if config.stage == "base":
            made, mine = _videos(model, truth, i)
        else:
            made, mine = first_guess(model, truth, known, i, _proposals(grids, i, truth, proposals)), known
        wrong = (made - truth) ** 2
        everything.append(_decibels(wrong[~mine].flatten(1).mean(1)))
        subject = (wrong.mean(-1) * masks)[~mine].flatten(1).sum(1) / masks[~mine].flatten(1).sum(1).clamp_min(1)
        subjects.append(_decibels(subject[masks[~mine].flatten(1).any(1)]))
        sample = sample or (made, mine, truth)
    mean = {"psnr": float(torch.cat(everything).mean()), "subject_psnr": float(torch.cat(subjects).mean())}
    assert sample is not None
    return mean, sample


def _proposals(grids: CachedGrids, index: int, frames: Tensor, names: tuple[str, ...]) -> Tensor | None:
    """What a model is shown of a held-out grid: what is kept beside it, or made anew."""
    kept = kept_proposals(grids, index, names) if names else None
    if kept is None:
        return propose_planes(names, frames[:, 0], frames[0]) if names else None
    return kept[:, : frames.shape[0], : frames.shape[1]]


def _videos(model: Model4D, truth: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """Every row of a grid as a video of its own, or for odd grids every column, from its first two frames."""
    known = torch.zeros(truth.shape[:2], dtype=torch.bool)
    rows = bool(torch.rand((), generator=generator_for("axis", index)) < 0.5)
    (known[:, :2] if rows else known[:2]).fill_(True)
    made = truth.clone()
    for i in range(truth.shape[0] if rows else truth.shape[1]):
        place = (slice(i, i + 1), slice(None)) if rows else (slice(None), slice(i, i + 1))
        made[place] = first_guess(model, truth[place], known[place], i)
    return made, known


def _decibels(mse: Tensor) -> Tensor:
    return -10 * torch.log10(mse.clamp_min(1e-10))
