"""What a stage may train: the project's own 4D model, or sync layers on a frozen video model of diffusers."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..model.checkpoints import load_strictly
from ..model.codec import Codec, SpaceToDepth
from ..model.model4d import Model4D
from ..model.model_file import save_model
from ..model.sync_file import load_sync, save_sync
from .diffusers_bases import SyncedVideos, load_base
from .diffusers_vae import FrameVAE
from .options import TrainingConfig

log = logging.getLogger(__name__)
Trainee = Model4D | SyncedVideos
MODEL_FILE, SYNC_FILE = "model.safetensors", "sync.safetensors"
_SYNC = "sync."


def check_part(config: TrainingConfig) -> None:
    """Refuses to train anything but sync layers on a base of diffusers.

    Raises:
        InputError: A stage or part that needs the project's own model.
    """
    if config.stage == "base" or config.train.trains != "sync":
        raise InputError(
            f"train.trains = {config.train.trains!r} in the stage {config.stage!r} on a model of diffusers",
            "sync layers, in a stage on grids",
            "remove [base], or train the sync layers alone",
        )


def foreign_model(config: TrainingConfig, start: Path | None = None) -> SyncedVideos:
    """The base model of diffusers that the configuration names, with new sync layers, or those of a stage before.

    Args:
        config: The stage.
        start: File of sync layers to go on from.

    Raises:
        InputError: A stage or part that needs the project's own model, a base that can't be read, or sync layers of
            another base or rule.
    """
    check_part(config)
    dtype = torch.bfloat16 if config.base.dtype == "bf16" else torch.float32
    spec = config.model
    model = load_base(str(config.base.transformer), spec.variant, dtype, spec.sync_rank, spec.dropped)
    if start is not None:
        sync = load_sync(start, model.base_fingerprint())
        if sync.spec.resolved() != model.sync.spec.resolved():
            raise InputError(
                f"sync layers {start} of the rule {sync.spec.resolved()}",
                str(model.sync.spec.resolved()),
                "change model.variant, model.sync_rank or model.dropped, or name other layers with run.start",
            )
        load_strictly(model.sync, sync.state_dict(), str(start))
        log.info("starting from %s", start)
    return model


def codec_of(config: TrainingConfig) -> Codec:
    """Frames to latents: the VAE that the configuration names, or pixels moved into channels; encoded data needs none.

    Raises:
        InputError: A VAE that can't be read.
    """
    return (
        FrameVAE(config.base.vae)
        if config.base.vae and not config.data.latents
        else SpaceToDepth(config.model.dit.subpixel)
    )


def prediction_of(model: Trainee) -> str:
    """What the network predicts: ``velocity`` or ``clean``."""
    return model.spec.dit.prediction if isinstance(model, Model4D) else "velocity"


def has_one_level(model: Trainee) -> bool:
    """Whether the network knows one noise level a video, so that known cells are given to it as noisy as the others."""
    return isinstance(model, SyncedVideos) and model.videos.one_level


@contextlib.contextmanager
def offsets_of(model: Trainee) -> Iterator[list[Tensor]]:
    """While it lasts, the list gets the offsets in pixels of every call of a warp head."""
    assert isinstance(model, Model4D)  # true flows are for the own model alone; choose_trained sees to it
    found: list[Tensor] = []
    handle = model.dit.head_out.register_forward_hook(lambda module, given, made: found.append(made[2]))
    try:
        yield found
    finally:
        handle.remove()


def kept(model: Trainee, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a checkpoint holds: all, or without a frozen base that lies elsewhere."""
    return {name: w for name, w in weights.items() if isinstance(model, Model4D) or name.startswith(_SYNC)}


def put_back(model: Trainee, weights: Mapping[str, Tensor], name: str) -> None:
    """Loads what ``kept`` returned.

    Raises:
        InputError: Weights of another model.
    """
    if isinstance(model, Model4D):
        load_strictly(model, weights, name)
    else:
        load_strictly(model.sync, {k.removeprefix(_SYNC): w for k, w in weights.items()}, name)


def with_weights(model: Trainee, weights: Mapping[str, Tensor]) -> Trainee:
    """A copy of a model, on the CPU and in evaluation mode, that has other weights; a frozen base is shared."""
    if isinstance(model, Model4D):
        other: Trainee = Model4D(model.spec)
    else:
        other = copy.copy(model)
        other._modules = dict(model._modules)
        other.sync = copy.deepcopy(model.sync).cpu()
    put_back(other, weights, "the average")
    return other.eval()


def save_trained(folder: Path, model: Trainee, header: Mapping[str, str], sync_alone: bool) -> Path:
    """Writes the model file, and the sync layers alone where they alone were trained.

    Returns:
        The file to load.
    """
    path = folder / MODEL_FILE
    if isinstance(model, Model4D):
        save_model(path, model, header)
    if sync_alone:
        save_sync(folder / SYNC_FILE, model.sync, model.base_fingerprint(), header)
    return path if isinstance(model, Model4D) else folder / SYNC_FILE
