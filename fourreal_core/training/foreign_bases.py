"""What a base model of diffusers is, from its ``config.json`` and before any weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError

WAN, LTX = "WanTransformer3DModel", "LTXVideoTransformer3DModel"
KINDS = (WAN, LTX)
WAN_TEXT, LTX_TEXT = 512, 256
"""Tokens of a prompt: Wan is given exactly so many, zeros behind the text; LTX-Video at most so many."""

_WAN = {
    "_class_name": WAN,
    "patch_size": [1, 2, 2],
    "attention_head_dim": 128,
    "text_dim": 4096,
    "freq_dim": 256,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
}
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "wan2.1-1.3b": _WAN
    | {"in_channels": 16, "out_channels": 16, "num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "wan2.1-14b": _WAN
    | {"in_channels": 16, "out_channels": 16, "num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
    "wan2.2-5b": _WAN
    | {"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30},
    "ltx-video-2b": {
        "_class_name": LTX,
        "in_channels": 128,
        "out_channels": 128,
        "patch_size": 1,
        "patch_size_t": 1,
        "num_attention_heads": 32,
        "attention_head_dim": 64,
        "cross_attention_dim": 2048,
        "num_layers": 28,
        "caption_channels": 4096,
    },
}
"""Published sizes, for estimates before the weights are there."""
_WAN_VAE = {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]}
_VAES: Mapping[int, Mapping[str, Any]] = {
    16: _WAN_VAE | {"base_dim": 96, "z_dim": 16},
    48: _WAN_VAE
    | {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "latents_mean": [0.0] * 48,
        "latents_std": [1.0] * 48,
    },
    128: {},
}
"""VAEs of the published architectures, by their channels."""


@dataclass(frozen=True)
class ForeignBase:
    """A base model by its settings.

    Attributes:
        name: As the configuration calls it, for messages.
        settings: The fields of its ``config.json``.
    """

    name: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"{self.name} holds a {self.kind}", "one of " + ", ".join(KINDS), "choose another base model"
            )

    @property
    def kind(self) -> str:
        """The library's class."""
        return str(self.settings.get("_class_name"))

    @property
    def channels(self) -> int:
        """Latent channels that it predicts."""
        return int(self.settings.get("out_channels") or self.input_channels)

    @property
    def input_channels(self) -> int:
        """Channels that it takes."""
        return int(self.settings.get("in_channels", 16))

    @property
    def layers(self) -> int:
        """Blocks."""
        return int(self.settings.get("num_layers", 28 if self.kind == LTX else 40))

    @property
    def text_width(self) -> int:
        """Width of the text encoder's tokens."""
        return int(self.settings.get("text_dim") or self.settings.get("caption_channels") or 4096)

    @property
    def patch(self) -> int:
        """Latent pixels along a side of a token."""
        size = self.settings.get("patch_size", 1)
        return int(size[-1] if isinstance(size, (list, tuple)) else size)

    @property
    def padded_text(self) -> int:
        """Tokens to which a prompt is filled up with zeros; 0 where it isn't filled up."""
        return WAN_TEXT if self.kind == WAN else 0

    @property
    def longest_text(self) -> int:
        """Tokens at which a prompt is cut off."""
        return WAN_TEXT if self.kind == WAN else LTX_TEXT

    @property
    def vae_factor(self) -> int:
        """Pixels along a side of a latent pixel, as the published models have it."""
        return 32 if self.kind == LTX else 16 if self.channels == 48 else 8

    @property
    def vae_settings(self) -> dict[str, Any] | None:
        """Settings of the published VAE with its channels, as the library's class takes them; None for others."""
        return dict(_VAES[self.channels]) if self.channels in _VAES else None

    def check(self) -> None:
        """Refuses a model that takes more than the noisy latents.

        Raises:
            InputError: An image-to-video or control model.
        """
        if self.input_channels != self.channels:
            raise InputError(
                f"the base {self.name} with {self.input_channels} input channels for {self.channels} latent ones, as "
                "image-to-video and control models have",
                "a text-to-video model, which takes the latents alone",
                "choose Wan 2.1 T2V, Wan 2.2 TI2V 5B or LTX-Video",
            )


def read_base(path: str, architecture: str | None = None) -> ForeignBase:
    """The settings of a base model.

    Args:
        path: A folder with ``config.json``, or a name on the Hub.
        architecture: One of ARCHITECTURES, whose settings are taken where there is no such folder.

    Raises:
        InputError: No such model, or of a kind that has no adapter.
    """
    file = Path(path) / "config.json"
    if file.is_file():
        return ForeignBase(path, _parsed(file))
    if architecture is not None:
        return known_base(architecture)
    try:
        import diffusers

        return ForeignBase(path, dict(diffusers.ModelMixin.load_config(path)))
    except ImportError as err:
        raise InputError(
            "no package diffusers", "what this base model needs", "pip install comfyui-4real[train]"
        ) from err
    except OSError as err:
        raise InputError(f"{path} can't be read ({err})", "a model that diffusers saved", "check the path") from err


def known_base(name: str) -> ForeignBase:
    """A base model of a published architecture.

    Raises:
        InputError: Another name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"base.architecture = {name!r}", "one of " + ", ".join(ARCHITECTURES), "change it")
    return ForeignBase(name, ARCHITECTURES[name])


def _parsed(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"{file} can't be read ({err})", "a model that diffusers saved", "download it again") from err
    if not isinstance(settings, dict):
        raise InputError(f"{file} holds no settings", "a model that diffusers saved", "download it again")
    return settings
