"""A training run's configuration: model, data and schedule, checked at construction (see config_file for the TOML)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model.spec import Model4DSpec
from .data.pseudo4d import WarpOptions

STAGES = ("base", "pseudo4d", "finetune4d", "mixed")
TRAINS = {
    "base": "base",
    "sync": "sync",
    "cross_time": "attention",
    "temporal": "attention",
    "attention": "attention",
    "chooser": "chooser",
    "all": "all",
}
"""What may be trained, and the model's own name for those parameters; ``attention`` is that of any variant."""
LEVELS = ("uniform", "logit_normal")
OPTIMIZERS = ("adamw", "adamw8bit")
PRECISIONS = ("float32", "bf16", "auto")


@dataclass(frozen=True)
class DataOptions:
    """Where grids come from; at least one of ``cache``, ``assets``, ``shards``, ``multicam``, ``videos``, ``latents``.

    Attributes:
        cache: Folder of made grids.
        assets: Folder of true 4D assets.
        shards: WebDataset shards of such assets.
        videos: Folder of videos, for ``base`` and pseudo-4D; without one, pseudo-4D is made of the rows of true grids.
        multicam: Folder of scenes with a video a camera, taken at the same time.
        latents: Folder of encoded grids, which take the place of all the others for sync layers on a base of diffusers.
        exclude: List of videos to leave out, because a camera moves in them over a stopped scene.
        split: Whose seeds of the cache.
        size: ``(height, width)`` of a cell in pixels.
        augment: Mirror, run backward, and swap colours at random.
        warp: Strengths of pseudo-4D.
    """

    cache: str | None = None
    assets: str | None = None
    shards: tuple[str, ...] = ()
    videos: str | None = None
    exclude: str | None = None
    split: str = "train"
    size: tuple[int, int] = (64, 64)
    augment: bool = True
    warp: WarpOptions = field(default_factory=WarpOptions)
    latents: str | None = None
    multicam: str | None = None

    def __post_init__(self) -> None:
        if not (self.cache or self.assets or self.shards or self.multicam or self.videos or self.latents):
            raise InputError("no data", "a cache, assets, shards, multicam, videos or latents", "name one under [data]")
        if len(self.size) != 2 or min(self.size) < 8:
            raise InputError(f"cells of {list(self.size)} pixels", "[height, width] of at least 8", "change data.size")


@dataclass(frozen=True)
class TrainOptions:
    """How a stage is trained.

    Attributes:
        steps: Optimizer steps.
        batch: Videos (``base``) or grids a step, over all processes together.
        micro_batch: How many of them a process computes at once; gradients are accumulated over the rest.
        windows: ``[V, T]`` windows, one drawn a step; ``base`` takes rows and columns of them.
        image_share: Share of ``base`` steps that are on single frames.
        most_known: ``base`` is given the first 0 to so many frames.
        chunk_share: Share of grids with 1 to ``most_known`` columns known beside row 0, as extension in time needs.
        learning_rate: At its peak.
        warm_up: Steps until then.
        last_rate: Share of the peak at the end of the cosine.
        weight_decay: Of matrices.
        betas: Of AdamW.
        clip: Greatest norm of the gradient.
        ema: Decay of the averaged weights that are saved as the model; 0 keeps none.
        levels: How noise levels are drawn.
        full_noise: Share of items at level 1, where the model makes its first guess.
        optimizer: ``adamw``, or ``adamw8bit`` with moments of a byte each (needs bitsandbytes).
        precision: ``bf16`` autocast, ``float32``, or ``auto``: the faster of the two in a short trial.
        checkpointing: Compute blocks again in the backward pass, to save memory.
        compile: Let torch.compile fuse the model's parts: faster after the first minute; needs a C++ compiler.
        trains: One of TRAINS.
        flow_weight: Of the distance in pixels between a warp head's offsets and the true flows, beside the loss; 0 for
            none. It falls to 0 over ``flow_steps``. Only ``finetune4d`` on a cache with flows.
        flow_steps: First steps that are trained with the true flows.
        no_proposal: Share of grids from which one of several proposals is kept, so that a model does with fewer.
        no_caption: Share of encoded grids that are shown with an empty caption, as guidance needs it.
        decibels: A grid's error counts by its logarithm, as in PSNR: grids that are easy weigh as much as hard ones.
        cell_decibels: The same cell by cell, as PSNR is measured: cells near the given ones, which are easy, weigh as
            much as far ones.
        subject_weight: Share of the loss that is measured on the subject alone, in ``finetune4d`` on a cache.
        pseudo_share: Pseudo-4D grids to true ones in ``mixed``.
        seed: Of everything random.
        threads: Of torch; 0 leaves them.
    """

    steps: int = 1000
    batch: int = 8
    micro_batch: int = 8
    windows: tuple[tuple[int, int], ...] = ((8, 8),)
    image_share: float = 0.05
    most_known: int = 4
    chunk_share: float = 0.0
    learning_rate: float = 1e-3
    warm_up: int = 100
    last_rate: float = 0.05
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.999
    levels: str = "uniform"
    full_noise: float = 0.25
    optimizer: str = "adamw"
    precision: str = "auto"
    checkpointing: bool = False
    compile: bool = False
    trains: str = "sync"
    flow_weight: float = 0.0
    flow_steps: int = 0
    no_proposal: float = 0.1
    no_caption: float = 0.1
    decibels: bool = False
    cell_decibels: bool = False
    subject_weight: float = 0.0
    pseudo_share: tuple[int, int] = (1, 2)
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        names = (
            ("trains", tuple(TRAINS)),
            ("levels", LEVELS),
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
        )
        for name, allowed in names:
            if getattr(self, name) not in allowed:
                raise InputError(f"train.{name} = {getattr(self, name)!r}", "one of " + ", ".join(allowed), "change it")
        if (
            min(self.steps, self.batch, self.micro_batch) < 1
            or min(self.warm_up, self.most_known, self.threads, self.flow_weight, self.flow_steps) < 0
        ):
            raise InputError(
                f"{self.steps} steps of {self.batch} in parts of {self.micro_batch}, {self.warm_up} to warm up",
                "at least 1 each, and no negative numbers",
                "change them under [train]",
            )
        if not self.windows or any(len(w) != 2 or min(w) < 1 for w in self.windows):
            raise InputError(f"windows {self.windows}", "[[V, T], ...] with positive sizes", "change train.windows")
        shares = (
            self.image_share,
            self.chunk_share,
            self.full_noise,
            self.no_proposal,
            self.no_caption,
            self.last_rate,
            self.ema,
            self.subject_weight,
        )
        if not all(0 <= share <= 1 for share in shares) or self.ema >= 1 or self.learning_rate <= 0 or self.clip <= 0:
            raise InputError(
                f"shares {shares}, learning rate {self.learning_rate}, clip {self.clip}",
                "shares from 0 to 1, an ema below 1, a positive rate and clip",
                "change them under [train]",
            )


@dataclass(frozen=True)
class RunOptions:
    """Where a run writes, and how often.

    Attributes:
        out: Folder of all stages; each writes to one of its own in it.
        start: Model to start from; by default the one that the stage before left in ``out``.
        checkpoint_every: Steps between checkpoints.
        keep: Checkpoints kept.
        log_every: Steps between lines of the log.
        sample_every: Steps between sample grids; 0 for none.
        validate_every: Steps between figures on held-out grids; 0 for none.
        validation: How many held-out grids, from the split ``validation`` of the cache.
        tensorboard: Write TensorBoard files too.
    """

    out: str = "runs/small"
    start: str | None = None
    checkpoint_every: int = 200
    keep: int = 2
    log_every: int = 10
    sample_every: int = 500
    validate_every: int = 500
    validation: int = 16
    tensorboard: bool = True

    def __post_init__(self) -> None:
        if (
            min(self.checkpoint_every, self.keep, self.log_every) < 1
            or min(self.sample_every, self.validate_every, self.validation) < 0
        ):
            raise InputError(
                f"a checkpoint every {self.checkpoint_every} steps, {self.keep} kept, a log line every "
                f"{self.log_every}",
                "at least 1 each",
                "change them under [run]",
            )


@dataclass(frozen=True)
class BaseOptions:
    """A base model of diffusers to train sync layers on, in place of the project's own.

    Attributes:
        transformer: Folder or Hub name of a ``WanTransformer3DModel`` or ``LTXVideoTransformer3DModel``.
        vae: Folder or Hub name of its VAE; pixels are moved into channels where there is none.
        dtype: ``float32`` or ``bf16``, of the frozen weights.
        text_encoder: Folder or Hub name of its text encoder; captions are left out without one.
        tokenizer: The same of the text encoder's tokenizer; by default the folder ``tokenizer`` beside the encoder's.
        architecture: A published architecture, for estimates while the files aren't there yet.
    """

    transformer: str | None = None
    vae: str | None = None
    dtype: str = "float32"
    text_encoder: str | None = None
    tokenizer: str | None = None
    architecture: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS[:2]:
            raise InputError(f"base.dtype = {self.dtype!r}", "float32 or bf16", "change it")


@dataclass(frozen=True)
class TrainingConfig:
    """One stage of a run.

    Attributes:
        stage: One of STAGES.
        model: What is trained.
        data: What on.
        train: How.
        run: Where to.
        base: A base model of diffusers, if one is named.
    """

    stage: str
    model: Model4DSpec
    data: DataOptions
    train: TrainOptions
    run: RunOptions
    base: BaseOptions = field(default_factory=BaseOptions)

    def __post_init__(self) -> None:
        wanted = {"cross_time": "sequential_cross_time", "temporal": "sequential_temporal"}.get(self.train.trains)
        if self.stage not in STAGES:
            raise InputError(f"a stage {self.stage!r}", "one of " + ", ".join(STAGES), "choose one of them")
        if wanted and self.model.variant != wanted and self.stage != "base":
            raise InputError(
                f"train.trains = {self.train.trains!r} with the variant {self.model.variant!r}",
                wanted,
                "change model.variant",
            )
        if (
            self.train.flow_weight
            and self.stage == "finetune4d"
            and (self.base.transformer or self.model.dit.head != "warp" or self.model.dit.proposals)
        ):
            raise InputError(
                "train.flow_weight for a model without offsets to known cells alone",
                'model.head = "warp" and no proposals',
                "set train.flow_weight to 0",
            )
        got = self.stage, self.train.no_proposal, self.model.dit.prediction
        if self.train.trains == "chooser" and got != ("finetune4d", 0, "clean"):
            raise InputError(
                "train.trains = 'chooser' in the stage {}, no_proposal {}, prediction {!r}".format(*got),
                "the stage finetune4d, candidates in every cell, and clean pictures",
                "change them",
            )
        if self.data.latents and not self.base.transformer:
            raise InputError(
                "data.latents without base.transformer",
                "the base of diffusers whose VAE made them",
                "name it, or other data",
            )
        if self.stage == "base" and self.train.trains not in ("base", "all"):
            raise InputError(
                f"train.trains = {self.train.trains!r} in the stage base",
                "base",
                "the base is trained before its sync layers: change it under [train.base]",
            )

    @property
    def folder(self) -> Path:
        """Where this stage writes."""
        return Path(self.run.out) / self.stage

    def summary(self) -> dict[str, Any]:
        """Everything as plain values, for logs and checkpoints."""
        return asdict(self)
