"""A cache of encoded grids: latents and text in shards, so that training needs neither VAE nor text encoder.

``latents.json`` says what made them; ``STAGE-00000.safetensors`` and so on hold the grids of a stage, latents as
float16 and text, without its padding, as bfloat16; ``no_caption.safetensors`` holds the text of an empty caption.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import InputError
from ...media.files import prepare_folder, whole_file, write_bytes
from .sources import Skipped

FORMAT, VERSION, META = "fourreal-latents", 1, "latents.json"
NO_CAPTION = "no_caption.safetensors"


@dataclass(frozen=True)
class LatentsMeta:
    """What all shards of a folder share.

    Attributes:
        vae: Name of the VAE that made them.
        text_encoder: Name of the text encoder; empty where captions were left out.
        size: ``(height, width)`` of a cell in pixels.
        channels: Of a latent.
        text_width: Width of a text token; 0 without text.
        padded_text: Tokens to which text is filled up with zeros when it is read; 0 where it isn't.
    """

    vae: str
    text_encoder: str
    size: tuple[int, int]
    channels: int
    text_width: int
    padded_text: int

    def agree(self, folder: Path) -> None:
        """Writes what the folder holds, or checks that it holds the same.

        Raises:
            InputError: Latents of another kind lie there.
        """
        prepare_folder(folder)
        if not (folder / META).exists():
            facts = {"format": FORMAT, "version": VERSION} | asdict(self)
            write_bytes(folder / META, json.dumps(facts, indent=1).encode())
            return
        there = asdict(read_latents_meta(folder))
        different = [f"{name} {there[name]!r}" for name, mine in asdict(self).items() if there[name] != mine]
        if different:
            raise InputError(
                f"latents in {folder} with {' and '.join(different)}",
                "the same as this configuration's",
                "choose another data.latents, or remove that folder",
            )


class EncodedGrid(NamedTuple):
    """A grid to learn from.

    Attributes:
        latents: ``(V, T, C, h, w)`` float32.
        text: ``(L, E)`` float32, of length 0 where there is none.
    """

    latents: Tensor
    text: Tensor


def read_latents_meta(folder: Path | str) -> LatentsMeta:
    """What ``latents.json`` says.

    Raises:
        InputError: No such file, or not of this kind.
    """
    path = Path(folder) / META
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if (facts.pop("format"), facts.pop("version")) != (FORMAT, VERSION):
            raise InputError(f"{path} is of another kind or version", f"{FORMAT} {VERSION}", "encode the data again")
        return LatentsMeta(**facts | {"size": tuple(facts["size"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(
            f"no latents at {folder} ({err})",
            f"a folder with {META}",
            "make it with `fourreal data encode STAGE --config FILE`",
        ) from err


def latents_path(folder: Path, stage: str, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"{stage}-{shard:05d}.safetensors"


def write_latents(path: Path, grids: Sequence[EncodedGrid], captions: Sequence[str]) -> None:
    """Writes a shard, whole or not at all."""
    ends = torch.tensor([len(grid.text) for grid in grids]).cumsum(0)
    tensors = {
        "latents": torch.stack([grid.latents for grid in grids]).half(),
        "text": torch.cat([grid.text for grid in grids]).bfloat16(),
        "text_ends": ends,
    }
    with whole_file(path) as part:
        save_file(tensors, part, {"format": FORMAT, "captions": json.dumps(list(captions))})


def write_no_caption(folder: Path, text: Tensor) -> None:
    """Keeps the text ``(L, E)`` of an empty caption."""
    with whole_file(folder / NO_CAPTION) as part:
        save_file({"text": text.bfloat16()}, part, {"format": FORMAT})


class LatentGrids:
    """The encoded grids of one stage or, in turn, of several.

    Args:
        folder: Of latents.
        stages: Whose.
        shares: How many of a round come from each stage.

    Raises:
        InputError: No latents there, or none of a stage's shards can be read.

    Attributes:
        meta: What they are.
        no_caption: ``(L, E)`` text of an empty caption, of length 0 without text.
        skipped: Shards that can't be read.
    """

    def __init__(self, folder: Path | str, stages: Sequence[str], shares: Sequence[int] = (1,)) -> None:
        self.folder, self.skipped = Path(folder), Skipped()
        self.meta = read_latents_meta(folder)
        self.no_caption = torch.zeros(0, self.meta.text_width)
        if self.meta.text_width:
            self.no_caption = self._no_caption()
        self._rounds = [stage for stage, share in zip(stages, shares, strict=True) for _ in range(share)]
        self._shards = {stage: self._found(stage) for stage in stages}

    def draw(self, position: int, generator: torch.Generator) -> EncodedGrid:
        """A random grid of the stage whose turn it is."""
        shards = self._shards[self._rounds[position % len(self._rounds)]]
        index = int(torch.randint(sum(count for _, count, _ in shards), (), generator=generator))
        for path, count, _ in shards:
            if index < count:
                return self._read(path, index)
            index -= count
        raise AssertionError("an index within the sum of the counts lies in a shard")

    @property
    def window(self) -> tuple[int, int]:
        """Views and times of the smallest grids."""
        shapes = [shape for shards in self._shards.values() for _, _, shape in shards]
        return min(s[0] for s in shapes), min(s[1] for s in shapes)

    def __len__(self) -> int:
        return sum(count for shards in self._shards.values() for _, count, _ in shards)

    def _read(self, path: Path, index: int) -> EncodedGrid:
        with safe_open(path, framework="pt") as file:
            latents: Tensor = file.get_slice("latents")[index : index + 1][0]
            ends = file.get_tensor("text_ends").tolist()
            start = ends[index - 1] if index else 0
            text: Tensor = file.get_slice("text")[start : ends[index]]
        return EncodedGrid(latents.float(), text.float())

    def _found(self, stage: str) -> list[tuple[Path, int, tuple[int, int]]]:
        found = []
        for path in sorted(self.folder.glob(f"{stage}-*.safetensors")):
            try:
                found.append((path, *_measured(path)))
            except InputError as err:
                self.skipped.add(path.name, err)
        if not found:
            raise InputError(
                f"no readable latents of the stage {stage!r} in {self.folder} ({len(self.skipped)} damaged)",
                "at least one shard",
                f"make them with `fourreal data encode {stage} --config FILE`",
            )
        return found

    def _no_caption(self) -> Tensor:
        try:
            return load_file(self.folder / NO_CAPTION)["text"].float()
        except (SafetensorError, OSError, KeyError) as err:
            raise InputError(
                f"{self.folder / NO_CAPTION} can't be read ({err})", "the text of no caption", "encode the data again"
            ) from err


def is_whole(path: Path) -> bool:
    """Whether a shard is there and can be read."""
    try:
        return path.exists() and _measured(path)[0] > 0
    except InputError:
        return False


def _measured(path: Path) -> tuple[int, tuple[int, int]]:
    """Grids of a shard, and their views and times."""
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise InputError(f"{path.name} is of another kind", FORMAT, "remove it")
            count, views, times = file.get_slice("latents").get_shape()[:3]
            return int(count), (int(views), int(times))
    except (SafetensorError, OSError) as err:
        raise InputError(f"{path.name} can't be read ({err})", "a whole shard", "encode it again") from err
