"""Every rule that mixes the view stream and the time stream after a block (supplement 1.2).

Tokens of both streams lie as ``(B, V, T, S, D)``: batch, view, time, the S tokens of a frame, width. The rules neither
know nor care which network the tokens come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from .residual import zero_parameters

VARIANTS = ("identity", "hard", "soft", "hard_trained", "soft_trained")
DROPPED_SHARE = 0.33
"""Share of the sync layers that the paper's ablation removes (8 of 24)."""

Streams = tuple[Tensor, Tensor]
"""Tokens of the view stream and of the time stream."""


def identity(y_view: Tensor, y_time: Tensor) -> Streams:
    """Leaves both streams as they are."""
    return y_view, y_time


def hard_sync(y_view: Tensor, y_time: Tensor) -> Streams:
    """Both streams go on with their mean (supplement eq. 1); one tensor, given twice."""
    mean = (y_view + y_time) * 0.5
    return mean, mean


def soft_weight(layer: int, layers: int) -> float:
    """How much of the other stream a layer takes: ``0.1 + 0.4 l / L``, with ``l`` from 0 to ``L - 1``."""
    if not 0 <= layer < layers:
        raise InputError(f"layer {layer} of {layers}", f"0 to {layers - 1}", "count layers from 0")
    return 0.1 + 0.4 * layer / layers


def soft_sync(y_view: Tensor, y_time: Tensor, weight: float) -> Streams:
    """Each stream takes a share of the other: ``x_v = (1 - w) y_v + w y_t`` and the reverse (supplement eq. 2).

    Args:
        y_view: ``(B, V, T, S, D)`` tokens of the view stream.
        y_time: ``(B, V, T, S, D)`` tokens of the time stream.
        weight: The other stream's share, see soft_weight.
    """
    return torch.lerp(y_view, y_time, weight), torch.lerp(y_time, y_view, weight)


class NoiseGain(nn.Module):
    """A gain per channel that depends on a cell's noise level; all ones until it is trained.

    Args:
        width: Channels.
        frequencies: Fourier features that encode the level; the lowest is half a turn over ``[0, 1]``.
    """

    def __init__(self, width: int, frequencies: int = 16) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.linear = nn.Linear(2 * frequencies, width)
        zero_parameters(self.linear)

    def forward(self, noise_level: Tensor) -> Tensor:
        """Gains ``(..., width)`` of noise levels ``(...)`` in ``[0, 1]``."""
        turns = torch.linspace(0, 6, self.frequencies, device=noise_level.device)  # in float32 whatever the weights are
        angles = noise_level[..., None].float() * (math.pi * torch.exp2(turns))
        change: Tensor = self.linear(torch.cat([angles.sin(), angles.cos()], -1).to(self.linear.weight.dtype))
        return 1 + change


class HardSync(nn.Module):
    """One shared result: the mean plus ``B diag(gain(s)) A (y_v - y_t)``, where ``B`` starts at zero.

    Args:
        width: D.
        rank: Columns of ``B``; the map has full rank from ``width`` on.
        generator: Source of ``A``.
    """

    def __init__(self, width: int, rank: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.gain = NoiseGain(rank)
        self.down = nn.Parameter(_orthogonal_rows(rank, width, generator))
        self.up = nn.Parameter(torch.zeros(width, rank))

    def forward(self, y_view: Tensor, y_time: Tensor, noise_level: Tensor) -> Streams:
        """Mixes ``(B, V, T, S, D)`` tokens at noise levels ``(B, V, T)``; one tensor, given twice."""
        difference = F.linear(y_view - y_time, self.down) * self.gain(noise_level)[..., None, :]
        mean, _ = hard_sync(y_view, y_time)
        mixed = mean + F.linear(difference, self.up).to(mean.dtype)
        return mixed, mixed


class SoftSync(nn.Module):
    """Two results: eq. 2 plus ``B_v diag(gain_v(s)) A (y_v, y_t)``, and the same with ``B_t`` and ``gain_t``.

    ``A`` serves both streams, so that the map costs little beside a block; both ``B`` start at zero.

    Args:
        width: D.
        rank: Columns of each ``B``; the maps have full rank from ``2 width`` on.
        weight: The other stream's share, see soft_weight.
        generator: Source of ``A``.
    """

    def __init__(self, width: int, rank: int, weight: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.gain = NoiseGain(2 * rank)
        down = _orthogonal_rows(rank, 2 * width, generator)
        self.down_view = nn.Parameter(down[:, :width].clone())
        self.down_time = nn.Parameter(down[:, width:].clone())
        self.up_view = nn.Parameter(torch.zeros(width, rank))
        self.up_time = nn.Parameter(torch.zeros(width, rank))

    def forward(self, y_view: Tensor, y_time: Tensor, noise_level: Tensor) -> Streams:
        """Mixes ``(B, V, T, S, D)`` tokens at noise levels ``(B, V, T)``."""
        shared = F.linear(y_view, self.down_view) + F.linear(y_time, self.down_time)
        gain_view, gain_time = self.gain(noise_level)[..., None, :].chunk(2, -1)
        x_view, x_time = soft_sync(y_view, y_time, self.weight)
        return (
            x_view + F.linear(shared * gain_view, self.up_view).to(x_view.dtype),
            x_time + F.linear(shared * gain_time, self.up_time).to(x_time.dtype),
        )


@dataclass(frozen=True)
class SyncSpec:
    """Which rule runs after which blocks; saved with the weights.

    Attributes:
        variant: One of VARIANTS.
        layers: Blocks L of the network.
        width: D of the tokens; trained rules need it.
        rank: Rank of the trained maps; 0 chooses the one at which a layer's maps take ``width ** 2`` multiplications a
            token, about a twentieth of two blocks: ``width / 2`` for one result, ``width / 4`` for two.
        first: First layer that syncs.
        end: Layer before which the syncing ends; -1 means L.
    """

    variant: str
    layers: int
    width: int = 0
    rank: int = 0
    first: int = 0
    end: int = -1

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InputError(f"a sync variant {self.variant!r}", "one of " + ", ".join(VARIANTS), "choose one of them")
        if self.layers < 1 or min(self.width, self.rank) < 0 or (self.trained and self.width < 1):
            raise InputError(
                f"sync of {self.layers} layers, width {self.width} and rank {self.rank}",
                "at least one layer, and a width where the rule is trained",
                "take both from the base model",
            )
        if not 0 <= self.first <= self.stop <= self.layers:
            raise InputError(
                f"sync from layer {self.first} up to {self.end} of {self.layers}",
                f"0 <= first <= end <= {self.layers}",
                "count layers from 0, or leave the range out",
            )

    @property
    def trained(self) -> bool:
        """Whether the rule has weights."""
        return self.variant.endswith("_trained")

    @property
    def stop(self) -> int:
        """One past the last layer that syncs."""
        return self.layers if self.end == -1 else self.end

    @property
    def map_rank(self) -> int:
        """Rank of the trained maps."""
        return self.rank or max(1, self.width // (2 if self.variant == "hard_trained" else 4))

    def resolved(self) -> SyncSpec:
        """The same layers with every default written out; two specs mean the same if these are equal."""
        return replace(
            self, rank=self.map_rank if self.trained else 0, width=self.width if self.trained else 0, end=self.stop
        )

    def active(self, layer: int) -> bool:
        """Whether the streams meet after this layer."""
        return self.first <= layer < self.stop


def kept_layers(layers: int, dropped: str, share: float = DROPPED_SHARE) -> tuple[int, int]:
    """Range ``(first, end)`` of sync layers that stay when some are dropped.

    Args:
        layers: L.
        dropped: ``none``, ``first`` or ``last``.
        share: Share of the layers that goes.

    Raises:
        InputError: Another name, or a share outside ``[0, 1]``.
    """
    if dropped not in ("none", "first", "last") or not 0 <= share <= 1:
        raise InputError(
            f"dropping {share} of the sync layers, {dropped!r}",
            "none, first or last, and a share in [0, 1]",
            "choose one of them",
        )
    gone = round(share * layers)
    return {"none": (0, layers), "first": (gone, layers), "last": (0, layers - gone)}[dropped]


class Sync(nn.Module):
    """The sync layers of a network; layers outside the spec's range leave the streams alone.

    Only trained rules hold weights, under ``layer.L.``.

    Args:
        spec: Which rule, and where.
        generator: Source of the trained maps' fixed side; a fixed seed if None.
    """

    def __init__(self, spec: SyncSpec, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.layer = nn.ModuleDict()
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        for index in range(spec.first, spec.stop) if spec.trained else ():
            self.layer[str(index)] = (
                HardSync(spec.width, spec.map_rank, generator)
                if spec.variant == "hard_trained"
                else SoftSync(spec.width, spec.map_rank, soft_weight(index, spec.layers), generator)
            )

    def forward(self, layer: int, y_view: Tensor, y_time: Tensor, noise_level: Tensor | None = None) -> Streams:
        """Mixes the streams after a block.

        Args:
            layer: Which block, from 0.
            y_view: ``(B, V, T, S, D)`` tokens of the view stream.
            y_time: ``(B, V, T, S, D)`` tokens of the time stream.
            noise_level: ``(B, V, T)`` in ``[0, 1]``, or of a shape that expands to it; only trained rules read it.

        Returns:
            ``(x_view, x_time)``, the same tensor twice where the rule is hard.

        Raises:
            InputError: Streams that differ in shape or don't have the spec's width, or no noise level
                where one is needed.
        """
        _check_streams(self.spec, y_view, y_time)
        if not self.spec.active(layer):
            return identity(y_view, y_time)
        if self.spec.trained:
            mixed: Streams = self.layer[str(layer)](y_view, y_time, _cell_levels(noise_level, y_view))
            return mixed
        if self.spec.variant == "soft":
            return soft_sync(y_view, y_time, soft_weight(layer, self.spec.layers))
        rule: Callable[[Tensor, Tensor], Streams] = {"identity": identity, "hard": hard_sync}[self.spec.variant]
        return rule(y_view, y_time)


def build_sync(spec: SyncSpec, generator: torch.Generator | None = None) -> Sync:
    """The sync layers of a spec, trained ones at their start: equal to the untrained rule bit for bit."""
    return Sync(spec, generator)


def _orthogonal_rows(rows: int, columns: int, generator: torch.Generator | None) -> Tensor:
    """Random rows of unit length, orthogonal as far as there are columns for it."""
    tall = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    basis: Tensor = torch.linalg.qr(tall)[0]
    return (basis if rows >= columns else basis.T).contiguous()


def _check_streams(spec: SyncSpec, y_view: Tensor, y_time: Tensor) -> None:
    if y_view.ndim != 5 or y_view.shape != y_time.shape or (spec.width and y_view.shape[-1] != spec.width):
        width = f" with D = {spec.width}" if spec.width else ""
        raise InputError(
            f"streams of shape {tuple(y_view.shape)} and {tuple(y_time.shape)}",
            f"(B, V, T, S, D) both{width}",
            "use sync layers that were made for this model",
        )


def _cell_levels(noise_level: Tensor | None, tokens: Tensor) -> Tensor:
    if noise_level is None:
        raise InputError("no noise level", "one a cell, (B, V, T)", "pass the level of the step to trained sync layers")
    try:
        return noise_level.expand(tokens.shape[:3])
    except RuntimeError as error:
        raise InputError(
            f"noise levels of shape {tuple(noise_level.shape)}",
            f"{tuple(tokens.shape[:3])}, one a cell",
            "give every cell of the grid its level",
        ) from error
