"""What has to be known of a native video model to run two streams through it; one subclass a family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ...fourreal_core.errors import InputError
from ...fourreal_core.model.sync import Sync
from .batch_layout import GridShape

PER_CELL = {"c_concat": 2, "denoise_mask": 2}
"""Model inputs that have a frame axis, and where it lies."""

PER_VIDEO = frozenset({"c_crossattn", "attention_mask", "y", "guidance", "clip_fea", "crossattn_controlnet"})
"""Model inputs that hold one value a video, which all views must share."""

NEVER = {
    "control": "a ControlNet; remove 'Apply ControlNet'",
    "reference_latent": "a reference image; remove 'ReferenceLatent' and the reference image of the video's node",
    "ref_latent": "a reference image; choose another guidance type in 'HunyuanImageToVideo' or remove it",
    "context_latents": "in-context references; remove the node that adds them",
    "time_dim_concat": "a reference subject; remove 'WanPhantomSubjectToVideo'",
    "time_dim_replace": "replaced start frames; use 'Freeze-Time Conditioning' instead of 'Kandinsky5ImageToVideo'",
    "keyframe_idxs": "guides that add tokens; remove 'LTXVAddGuide'",
    "guide_attention_entries": "guides that add tokens; remove 'LTXVAddGuide'",
    "guiding_frame_index": "a replaced first frame; use 'Freeze-Time Conditioning' instead of 'HunyuanImageToVideo'",
    "ref_audio": "reference audio; remove the node that adds it",
}
"""Model inputs that bring tokens or frames from outside the grid, and what to do about each."""


@dataclass(frozen=True)
class KnownCellLatents:
    """Known cells as a family's conditioning is made of them.

    Attributes:
        latents: ``(V, C, T, h, w)`` each frame encoded alone, in the VAE's own scale.
        mask: ``(V, 1, T, h, w)``, 0 at known cells and 1 elsewhere.
        grey: ``(1, C, 1, h, w)`` a grey frame encoded alone.
        proposals: ``(V, P C, T, h, w)`` first guesses for a model that takes some, one behind the other; or None.
    """

    latents: Tensor
    mask: Tensor
    grey: Tensor
    proposals: Tensor | None = None

    def with_unknown(self, filling: Tensor | float) -> Tensor:
        """The latents with ``filling`` where nothing is known."""
        return self.latents * (1 - self.mask) + filling * self.mask


class HostModel(ABC):
    """A native video model seen as layers over the tokens of a grid.

    Args:
        diffusion_model: The host's module.
    """

    name: ClassVar[str]
    classes: ClassVar[Sequence[str]]
    """Full names of the host's classes; a subclass of one of them is another model and needs its own line."""
    per_cell: ClassVar[Mapping[str, int]] = PER_CELL
    per_video: ClassVar[frozenset[str]] = PER_VIDEO
    runs_grids: ClassVar[bool] = False
    """Whether one call of the model is a whole grid, whose streams it runs itself, mixed by a rule that it is given."""
    skips_layers: ClassVar[bool] = False
    """Whether the host's code lets another node replace a whole layer of it."""

    def __init__(self, diffusion_model: nn.Module) -> None:
        self.model = diffusion_model

    def refusal(self) -> str | None:
        """Why this very model can't be patched although its family can."""
        return None

    @property
    def needs_text(self) -> bool:
        """Whether it is never run without a prompt."""
        return True

    @property
    def proposals(self) -> tuple[str, ...]:
        """Names of the planes of every cell that the model is shown beside its latents."""
        return ()

    def own_sync(self) -> Sync | None:
        """The sync layers that the model was trained with; None for a model of single videos, or of another kind."""
        return None

    def base_weights(self) -> Iterable[nn.Parameter]:
        """The weights that sync layers know their base model by."""
        return self.model.parameters()

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """The blocks after which the streams meet, in the order in which they run."""

    @abstractmethod
    def patch_size(self) -> tuple[int, int]:
        """Latent rows and columns of one token."""

    def image_tokens(self, output: Any, count: int, options: Mapping[str, Any]) -> Tensor:
        """The image's tokens ``(N, count, D)`` in what a block returned.

        Args:
            output: What the block returned.
            count: Tokens that a video of the grid has.
            options: The host's transformer options of this run.

        Raises:
            InputError: There are more or fewer of them.
        """
        return checked(output, count, self.name)

    def with_image_tokens(self, output: Any, tokens: Tensor, options: Mapping[str, Any]) -> Any:
        """What the block returned with its image tokens exchanged."""
        return tokens

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Conditioning values that describe the known cells to the model, beyond the latent's noise mask.

        Args:
            known: The known cells.
            channels: Latent channels of the model's own video.
        """
        return {}

    def column_inputs(self, inputs: Mapping[str, Any], shape: GridShape) -> dict[str, Any]:
        """The model's inputs for the view stream, from those of the time stream.

        Raises:
            InputError: One that the grid has no place for, or that differs from view to view.
        """
        self.refuse_foreign(inputs)
        return {name: self._for_columns(name, value, shape) for name, value in inputs.items()}

    def refuse_foreign(self, inputs: Mapping[str, Any]) -> None:
        """Raises InputError for inputs that bring tokens or frames from outside the grid."""
        for name in NEVER.keys() & inputs.keys():
            if inputs[name] is not None:
                raise InputError(
                    f"{self.name} with {NEVER[name].split(';')[0]}",
                    "tokens of the grid alone",
                    NEVER[name].split("; ")[1],
                )

    def _for_columns(self, name: str, value: Any, shape: GridShape) -> Any:
        if name == "latent_shapes":  # the shape of the whole latent, for models that pack several into one
            return [_column_shape(value, shape)]
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        if name in self.per_cell:
            return shape.to_columns(value, self.per_cell[name])
        known = name in self.per_video
        if value.shape[0] == shape.rows and (known or value.ndim <= 3) and (known or shape.same_in_all_views(value)):
            return shape.once_a_column(value)
        raise InputError(
            f"{self.name} with the input {name!r} of shape {tuple(value.shape)}, which parallel sync does not know",
            "inputs that are the same for all views or made by 'Freeze-Time Conditioning'",
            "remove the node that adds it to the conditioning",
        )


def checked(tokens: Tensor, count: int, name: str) -> Tensor:
    """The tokens, if there are ``count`` of them a video.

    Raises:
        InputError: There are not.
    """
    if tokens.ndim != 3 or tokens.shape[1] != count:
        got = tokens.shape[1] if tokens.ndim == 3 else tuple(tokens.shape)
        raise InputError(
            f"{name} with {got} tokens a video",
            f"{count}, those of the grid",
            "remove nodes that add guides or reference images, and use a size that the model takes",
        )
    return tokens


def _column_shape(value: Any, shape: GridShape) -> list[int]:
    if len(value) != 1:
        raise InputError("a latent of video and audio together", "video alone", "sample without 'LTXVConcatAVLatent'")
    _, channels, _, *size = value[0]
    return [shape.times, channels, shape.views, *size]
