"""Data to latents and text, once: what training of sync layers on a base of diffusers reads ever after."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from ..synthetic.scene import to_float
from .batches import generator_for
from .caption_encoder import CaptionEncoder
from .data.latents import (
    EncodedGrid,
    LatentsMeta,
    is_whole,
    latents_path,
    write_latents,
    write_no_caption,
)
from .data.sources import GridSource, take
from .diffusers_vae import FrameVAE
from .foreign_bases import ForeignBase, read_base
from .options import TrainingConfig
from .preparing import grid_source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodeOptions:
    """What is encoded, and how.

    Attributes:
        grids: How many. As many as there are items see each once; beyond that each comes again, cut, warped and
            mirrored otherwise.
        per_shard: Grids a file.
        views: Of a grid; 0 takes the largest window's.
        times: Likewise.
        device: Where VAE and text encoder run; ``auto`` takes a GPU where there is one.
        frames: Pictures that go through the VAE at once.
    """

    grids: int = 512
    per_shard: int = 16
    views: int = 0
    times: int = 0
    device: str = "auto"
    frames: int = 8

    def __post_init__(self) -> None:
        if min(self.grids, self.per_shard, self.frames) < 1 or min(self.views, self.times) < 0:
            raise InputError(
                f"{self.grids} grids of {self.views} x {self.times}, {self.per_shard} a shard, {self.frames} at once",
                "at least one of each",
                "change them",
            )


class _Encoders:
    """The VAE and the text encoder of a configuration on one device."""

    def __init__(self, config: TrainingConfig, base: ForeignBase, options: EncodeOptions) -> None:
        device = _device(options.device)
        self.vae = FrameVAE(str(config.base.vae), device, options.frames)
        self.text: CaptionEncoder | None = None
        if config.base.text_encoder:
            tokenizer = config.base.tokenizer or str(Path(config.base.text_encoder).with_name("tokenizer"))
            kind = torch.bfloat16 if device.type == "cuda" else torch.float32
            self.text = CaptionEncoder(config.base.text_encoder, tokenizer, base.longest_text, device, kind)
        self._known: dict[str, Tensor] = {}

    def words(self, caption: str) -> Tensor:
        """Text of a caption; each is encoded once."""
        if self.text is None:
            return torch.zeros(0, 0)
        if caption not in self._known:
            self._known[caption] = self.text.encode(caption)
        return self._known[caption]


def encode_stage(
    config: TrainingConfig, options: EncodeOptions | None = None, on_step: OnStep = no_progress
) -> dict[str, Any]:
    """Encodes a stage's grids into ``data.latents``; stopped at any moment it goes on with the shards not there yet.

    Args:
        config: The stage, with a base of diffusers, its VAE, and data of pictures.
        options: How many, and where.
        on_step: Called after every grid.

    Returns:
        A report: grids, captions, what was skipped.

    Raises:
        InputError: Something that is not named or can't be read, or parts that don't fit each other.
    """
    options, folder, base = options or EncodeOptions(), _folder(config), _checked_base(config)
    views, times = (max(w[axis] for w in config.train.windows) for axis in (0, 1))
    window = (options.views or views, options.times or times)
    source = grid_source(
        replace(config, data=replace(config.data, latents=None), train=replace(config.train, windows=(window,)))
    )
    encoders = _Encoders(config, base, options)
    _meta(config, base, encoders).agree(folder)
    if encoders.text is not None:
        write_no_caption(folder, encoders.words(""))
    captions: set[str] = set()
    shards = -(-options.grids // options.per_shard)
    for shard in range(shards):
        path = latents_path(folder, config.stage, shard)
        first, end = shard * options.per_shard, min((shard + 1) * options.per_shard, options.grids)
        if not is_whole(path):
            grids, words = [], []
            for position in range(first, end):
                grid, caption = _encoded(config, source, encoders, position)
                grids.append(grid)
                words.append(caption)
                on_step(position, options.grids)
            write_latents(path, grids, words)
            captions |= set(words)
        on_step(end, options.grids)
    captions -= {""}
    if captions and encoders.text is None:
        log.warning("%d captions are left out: no base.text_encoder is named", len(captions))
    return {
        "stage": config.stage,
        "latents": str(folder),
        "grids": options.grids,
        "captions": len(captions),
        "skipped": source.skipped.reasons,
    }


def _encoded(config: TrainingConfig, source: GridSource, encoders: _Encoders, position: int) -> tuple[EncodedGrid, str]:
    """One grid. It is mirrored here, if at all, since latents can't be; colours stay those of the caption."""
    generator = generator_for(config.train.seed, config.stage, "encode", position)
    grid, caption = take(source, position, generator)
    if config.data.augment and bool(torch.rand((), generator=generator) < 0.5):
        grid = grid.flip(3)
    latents = encoders.vae.encode(to_float(grid))
    return EncodedGrid(latents, encoders.words(caption)), caption


def _folder(config: TrainingConfig) -> Path:
    missing = [
        name
        for name, value in (
            ("data.latents", config.data.latents),
            ("base.transformer", config.base.transformer),
            ("base.vae", config.base.vae),
        )
        if not value
    ]
    if missing or config.stage == "base":
        raise InputError(
            f"nothing to encode with (stage {config.stage}, without {', '.join(missing) or 'a stage on grids'})",
            "a stage on grids, data.latents, base.transformer and base.vae",
            "name them in the configuration",
        )
    return Path(str(config.data.latents))


def _checked_base(config: TrainingConfig) -> ForeignBase:
    base = read_base(str(config.base.transformer), config.base.architecture)
    base.check()
    return base


def _meta(config: TrainingConfig, base: ForeignBase, encoders: _Encoders) -> LatentsMeta:
    """What the latents will be, if everything fits.

    Raises:
        InputError: A VAE or text encoder of another base, or sides that don't fit a token.
    """
    vae, text = encoders.vae, encoders.text
    if vae.channels != base.channels:
        raise InputError(
            f"the VAE {config.base.vae} of {vae.channels} channels for the base {base.name} of {base.channels}",
            "the VAE that the base was trained with",
            "change base.vae or base.transformer",
        )
    if text is not None and text.width != base.text_width:
        raise InputError(
            f"the text encoder {config.base.text_encoder} of width {text.width} for a base of {base.text_width}",
            "the text encoder that the base was trained with",
            "change base.text_encoder",
        )
    side = vae.factor * base.patch
    if any(n % side for n in config.data.size):
        raise InputError(
            f"cells of {config.data.size[1]} x {config.data.size[0]} pixels",
            f"sides that {side} divides",
            "change data.size",
        )
    return LatentsMeta(
        str(config.base.vae),
        config.base.text_encoder or "",
        config.data.size,
        vae.channels,
        0 if text is None else text.width,
        0 if text is None else base.padded_text,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as err:
        why = str(err).strip().splitlines()[0]
        raise InputError(f"the device {name!r} ({why})", "one that is there", "say cpu, cuda or auto") from err
    return device
