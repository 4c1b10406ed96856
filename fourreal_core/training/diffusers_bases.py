"""Sync layers on video models of ``diffusers``: Wan and LTX-Video, frozen, run as two streams.

Each grid cell is a latent frame. What is trained here loads where the same model's native form is patched: the layers
mix the same tokens, and the two streams' predictions are averaged there as here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import InputError
from ..model.dit import GridInputs
from ..model.fingerprint import Fingerprint, fingerprint
from ..model.sync import Sync, SyncSpec, build_sync, kept_layers
from ..model.token_layout import from_videos, to_videos

_STEPS = 1000.0
"""Both families count noise levels from 0 to 1000."""


WAN_21_CHANNELS = 16
"""Latent channels of Wan 2.1's VAE."""


class BaseVideos(Protocol):
    """A video model in the pieces that two streams run."""

    width: int
    layers: int
    one_level: bool
    """Whether all frames of a video have one noise level: known cells are then as noisy as the others."""

    def start(self, latents: Tensor, level: Tensor, text: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Tokens ``(N, F, S, D)`` of latents ``(N, C, F, h, w)`` at levels ``(N, F)`` with text ``(N, L, E)`` and its
        mask ``(N, L)``; and what blocks and head need beside them."""

    def block(self, layer: int, tokens: Tensor, condition: Any) -> Tensor:
        """Runs one block on tokens ``(N, F, S, D)``."""

    def end(self, tokens: Tensor, condition: Any) -> Tensor:
        """The velocity ``(N, C, F, h, w)``."""


@dataclass(frozen=True)
class _Condition:
    text: Tensor
    modulation: Tensor
    embedded: Tensor
    rope: Any
    size: tuple[int, int]
    mask: Tensor | None = None


class WanVideos:
    """``WanTransformer3DModel``; every token gets its own frame's level.

    Wan 2.2 5B was trained so. Wan 2.1 and the large Wan 2.2, whose VAE has 16 channels, know one level a video: ComfyUI
    gives them known cells at the noise level of the step, and so does training.
    """

    def __init__(self, model: Any) -> None:
        time, self.high, self.wide = model.config.patch_size
        if time != 1:
            raise InputError(f"a Wan model with {time} frames in a token", "1", "choose a model of Wan 2.1 or 2.2")
        self.model, self.layers = model, len(model.blocks)
        self.one_level = model.config.in_channels == WAN_21_CHANNELS
        self.width = model.config.num_attention_heads * model.config.attention_head_dim

    def start(self, latents: Tensor, level: Tensor, text: Tensor, mask: Tensor | None) -> tuple[Tensor, _Condition]:
        """See BaseVideos; the model knows no mask: text is filled up with zeros, and these are looked at."""
        model = self.model
        planes = model.patch_embedding(latents)
        rows, columns = planes.shape[-2:]
        each = (level * _STEPS).repeat_interleave(rows * columns, 1)
        embedded, modulation, text, _ = model.condition_embedder(
            each.flatten(), text, None, timestep_seq_len=each.shape[1]
        )
        condition = _Condition(text, modulation.unflatten(2, (6, -1)), embedded, model.rope(latents), (rows, columns))
        return planes.permute(0, 2, 3, 4, 1).flatten(2, 3), condition

    def block(self, layer: int, tokens: Tensor, condition: _Condition) -> Tensor:
        """See BaseVideos."""
        flat: Tensor = self.model.blocks[layer](
            tokens.flatten(1, 2), condition.text, condition.modulation, condition.rope
        )
        return flat.view(tokens.shape)

    def end(self, tokens: Tensor, condition: _Condition) -> Tensor:
        """See BaseVideos."""
        model, (n, f) = self.model, tokens.shape[:2]
        flat = tokens.flatten(1, 2)
        shift, scale = (model.scale_shift_table[None] + condition.embedded[:, :, None]).unbind(2)
        drawn: Tensor = model.proj_out((model.norm_out(flat.float()) * (1 + scale) + shift).type_as(flat))
        drawn = drawn.view(n, f, *condition.size, self.high, self.wide, -1).permute(0, 6, 1, 2, 4, 3, 5)
        return drawn.flatten(5, 6).flatten(3, 4)


class LTXVideos:
    """``LTXVideoTransformer3DModel``; a latent pixel is a token, with its own level."""

    one_level = False

    def __init__(self, model: Any, seconds_a_frame: float = 8 / 25, factor: int = 32) -> None:
        if model.config.patch_size != 1 or model.config.patch_size_t != 1:
            raise InputError(f"an LTX model with patches of {model.config.patch_size}", "1", "choose LTX-Video")
        self.model, self.layers = model, len(model.transformer_blocks)
        self.width = model.config.num_attention_heads * model.config.attention_head_dim
        self.scale = (seconds_a_frame, factor, factor)

    def start(self, latents: Tensor, level: Tensor, text: Tensor, mask: Tensor | None) -> tuple[Tensor, _Condition]:
        """See BaseVideos."""
        model, (n, _, frames, rows, columns) = self.model, latents.shape
        tokens = model.proj_in(latents.permute(0, 2, 3, 4, 1).flatten(2, 3))
        rope = model.rope(tokens.flatten(1, 2), frames, rows, columns, self.scale)
        each = (level * _STEPS).repeat_interleave(rows * columns, 1)
        modulation, embedded = model.time_embed(each.flatten(), batch_size=n, hidden_dtype=tokens.dtype)
        text = model.caption_projection(text).view(n, -1, self.width)
        away = None if mask is None else torch.where(mask, 0.0, -1e4).to(tokens.dtype)[:, None]
        modulation, embedded = (x.view(n, each.shape[1], -1) for x in (modulation, embedded))
        return tokens, _Condition(text, modulation, embedded, rope, (rows, columns), away)

    def block(self, layer: int, tokens: Tensor, condition: _Condition) -> Tensor:
        """See BaseVideos."""
        flat: Tensor = self.model.transformer_blocks[layer](
            tokens.flatten(1, 2), condition.text, condition.modulation, condition.rope, condition.mask
        )
        return flat.view(tokens.shape)

    def end(self, tokens: Tensor, condition: _Condition) -> Tensor:
        """See BaseVideos."""
        model, (n, f) = self.model, tokens.shape[:2]
        shift, scale = (model.scale_shift_table[None, None] + condition.embedded[:, :, None]).unbind(2)
        drawn: Tensor = model.proj_out(model.norm_out(tokens.flatten(1, 2)) * (1 + scale) + shift)
        return drawn.view(n, f, *condition.size, -1).permute(0, 4, 1, 2, 3)


_FAMILIES = {"WanTransformer3DModel": WanVideos, "LTXVideoTransformer3DModel": LTXVideos}


class SyncedVideos(nn.Module):
    """A frozen video model of diffusers with sync layers between two streams of it.

    Args:
        model: ``WanTransformer3DModel`` or ``LTXVideoTransformer3DModel``.
        variant: A sync rule.
        generator: Source of the sync layers' first weights.
        rank: Of trained maps, see SyncSpec.
        dropped: Sync layers left out: ``none``, the ``first`` or the ``last`` third.

    Raises:
        InputError: Another kind of model.

    Attributes:
        recompute: Whether blocks are computed again in the backward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        variant: str = "soft_trained",
        generator: torch.Generator | None = None,
        rank: int = 0,
        dropped: str = "none",
    ) -> None:
        super().__init__()
        kind = type(model).__name__
        if kind not in _FAMILIES:
            raise InputError(
                f"a model of the kind {kind}", "one of " + ", ".join(_FAMILIES), "choose another base model"
            )
        self.base = model.requires_grad_(False)
        self.videos: BaseVideos = _FAMILIES[kind](model)
        layers = self.videos.layers
        spec = SyncSpec(variant, layers, self.videos.width, rank, *kept_layers(layers, dropped))
        self.sync: Sync = build_sync(spec, generator)
        self.recompute = False

    def forward(self, inputs: GridInputs) -> Tensor:
        """The velocity ``(B, V, T, C, h, w)``; without text the model sees one empty token."""
        batch, views, times = inputs.known.shape
        text = inputs.text
        if text is None:
            config: Any = self.base.config
            width = getattr(config, "text_dim", None) or config.caption_channels
            text = inputs.latents.new_zeros(batch, 1, width)
        streams = {axis: self._start(inputs, text, axis) for axis in ("view", "time")}
        if 1 in (views, times):
            axis = "time" if views == 1 else "view"
            video, condition = streams[axis]
            for layer in range(self.videos.layers):
                video = self._block(layer, video, condition)
            return self._end(video, condition, axis, batch)
        tokens = {axis: stream[0] for axis, stream in streams.items()}
        for layer in range(self.videos.layers):
            conditions = streams["view"][1], streams["time"][1]
            given = layer, tokens["view"], tokens["time"], conditions, inputs.noise_level
            if self.recompute and torch.is_grad_enabled():
                made = checkpoint(self._layer, *given, use_reentrant=False)
            else:
                made = self._layer(*given)
            tokens = dict(zip(("view", "time"), made, strict=True))
        ends = [self._end(tokens[axis], streams[axis][1], axis, batch) for axis in ("view", "time")]
        return (ends[0] + ends[1]) * 0.5

    def trained_parts(self, part: str) -> dict[str, nn.Parameter]:
        """The sync layers' parameters by name.

        Raises:
            InputError: Another part: the base model stays as it is.
        """
        if part != "sync" or not self.sync.spec.trained:
            raise InputError(
                f"{part} weights of a model of diffusers",
                "trained sync layers",
                'set train.trains to "sync" and a trained variant',
            )
        return {f"sync.{name}": p for name, p in self.sync.named_parameters()}

    def base_fingerprint(self) -> Fingerprint:
        """The fingerprint of the base model's weights."""
        return fingerprint(self.base.parameters())

    def _start(self, inputs: GridInputs, text: Tensor, axis: str) -> tuple[Tensor, Any]:
        latents = inputs.latents if axis == "time" else inputs.latents.transpose(1, 2)
        level = inputs.noise_level if axis == "time" else inputs.noise_level.transpose(1, 2)
        videos = latents.flatten(0, 1).transpose(1, 2)
        each = text.repeat_interleave(latents.shape[1], 0)
        mask = None if inputs.text_mask is None else inputs.text_mask.repeat_interleave(latents.shape[1], 0)
        return self.videos.start(videos, level.flatten(0, 1), each, mask)

    def _layer(
        self, layer: int, view: Tensor, time: Tensor, conditions: tuple[Any, Any], level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A block of both streams and the sync after it: what is computed again together, so that of each layer nothing
        is kept but the tokens that it was given."""
        batch = len(level)
        y_view = from_videos(self.videos.block(layer, view, conditions[0]), "view", batch)
        y_time = from_videos(self.videos.block(layer, time, conditions[1]), "time", batch)
        x_view, x_time = self.sync(layer, y_view, y_time, level)
        return to_videos(x_view, "view"), to_videos(x_time, "time")

    def _block(self, layer: int, tokens: Tensor, condition: Any) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            made: Tensor = checkpoint(self.videos.block, layer, tokens, condition, use_reentrant=False)
            return made
        return self.videos.block(layer, tokens, condition)

    def _end(self, tokens: Tensor, condition: Any, axis: str, batch: int) -> Tensor:
        drawn: Tensor = self.videos.end(tokens, condition).transpose(1, 2).unflatten(0, (batch, -1))
        return drawn if axis == "time" else drawn.transpose(1, 2)


def load_base(
    path: str,
    variant: str = "soft_trained",
    dtype: torch.dtype | None = None,
    rank: int = 0,
    dropped: str = "none",
) -> SyncedVideos:
    """Reads a base model that ``diffusers`` saved and gives it sync layers.

    Args:
        path: A folder with ``config.json`` and safetensors weights, or a name on the Hub.
        variant: A sync rule.
        dtype: Of the base model; float32 if None.
        rank: Of trained maps, see SyncSpec.
        dropped: Sync layers left out.

    Raises:
        InputError: No such model, or of a kind that has no adapter.
    """
    try:
        import diffusers
    except ImportError as err:
        raise InputError(
            "no package diffusers", "what this base model needs", "pip install comfyui-4real[train]"
        ) from err
    try:
        kind = diffusers.WanTransformer3DModel.load_config(path).get("_class_name")
        if kind not in _FAMILIES:
            raise InputError(f"{path} holds a {kind}", "one of " + ", ".join(_FAMILIES), "choose another base model")
        family = getattr(diffusers, str(kind))
        model = family.from_pretrained(path, torch_dtype=dtype or torch.float32, use_safetensors=True)
    except OSError as err:
        raise InputError(f"{path} can't be read ({err})", "a model that diffusers saved", "check the path") from err
    except RuntimeError as err:  # a torchvision or torchaudio that was built for another torch
        raise InputError(
            f"diffusers can't load its models ({str(err).splitlines()[-1]})",
            "packages that fit this torch",
            "reinstall torchvision and torchaudio for it, or remove them",
        ) from err
    return SyncedVideos(model, variant, None, rank, dropped)
