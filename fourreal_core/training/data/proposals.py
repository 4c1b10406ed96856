"""What flow proposes for a cache's grids, measured once and kept beside its shards; resumable, like the cache."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import InputError
from ...media.files import whole_file
from ...model.chooser import Chooser
from ...model.model_file import load_model
from ...model.shown_planes import with_choice
from ...progress import OnStep, no_progress
from ...proposals.grid_proposals import propose_planes
from ...proposals.plane_names import CHOICE, set_name
from ...spread import SpreadOptions
from ...synthetic.scene import to_float
from .background import work_through
from .cache import CachedGrids

FORMAT = "fourreal-grid-proposals"


def propose_cache(
    folder: Path | str,
    split: str,
    names: tuple[str, ...],
    workers: int | SpreadOptions = 1,
    on_step: OnStep = no_progress,
    chooser: Path | None = None,
) -> int:
    """Measures proposals for every shard of a cache that has none yet; killed at any moment it goes on from there.

    Args:
        folder: Of the cache.
        split: Whose grids.
        names: Planes of a cell, see plane_names.
        workers: Processes; 0 works in this one; or where else, a Ray cluster with a folder that all see.
        on_step: Called after every shard.
        chooser: File of a model whose chooser makes the choice, for planes with one.

    Returns:
        How many shards were done now.

    Raises:
        InputError: No such cache, or no planes, or no chooser for planes with a choice.
    """
    if not names:
        raise InputError("no planes to propose", "at least one", "name a set of planes")
    if (CHOICE in names) != (chooser is not None):
        raise InputError(
            f"{'planes with' if CHOICE in names else 'a chooser for planes without'} a choice",
            "a model with a chooser for `chosen`, and none otherwise",
            "name one with --chooser, or leave it out",
        )
    if chooser is not None:
        _chooser_of(chooser, names)
    grids = CachedGrids(folder, split)
    todo = [path for path, _ in grids.shards if not proposal_path(path, names).exists()]
    work = functools.partial(_propose_shard, names, chooser)
    work_through(work, todo, workers, on_step, len(grids.shards) - len(todo))
    return len(todo)


def proposal_path(shard: Path, names: tuple[str, ...]) -> Path:
    """Where the planes of a shard lie, by the name of their set; those that are no set have a digest of theirs."""
    label = set_name(names) or hashlib.blake2b("|".join(names).encode(), digest_size=4).hexdigest()
    return shard.with_name(f"{shard.stem}.proposals-{label}")


def read_proposals(shard: Path, names: tuple[str, ...], index: int) -> Tensor | None:
    """Proposals ``(P, V, T, H, W, 3)`` uint8 of one grid of a shard; None where none are kept.

    Raises:
        InputError: A damaged file.
    """
    path = proposal_path(shard, names)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            planes: Tensor = file.get_slice("proposals")[index : index + 1][0]
            return planes
    except (SafetensorError, OSError) as err:
        raise InputError(f"{path.name} can't be read ({err})", "a whole file", "remove it and propose again") from err


def _propose_shard(names: tuple[str, ...], chooser: Path | None, shard: Path) -> None:
    with safe_open(shard, framework="pt") as file:
        cells = file.get_tensor("cells")
    choose = None if chooser is None else _chooser_of(chooser, names)
    made = []
    for index, grid in enumerate(cells):
        frames = to_float(grid)
        if choose is None:
            planes = propose_planes(names, frames[:, 0], frames[0])
        else:
            kept = read_proposals(shard, names[1:-1], index)
            kept = propose_planes(names[1:-1], frames[:, 0], frames[0]) if kept is None else kept.float() / 255
            planes = _chosen(choose, kept, frames)
        made.append((planes * 255).round().to(torch.uint8))
    with whole_file(proposal_path(shard, names)) as part:
        save_file({"proposals": torch.stack(made)}, part, {"format": FORMAT})


def _chooser_of(path: Path, names: tuple[str, ...]) -> Chooser:
    """The chooser of a model file, for planes ``names`` with its choice.

    Raises:
        InputError: No such file, or a model whose chooser chooses among others.
    """
    dit = load_model(path).dit
    if dit.chooser is None or with_choice(dit.spec.proposals) != names:
        raise InputError(f"{path.name} for the choice", "a model with a chooser among `candidates`", "name another")
    return dit.chooser


@torch.no_grad()
def _chosen(choose: Chooser, planes: Tensor, frames: Tensor) -> Tensor:
    """Planes ``(P + 2, V, T, H, W, 3)``: the choice, what it was made from, and how sure it is."""
    cells = planes[:, 1:, 1:].permute(1, 2, 0, 5, 3, 4)
    made = choose.with_doubt(2 * cells.flatten(0, 1) - 1).unflatten(0, cells.shape[:2])
    both = torch.zeros(2, *frames.shape)
    both[0] = frames  # of these, known cells stay
    both[:, 1:, 1:] = ((made + 1) / 2).clamp(0, 1).permute(2, 0, 1, 4, 5, 3)
    return torch.cat([both[:1], planes, both[1:]])
