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
from ...progress import OnStep, no_progress
from ...proposals.grid_proposals import propose_planes
from ...proposals.plane_names import set_name
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
) -> int:
    """Measures proposals for every shard of a cache that has none yet; killed at any moment it goes on from there.

    Args:
        folder: Of the cache.
        split: Whose grids.
        names: Planes of a cell, see plane_names.
        workers: Processes; 0 works in this one; or where else, a Ray cluster with a folder that all see.
        on_step: Called after every shard.

    Returns:
        How many shards were done now.

    Raises:
        InputError: No such cache, or no planes.
    """
    if not names:
        raise InputError("no planes to propose", "at least one", "name a set of planes")
    grids = CachedGrids(folder, split)
    todo = [path for path, _ in grids.shards if not proposal_path(path, names).exists()]
    work_through(functools.partial(_propose_shard, names), todo, workers, on_step, len(grids.shards) - len(todo))
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


def _propose_shard(names: tuple[str, ...], shard: Path) -> None:
    with safe_open(shard, framework="pt") as file:
        cells = file.get_tensor("cells")
    made = []
    for grid in cells:
        frames = to_float(grid)
        made.append((propose_planes(names, frames[:, 0], frames[0]) * 255).round().to(torch.uint8))
    with whole_file(proposal_path(shard, names)) as part:
        save_file({"proposals": torch.stack(made)}, part, {"format": FORMAT})
