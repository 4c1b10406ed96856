"""Everything that can go wrong before a run begins: data, the model to start from, what of it is trained, space."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from ..errors import InputError
from ..media.files import prepare_folder
from ..model.checkpoints import load_strictly
from ..model.codec import SpaceToDepth
from ..model.model4d import Model4D
from ..model.model_file import load_model
from ..model.spec import DiTSpec
from .batches import generator_for, make_batch, measured_grids, step_shape
from .data.assets import AssetFolders, AssetShards
from .data.cache import CachedGrids
from .data.latents import LatentGrids, read_latents_meta
from .data.multicam import MultiCameraVideos
from .data.pseudo4d import PseudoGrids
from .data.rows import PseudoFromGrids
from .data.sources import GridSource, Mixture
from .diffusers_bases import SyncedVideos
from .foreign_bases import read_base
from .objective import grid_loss, noisy_inputs
from .options import TRAINS, TrainingConfig
from .trainees import MODEL_FILE, SYNC_FILE, Trainee, check_part, codec_of, foreign_model, prediction_of

log = logging.getLogger(__name__)

_EARLIER = {"base": (), "pseudo4d": ("base",), "finetune4d": ("pseudo4d", "base"), "mixed": ("pseudo4d", "base")}


def grid_source(config: TrainingConfig) -> GridSource:
    """The data of a stage.

    Raises:
        InputError: Data that the stage needs is not named or can't be read, or is smaller than the windows.
    """
    data, train = config.data, config.train
    views, times = (max(w[axis] for w in train.windows) for axis in (0, 1))
    true: list[GridSource] = []
    if data.cache:
        true.append(CachedGrids(data.cache, data.split))
    if data.assets:
        true.append(AssetFolders(data.assets, views, times, data.size))
    if data.shards:
        true.append(AssetShards(data.shards, views, times, data.size))
    if data.multicam:
        true.append(MultiCameraVideos(data.multicam, views, times, data.size))
    grids: GridSource | None = Mixture(true, [1] * len(true)) if len(true) > 1 else true[0] if true else None
    if config.stage == "base":
        videos = [PseudoGrids(data.videos, 1, times, data.size, data.exclude, data.warp)] if data.videos else []
        if videos and any(w[0] > 1 for w in train.windows):
            raise InputError("windows of several views for videos", "[[1, T]]", "change train.base.windows")
        both: list[GridSource] = [s for s in (grids, *videos) if s is not None]
        return Mixture(both, [1] * len(both)) if len(both) > 1 else both[0]
    if config.stage == "finetune4d":
        if grids is None:
            raise InputError("no true 4D grids", "a cache, assets, shards or multicam", "name one under [data]")
        return grids
    if data.videos:
        pseudo: GridSource = PseudoGrids(data.videos, views, times, data.size, data.exclude, data.warp)
    elif grids is not None:
        pseudo = PseudoFromGrids(grids, views, data.warp)
    else:
        raise InputError("no videos", "videos, or grids whose rows serve as such", "name some under [data]")
    if config.stage == "pseudo4d":
        return pseudo
    if grids is None:
        raise InputError("no true 4D grids", "a cache, assets or shards", "name one under [data]")
    return Mixture([pseudo, grids], train.pseudo_share)


def training_data(config: TrainingConfig) -> GridSource | LatentGrids:
    """What a stage is trained on: encoded grids where ``data.latents`` names some, else pictures.

    Raises:
        InputError: Data that is not there, or can't be read.
    """
    if not config.data.latents:
        return grid_source(config)
    if config.stage == "mixed":
        return LatentGrids(config.data.latents, ("pseudo4d", "finetune4d"), config.train.pseudo_share)
    return LatentGrids(config.data.latents, (config.stage,))


def check_base(config: TrainingConfig) -> None:
    """Refuses a base of diffusers that can't be trained this way, from its settings alone.

    Raises:
        InputError: A model that takes more than latents, a VAE or latents that are missing or of another base.
    """
    if not config.base.transformer:
        return
    check_part(config)
    base = read_base(config.base.transformer)
    base.check()
    pixels = SpaceToDepth(config.model.dit.subpixel).channels
    if not config.data.latents and not config.base.vae and base.channels != pixels:
        raise InputError(
            f"the base {base.name} of {base.channels} latent channels without a VAE (pixels have {pixels})",
            "the VAE that the base was trained with",
            "name it with base.vae and data.latents, and encode the data once with `fourreal data encode`",
        )
    if config.data.latents:
        meta = read_latents_meta(config.data.latents)
        wanted, got = (base.channels, base.text_width), (meta.channels, meta.text_width or base.text_width)
        if wanted != got:
            raise InputError(
                f"latents of {got[0]} channels and text of width {got[1]} for a base of {wanted[0]} and {wanted[1]}",
                "latents that were encoded for this base",
                "change data.latents or base.transformer",
            )


def check_data(config: TrainingConfig, source: GridSource | LatentGrids) -> None:
    """Draws one item of every window, so that data that doesn't fit is seen before training.

    Raises:
        InputError: Grids smaller than a window, cells of another size than the configuration says, or no outlines of
            the subject where it has a weight.
    """
    if isinstance(source, LatentGrids):
        _check_latents(config, source)
        return
    for window in config.train.windows:
        grid = source.draw(0, generator_for(config.train.seed, "check"))
        if grid.shape[0] < window[0] or grid.shape[1] < window[1] or grid.shape[2:4] != config.data.size:
            v, t, h, w = grid.shape[:4]
            raise InputError(
                f"grids of {v} x {t} cells of {w} x {h} pixels",
                f"at least {window[0]} x {window[1]} cells of {config.data.size[1]} x {config.data.size[0]}",
                "change train.windows, data.size or the data",
            )
    measured_grids(config, source)
    patch = 1 if config.base.transformer else config.model.dit.patch
    if any(side % patch for side in config.data.size):
        raise InputError(
            f"cells of {config.data.size[1]} x {config.data.size[0]} pixels",
            f"sides that the patch of {patch} divides",
            "change data.size or model.patch",
        )


def _check_latents(config: TrainingConfig, source: LatentGrids) -> None:
    need = tuple(max(w[axis] for w in config.train.windows) for axis in (0, 1))
    have, size = source.window, source.meta.size
    if have[0] < need[0] or have[1] < need[1] or size != tuple(config.data.size):
        raise InputError(
            f"latents of {have[0]} x {have[1]} cells of {size[1]} x {size[0]} pixels",
            f"at least {need[0]} x {need[1]} cells of {config.data.size[1]} x {config.data.size[0]}",
            "change train.windows or data.size, or encode the data again",
        )


def starting_model(config: TrainingConfig) -> Trainee:
    """A new model, or the one that the stage before left, run the way the configuration says.

    Raises:
        InputError: No model to start from, or one of another architecture.
    """
    if config.base.transformer:
        return foreign_model(config, _start_file(config, SYNC_FILE))
    path = _start_file(config)
    if path is None:
        if config.stage == "base" or config.train.trains == "all":
            return Model4D(config.model, generator_for(config.train.seed, "weights"))
        raise InputError(
            f"no trained base model in {config.run.out}",
            "one to train sync layers on",
            'run `fourreal train base` first, name one with run.start, or train everything (train.trains = "all")',
        )
    model = load_model(path)
    mine, its = config.model.dit, model.spec.dit
    if (
        mine.chooser
        and replace(mine, proposals=its.proposals, chooser=0) == its
        and its.proposals == mine.planes.names_beside
    ):
        model, its = _with_chooser(model, mine, config.train.seed), mine
    if mine != its:
        other = [
            f"{name} {getattr(its, name)!r} for {getattr(mine, name)!r}"
            for name in mine.__dataclass_fields__
            if getattr(its, name) != getattr(mine, name)
        ]
        raise InputError(
            f"{path} is of another architecture ({', '.join(other)})",
            "the one under [model]",
            "change [model] or run.start",
        )
    if model.spec != config.model:
        model = model.with_variant(config.model.variant, config.model.dropped)
    log.info("starting from %s", path)
    return model


def _with_chooser(model: Model4D, dit: DiTSpec, seed: int) -> Model4D:
    """The same model with a chooser, new, before it."""
    other = Model4D(replace(model.spec, dit=dit), generator_for(seed, "weights"))
    load_strictly(other, other.state_dict() | model.state_dict(), "the model to start from")
    return other


def choose_trained(model: Trainee, config: TrainingConfig) -> dict[str, nn.Parameter]:
    """Lets only what the stage trains have gradients; returns those parameters by name."""
    trained = model.trained_parts(TRAINS[config.train.trains])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in trained.values():
        parameter.requires_grad_(True)
    model.recompute = config.train.checkpointing
    if isinstance(model, Model4D):  # a chooser by itself is trained on its choice
        model.choice_alone = config.train.trains == "chooser"
    return trained


def compile_parts(model: Trainee, device: torch.device) -> None:
    """Lets torch.compile fuse the parts of a model, each when it first runs; its copies stay as they are.

    Args:
        model: The project's own.
        device: That it will run on.

    Raises:
        InputError: Nothing to compile with, or a model of diffusers.
    """
    if not isinstance(model, Model4D):
        raise InputError("train.compile for a model of diffusers", "the project's own", "set train.compile to false")
    try:
        torch.compile(torch.neg)(torch.zeros(1, device=device))
    except Exception as err:  # whatever the compiler and its tools raise
        why = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise InputError(
            f"train.compile where nothing can be compiled ({why})",
            "a C++ compiler",
            "install one, or set train.compile to false",
        ) from err
    dit = model.dit
    for part in (dit.stem, dit.head_out, *dit.blocks, dit.chooser):
        if part is not None:
            part.compile()


def choose_precision(
    config: TrainingConfig, model: Trainee, source: GridSource | LatentGrids, device: torch.device
) -> str:
    """``bf16`` or ``float32``; with ``auto`` whichever takes less time for a few forward and backward passes here."""
    if config.train.precision != "auto":
        return config.train.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    largest = max(range(64), key=lambda step: _cells(step_shape(config, step)[1]))
    batch = make_batch(config, source, largest, range(min(config.train.micro_batch, config.train.batch)))
    inputs, clean, noise = noisy_inputs(batch, codec_of(config))
    seconds = {}
    for name in ("float32", "bf16", "float32", "bf16"):  # each twice: the first one also warms up
        start = perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
            drawn = model(inputs)
        grid_loss(drawn, clean, noise, inputs.known, prediction_of(model)).mean().backward()
        seconds[name] = perf_counter() - start
        model.zero_grad(set_to_none=True)
    log.info("a pass takes %.2f s in float32 and %.2f s in bf16", seconds["float32"], seconds["bf16"])
    return min(seconds, key=seconds.__getitem__)


def check_space(folder: Path, model: nn.Module, keep: int) -> None:
    """Refuses a disk on which the checkpoints of a run can't fit; a frozen base of diffusers is not in them.

    Raises:
        InputError: Too little space, or a folder that can't be written.
    """
    prepare_folder(folder)
    written = model.sync if isinstance(model, SyncedVideos) else model
    weights = sum(p.numel() for p in written.parameters()) * 4
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) * 4
    needed, free = (keep + 1) * (weights + 3 * trained) + 2 * weights + 2**20, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{free >> 20} MiB free at {folder}",
            f"the {needed >> 20} MiB of its checkpoints",
            "free some space, or choose another run.out",
        )


def _cells(shape: tuple[int, int]) -> int:
    return shape[0] * shape[1]


def _start_file(config: TrainingConfig, name: str = MODEL_FILE) -> Path | None:
    if config.run.start is not None:
        return Path(config.run.start)
    found = [Path(config.run.out) / stage / name for stage in _EARLIER[config.stage]]
    return next((path for path in found if path.is_file()), None)
