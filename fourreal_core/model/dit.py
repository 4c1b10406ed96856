"""The masked video DiT: latents of single frames, patch tokens, and one noise level a frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from .blocks import Attention, AttentionCore, Block, Condition, LevelEmbedding, full_attention
from .chooser import Chooser
from .differences import DifferenceStem, PullHead
from .known_sources import gather_sources, nearest_known
from .patches import Features, Head, Stem, blend_copies
from .rope import rope_angles
from .spec import DiTSpec
from .token_layout import AXES


class GridInputs(NamedTuple):
    """A grid of noisy latents as the network gets it; a single video is a grid of one row or one column.

    Attributes:
        latents: ``(B, V, T, C, h, w)``: clean where known, noisy elsewhere.
        noise_level: ``(B, V, T)`` in ``[0, 1]``, 0 where known.
        known: ``(B, V, T)`` bool.
        proposal: ``(B, V, T, P * C, h, w)``, up to as many proposals as the model takes, one behind the other in the
            channels; a cell for which one is all zeros has none. Or None.
        text: ``(B, L, text_width)`` text tokens; or None.
        text_mask: ``(B, L)`` bool, true where there is text; or None.
        view_positions: ``(V,)`` positions along the view axis, 0 to V - 1 if None.
        time_positions: ``(T,)`` positions along the time axis, 0 to T - 1 if None.
    """

    latents: Tensor
    noise_level: Tensor
    known: Tensor
    proposal: Tensor | None = None
    text: Tensor | None = None
    text_mask: Tensor | None = None
    view_positions: Tensor | None = None
    time_positions: Tensor | None = None

    def positions(self, axis: str) -> Tensor:
        """Positions of a video's frames along ``view`` or ``time``."""
        given = self.view_positions if axis == "view" else self.time_positions
        if given is not None:
            return given
        return torch.arange(self.latents.shape[1 if axis == "view" else 2], device=self.latents.device)


class Drawing(NamedTuple):
    """What the head needs again of what the stem saw.

    Attributes:
        features: Of the stem, see patches.Features; or None.
        pictures: ``(B * V * T, copies, channels, H, W)``.
        present: ``(B * V * T, copies)`` bool.
        size: Rows and columns of tokens.
    """

    features: Features | None
    pictures: Tensor
    present: Tensor
    size: tuple[int, int]


class VideoDiT(nn.Module):
    """The base model, in the pieces that the streams run: embed, condition, block, head.

    Args:
        spec: Sizes and choices.
        generator: Source of the first weights; a fixed seed if None.
    """

    def __init__(self, spec: DiTSpec, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.stem = DifferenceStem(spec) if spec.stem == "differences" else Stem(spec)
        self.level = LevelEmbedding(spec.width)
        self.axis = nn.Parameter(torch.zeros(2, spec.width)) if spec.axis_embedding else None
        self.modulate = nn.Linear(spec.width, 6 * spec.width)
        self.text = nn.Linear(spec.text_width, spec.width) if spec.text_width else None
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.layers))
        self.final = nn.Linear(spec.width, 2 * spec.width)
        self.head_out = PullHead(spec) if spec.head == "pull" else Head(spec)
        self.chooser = Chooser(spec.planes, spec.chooser) if spec.chooser else None
        _draw_weights(self, generator or torch.Generator().manual_seed(0))
        if spec.stem == "differences":
            self._look_for_alike()
        for linear in (self.modulate, self.final):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def _look_for_alike(self) -> None:
        """Starts attention between tokens that are alike and at the same place: keys are made as queries are."""
        for block in self.blocks:
            made = block.get_submodule("attention.qkv")
            assert isinstance(made, nn.Linear)
            query, key, _ = made.weight.detach().chunk(3)
            key.copy_(query)

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self.spec.layers

    def embed(self, inputs: GridInputs) -> tuple[Tensor, Drawing]:
        """Tokens ``(B, V, T, S, D)`` of a grid, and what the head needs again.

        Raises:
            InputError: Shapes that don't fit the spec or each other.
        """
        check_inputs(self.spec, inputs)
        b, v, t = inputs.known.shape
        fine = _to_fine(inputs.latents, self.spec.subpixel)
        pictures, present = self._copies(inputs)
        known = inputs.known.flatten()[:, None, None, None].to(fine.dtype).expand(-1, 1, *fine.shape[-2:])
        planes, features = self._patches(fine, known, pictures, present, inputs.noise_level)
        tokens = planes.flatten(2).transpose(1, 2).reshape(b, v, t, -1, self.spec.width)
        # the streams add small updates up: they are kept in the weights' own precision under autocast too
        tokens = tokens.to(self.final.weight.dtype)
        return tokens, Drawing(features, pictures, present, (planes.shape[-2], planes.shape[-1]))

    def _patches(
        self, fine: Tensor, known: Tensor, pictures: Tensor, present: Tensor, level: Tensor
    ) -> tuple[Tensor, Features | None]:
        """Tokens as planes ``(N, D, rows, columns)``, and features for the head or None."""
        if isinstance(self.stem, DifferenceStem):  # pure noise tells nothing, and would only have to be averaged out
            clean = (1 - level).flatten()[:, None, None, None].to(fine.dtype)
            return self.stem(clean * fine, known, pictures, present), None
        flags = present[:, :, None, None].to(fine.dtype).expand(-1, -1, *fine.shape[-2:])
        planes, features = self.stem(torch.cat([fine, known, pictures.flatten(1, 2), flags], 1))
        return planes, features

    def condition(
        self, inputs: GridInputs, axis: str, size: tuple[int, int], core: AttentionCore = full_attention
    ) -> Condition:
        """What the blocks need to run along an axis.

        Args:
            inputs: The grid.
            axis: ``view`` (columns), ``time`` (rows), or ``both`` for one stream over all of a grid's frames.
            size: Rows and columns of tokens in a frame.
            core: Attention itself.
        """
        level = inputs.noise_level
        if axis == "both":
            positions = (inputs.positions("view")[:, None] + inputs.positions("time")).flatten()
            level = level.flatten(1)
        else:
            positions = inputs.positions(axis)
            level = (level if axis == "time" else level.transpose(1, 2)).flatten(0, 1)
        embedded = self.level(level)
        if self.axis is not None:
            embedded = embedded + (self.axis.mean(0) if axis == "both" else self.axis[AXES.index(axis)])
        modulation = self.modulate(F.silu(embedded)).unflatten(-1, (6, -1)).to(self.final.weight.dtype)
        angles = rope_angles(positions.to(level.device), size, self.spec.head_width)[:, None]
        text = None if self.text is None or inputs.text is None else self.text(inputs.text)
        return Condition(modulation, angles.cos(), angles.sin(), text, inputs.text_mask, core)

    def block(self, layer: int, tokens: Tensor, condition: Condition, attention: Attention | None = None) -> Tensor:
        """Runs one block on the tokens ``(N, F, S, D)`` of N videos."""
        updated: Tensor = self.blocks[layer](tokens, condition, attention)
        return updated

    def head(self, tokens: Tensor, inputs: GridInputs, drawing: Drawing) -> Tensor:
        """The prediction ``(B, V, T, C, h, w)``, of the spec's kind, from tokens ``(B, V, T, S, D)``."""
        shift, scale = self.final(F.silu(self.level(inputs.noise_level)))[..., None, :].chunk(2, -1)
        tokens = torch.addcmul(shift.to(tokens.dtype), self.head_out.norm(tokens), 1 + scale.to(tokens.dtype))
        if isinstance(self.head_out, PullHead):
            drawn = self.head_out(tokens.flatten(0, 2), drawing.size, drawing.pictures, drawing.present)
        else:
            drawn, gates, offsets = self.head_out(tokens.flatten(0, 2), drawing.size, drawing.features)
            if self.spec.copies:
                copied = blend_copies(drawing.pictures, drawing.present, gates, offsets)
                # velocity is noise - clean
                drawn = drawn + copied if self.spec.prediction == "clean" else drawn - copied
        if self.spec.subpixel > 1:
            drawn = F.pixel_unshuffle(drawn, self.spec.subpixel)
        prediction: Tensor = drawn.reshape(inputs.latents.shape).to(inputs.latents.dtype)
        return prediction

    def choice(self, inputs: GridInputs) -> Tensor:
        """What the chooser makes of every cell, ``(B, V, T, C, h, w)``: clean latents.

        Raises:
            InputError: Inputs that don't fit, or no proposals.
        """
        check_inputs(self.spec, inputs)
        if inputs.proposal is None:
            raise InputError(
                "no proposals to choose among", f"{len(self.spec.proposals)} a cell", "give the grid's proposals"
            )
        return self.with_choice(inputs.proposal, inputs.known)[:, :, :, : self.spec.latent_channels]

    def with_choice(self, proposal: Tensor, known: Tensor) -> Tensor:
        """Proposals as the rest of the model sees them, see ``DiTSpec.chooser``.

        Proposals that are shown already stay as they are, so that sampling chooses once and not in every step.

        Args:
            proposal: ``(B, V, T, P * C, h, w)``, see GridInputs.
            known: ``(B, V, T)`` bool.
        """
        given, beside = proposal.split(self.spec.latent_channels, 3), self.spec.planes.beside_candidates
        whole = len(given) == len(self.spec.proposals)
        if self.chooser is None or len(given) == self.spec.shown:
            return proposal
        if self.spec.stem == "differences":
            if not whole:  # a choice without doubt
                return torch.cat([given[0], proposal], 3)
            choice, doubt = self._choose_cells(proposal, known).unbind(3)
            return torch.cat([choice, proposal, doubt], 3)
        if len(given) <= len(beside):
            return proposal
        shown = [given[k] for k in beside if k < len(given)]
        if whole:
            shown[0] = self._choose_cells(proposal, known)[:, :, :, 0]
        return torch.cat(shown, 3)

    def _choose_cells(self, proposal: Tensor, known: Tensor) -> Tensor:
        """The first plane ``(B, V, T, n, C, h, w)`` with what ``_choose`` gives in every cell that has candidates.

        Known cells are as they are; a cell without candidates has nothing to choose from.
        """
        count, candidates = len(self.spec.proposals), self.spec.planes.candidates
        first = proposal[:, :, :, None, : self.spec.latent_channels]
        if self.spec.stem == "differences":
            first = torch.cat([first, torch.full_like(first, -1.0)], 3)
        places = (~known.flatten()).nonzero()[:, 0]
        cells = proposal.flatten(0, 2)[places].unflatten(1, (count, -1))
        choose = cells[:, candidates].flatten(1).any(1)
        if not bool(choose.all()):
            places, cells = places[choose], cells[choose]
        chosen = first.flatten(0, 2)
        if len(places):
            chosen = chosen.index_put((places,), self._choose(cells).to(first.dtype))
        return chosen.view_as(first)

    def _choose(self, cells: Tensor) -> Tensor:
        """The chooser's pictures ``(N, 1, C, h, w)`` of cells with all their planes ``(N, P, C, h, w)``; before a stem
        of differences ``(N, 2, C, h, w)``, with how sure they are."""
        assert self.chooser is not None
        fine = _to_fine(cells, self.spec.subpixel).unflatten(0, (-1, len(self.spec.proposals)))
        made: Tensor
        made = self.chooser.with_doubt(fine) if self.spec.stem == "differences" else self.chooser(fine)[:, None]
        return F.pixel_unshuffle(made, self.spec.subpixel) if self.spec.subpixel > 1 else made

    def _copies(self, inputs: GridInputs) -> tuple[Tensor, Tensor]:
        """Pictures ``(B V T, copies, channels, H, W)`` that cells may copy from, and which are there."""
        latents, cells = inputs.latents, inputs.known.numel()
        found: list[Tensor] = []
        there: list[Tensor] = []
        if self.spec.sources:
            nearest = nearest_known(inputs.known, inputs.view_positions, inputs.time_positions)
            sources, present = gather_sources(latents, nearest)
            found += sources.unbind(3)
            there += present.unbind(3)
        given = (
            ()
            if inputs.proposal is None
            else self.with_choice(inputs.proposal, inputs.known).split(self.spec.latent_channels, 3)
        )
        for k in range(self.spec.shown):
            found.append(given[k] if k < len(given) else torch.zeros_like(latents))
            there.append(found[-1].flatten(3).any(-1))
        if not found:
            height, width = (n * self.spec.subpixel for n in latents.shape[-2:])
            return latents.new_zeros(cells, 0, self.spec.channels, height, width), inputs.known.new_zeros(cells, 0)
        pictures = torch.stack([_to_fine(picture, self.spec.subpixel) for picture in found], 1)
        return pictures, torch.stack(there, 3).flatten(0, 2)


def check_inputs(spec: DiTSpec, inputs: GridInputs) -> None:
    """Raises InputError where a grid doesn't fit a model or its parts don't fit each other."""
    x, cells = inputs.latents, tuple(inputs.latents.shape[:3])
    if x.ndim != 6 or x.shape[3] != spec.latent_channels or min(x.shape) < 1:
        raise InputError(
            f"latents of shape {tuple(x.shape)}",
            f"(B, V, T, {spec.latent_channels}, h, w)",
            "encode the grid with the codec of this model",
        )
    step = spec.patch // spec.subpixel
    if x.shape[-1] % step or x.shape[-2] % step:
        raise InputError(f"latents of {x.shape[-1]} x {x.shape[-2]}", f"sides that {step} divides", "resize the frames")
    if inputs.known.shape != cells or inputs.known.dtype != torch.bool:
        raise InputError(
            f"a known-cells mask of shape {tuple(inputs.known.shape)} and type {inputs.known.dtype}",
            f"{cells} bool, one entry a cell",
            "build it from the same grid",
        )
    if inputs.noise_level.shape != cells:
        raise InputError(
            f"noise levels of shape {tuple(inputs.noise_level.shape)}",
            f"{cells}, one a cell",
            "give every cell its level",
        )
    if inputs.proposal is not None:
        _check_proposal(spec, inputs.proposal, x)
    if inputs.text is not None and not spec.text_width:
        raise InputError("text for a model without text", "none", "leave the prompt empty")
    for name, given, count in (("view", inputs.view_positions, cells[1]), ("time", inputs.time_positions, cells[2])):
        if given is not None and given.shape != (count,):
            raise InputError(f"{name} positions of shape {tuple(given.shape)}", f"({count},)", "give one a frame")


def _check_proposal(spec: DiTSpec, proposal: Tensor, latents: Tensor) -> None:
    got = f"a proposal of shape {tuple(proposal.shape)}"
    if not spec.proposals:
        raise InputError(
            got + " for a model that takes none", "none", "start the sampling from it instead, or load a refiner"
        )
    shapes = [
        (*latents.shape[:3], count * spec.latent_channels, *latents.shape[-2:])
        for count in range(1, spec.most_planes + 1)
    ]
    if tuple(proposal.shape) not in shapes:
        raise InputError(
            got, " or ".join(map(str, shapes)), "encode it like the grid, several one behind the other in the channels"
        )


def _to_fine(latents: Tensor, subpixel: int) -> Tensor:
    """``(B, V, T, C, h, w)`` latents as fine pixels ``(B V T, channels, H, W)``."""
    flat = latents.flatten(0, -4)
    return F.pixel_shuffle(flat, subpixel) if subpixel > 1 else flat


def _draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draws every matrix that isn't zero by design anew; as wide as torch's own."""
    for parameter in module.parameters():
        if parameter.ndim > 1 and bool(parameter.detach().any()):
            bound = parameter[0].numel() ** -0.5
            with torch.no_grad():
                parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
        elif parameter.ndim == 1 and bool((parameter.detach() != 1).any()):
            nn.init.zeros_(parameter)
