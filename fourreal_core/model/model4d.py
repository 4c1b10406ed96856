"""The 4D video model: a video DiT, the way it runs on a grid, and its prediction as clean frames and as velocity."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError
from .dit import GridInputs, VideoDiT
from .fingerprint import Fingerprint, fingerprint
from .fused import fused_attention
from .spec import Model4DSpec
from .streams import SyncRule, run_fused, run_sequential, run_two_streams, run_video
from .sync import Sync, build_sync

LEAST_LEVEL = 1e-3
"""Noise level below which no velocity is derived from a clean frame: rounding errors would be divided by it."""
PARTS = ("base", "sync", "attention", "chooser", "all")


class Prediction(NamedTuple):
    """A model's output in both parametrisations, ``(B, V, T, C, h, w)``.

    Attributes:
        clean: The clean latents ``x``; the given ones at known cells.
        velocity: ``noise - clean``; zero at known cells.
    """

    clean: Tensor
    velocity: Tensor


class Model4D(nn.Module):
    """A video model that completes whole grids.

    A grid of one row or one column is a video of the base model, of one cell a picture: no variant plays a part there,
    and the base is trained on such grids.

    Args:
        spec: Sizes and variant.
        generator: Source of the first weights; a fixed seed if None.
        dit: The base model to run, shared with whoever else has it; a new one if None.
        sync: Sync layers to run; new ones, at their start, if None.

    Raises:
        InputError: Sync layers of another rule or size.

    Attributes:
        recompute: Whether blocks are computed again in the backward pass, which takes less memory.
        sync_rule: What runs after each block in place of ``sync``, such as a recorder around it; None for ``sync``.
        choice_alone: Whether forward returns what the chooser chose and runs nothing else: for its own training.
    """

    def __init__(
        self,
        spec: Model4DSpec,
        generator: torch.Generator | None = None,
        dit: VideoDiT | None = None,
        sync: Sync | None = None,
    ) -> None:
        super().__init__()
        if sync is not None and sync.spec.resolved() != spec.sync.resolved():
            raise InputError(f"sync layers of {sync.spec}", str(spec.sync), "choose the variant they were made for")
        self.spec = spec
        self.dit = VideoDiT(spec.dit, generator) if dit is None else dit
        self.sync = build_sync(spec.sync, generator) if sync is None else sync
        self.time_attention: nn.ModuleList | None = None
        if spec.variant == "sequential_cross_time":
            self.time_attention = nn.ModuleList(
                copy.deepcopy(block.get_submodule("attention")) for block in self.dit.blocks
            )
        self.recompute = False
        self.sync_rule: SyncRule | None = None
        self.choice_alone = False

    def forward(self, inputs: GridInputs) -> Tensor:
        """The network's own prediction ``(B, V, T, C, h, w)``, of the kind that the spec names.

        Raises:
            InputError: Inputs that don't fit the spec or each other.
        """
        dit, (views, times) = self.dit, inputs.known.shape[1:] if inputs.known.ndim == 3 else (0, 0)
        if self.choice_alone:
            return dit.choice(inputs)
        tokens, drawing = dit.embed(inputs)
        if views == 1 or times == 1:
            axis = "time" if views == 1 else "view"
            mixed = run_video(dit, tokens, dit.condition(inputs, axis, drawing.size), axis, self.recompute)
        elif self.spec.variant == "fused":
            core = functools.partial(fused_attention, views=views, times=times)
            mixed = run_fused(dit, tokens, dit.condition(inputs, "both", drawing.size, core), self.recompute)
        else:
            columns, rows = (dit.condition(inputs, axis, drawing.size) for axis in ("view", "time"))
            if self.spec.variant.startswith("sequential"):
                mixed = run_sequential(dit, tokens, columns, rows, self.time_attention, self.recompute)
            else:
                mixed = run_two_streams(
                    dit, self.sync_rule or self.sync, tokens, inputs.noise_level, columns, rows, self.recompute
                )
        return dit.head(mixed, inputs, drawing)

    def predict(self, inputs: GridInputs) -> Prediction:
        """Clean latents and velocity, whichever of them the network predicts; known cells keep their latents.

        Raises:
            InputError: Inputs that don't fit the spec or each other.
        """
        return self.read(self(inputs), inputs)

    def read(self, output: Tensor, inputs: GridInputs) -> Prediction:
        """Both parametrisations of what forward returned."""
        level = inputs.noise_level[..., None, None, None].to(output.dtype)
        known = inputs.known[..., None, None, None]
        if self.spec.dit.prediction == "clean":
            clean, velocity = output, (inputs.latents - output) / level.clamp_min(LEAST_LEVEL)
        else:
            clean, velocity = inputs.latents - level * output, output
        return Prediction(torch.where(known, inputs.latents, clean), torch.where(known, 0, velocity))

    def base_fingerprint(self) -> Fingerprint:
        """The fingerprint of the base model's weights."""
        return fingerprint(self.dit.parameters())

    def with_variant(self, variant: str, dropped: str = "none", sync: Sync | None = None) -> Model4D:
        """The same base model run another way; it shares the base's weights.

        Args:
            variant: One of spec.MODEL_VARIANTS.
            dropped: Sync layers left out.
            sync: Trained sync layers; new ones, at their start, if None.

        Raises:
            InputError: Sync layers of another rule or size.
        """
        rank = sync.spec.rank if sync is not None else self.spec.sync_rank
        spec = replace(self.spec, variant=variant, dropped=dropped, sync_rank=rank)
        other = Model4D(spec, dit=self.dit, sync=sync)
        other.recompute = self.recompute
        return other.train(self.training)

    def trained_parts(self, part: str) -> dict[str, nn.Parameter]:
        """Parameters by name that a stage of training changes.

        Args:
            part: ``base``: the DiT; ``sync``: the sync layers; ``attention``: the self-attention that the variant tunes
                (a copy for the rows in ``sequential_cross_time``, the blocks' own otherwise); ``chooser``; ``all``.

        Raises:
            InputError: Another name, or a part that this variant doesn't have.
        """
        if part not in PARTS:
            raise InputError(f"a part {part!r}", "one of " + ", ".join(PARTS), "choose one of them")
        if part == "attention":
            prefix = (
                ("time_attention.",)
                if self.time_attention is not None
                else tuple(f"dit.blocks.{k}.attention." for k in range(self.dit.layers))
            )
        else:
            prefix = {"base": ("dit.",), "sync": ("sync.",), "chooser": ("dit.chooser.",), "all": ("",)}[part]
        found = {name: p for name, p in self.named_parameters() if name.startswith(prefix)}
        if not found:
            raise InputError(
                f"no {part} weights in the variant {self.spec.variant!r}",
                "a trained variant, or a model with a chooser",
                "choose hard_trained or soft_trained, set model.chooser, or train another part",
            )
        return found
