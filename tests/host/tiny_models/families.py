"""Every native family at a size that runs in milliseconds, with random weights, built from the host's own classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

VIEWS, TIMES = 3, 4
TEXT, POOLED = 20, 8
WAN = {
    "dim": 24,
    "ffn_dim": 32,
    "freq_dim": 16,
    "text_dim": TEXT,
    "num_heads": 2,
    "num_layers": 3,
    "in_dim": 16,
    "out_dim": 16,
    "image_model": "wan2.1",
    "model_type": "t2v",
}
HUNYUAN = {
    "image_model": "hunyuan_video",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": POOLED,
    "context_in_dim": TEXT,
    "hidden_size": 24,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 2,
    "depth_single_blocks": 2,
    "axes_dim": [4, 4, 4],
    "theta": 256,
    "patch_size": [1, 2, 2],
    "qkv_bias": True,
    "guidance_embed": True,
    "byt5": False,
    "meanflow": False,
}
HUNYUAN_LATER = {"use_cond_type_embedding": False, "vision_in_dim": None, "meanflow_sum": False}
"""Settings that hosts before HunyuanVideo 1.5 do not know."""
LTX = {
    "attention_head_dim": 12,
    "num_attention_heads": 2,
    "cross_attention_dim": 24,
    "caption_channels": TEXT,
    "num_layers": 3,
    "in_channels": 128,
    "image_model": "ltxv",
}
COG = {
    "image_model": "cogvideox",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "time_embed_dim": 16,
    "text_embed_dim": TEXT,
    "num_layers": 3,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 9,
    "use_rotary_positional_embeddings": True,
}


@dataclass(frozen=True)
class Tiny:
    """A family's tiny model.

    Attributes:
        config: Class of the host's ``supported_models``.
        unet: Its settings.
        channels: Latent channels.
        extra: Further conditioning values.
        text: Width of the text embedding.
        spread: Standard deviation of the weights: wide enough that every layer, modulation and position has a say in
            the output, not so wide that rounding grows from layer to layer.
    """

    config: str
    unet: dict[str, Any]
    channels: int = 16
    extra: Callable[[], dict[str, Any]] = field(default=dict)
    text: int = TEXT
    spread: float = 0.15


def _camera() -> dict[str, Any]:
    steady = torch.randn(1, 24, TIMES, 1, 1, generator=torch.Generator().manual_seed(8))
    return {"camera_conditions": steady.expand(-1, -1, -1, 64, 64).clone()}


FAMILIES = {
    "wan_t2v": Tiny("WAN21_T2V", WAN),
    "wan_i2v": Tiny("WAN21_I2V", WAN | {"model_type": "i2v", "in_dim": 36}),
    "wan_vace": Tiny("WAN21_Vace", WAN | {"model_type": "vace", "num_layers": 4, "vace_layers": 2, "vace_in_dim": 96}),
    "wan_camera": Tiny("WAN21_Camera", WAN | {"model_type": "camera", "in_dim": 32}, extra=_camera),
    "wan22_camera": Tiny("WAN22_Camera", WAN | {"model_type": "camera_2.2", "in_dim": 36}, extra=_camera),
    "wan22_5b": Tiny("WAN22_T2V", WAN | {"in_dim": 48, "out_dim": 48}, channels=48),
    "ltxv": Tiny("LTXV", LTX, channels=128, extra=lambda: {"attention_mask": torch.ones(1, 6, dtype=torch.long)}),
    "ltx2": Tiny(
        "LTXAV",
        LTX
        | {
            "image_model": "ltxav",
            "audio_attention_head_dim": 6,
            "audio_num_attention_heads": 2,
            "audio_cross_attention_dim": 12,
            "audio_in_channels": 128,
            "connector_attention_head_dim": 12,
            "connector_num_attention_heads": 2,
        },
        channels=128,
        text=2 * TEXT,
    ),
    "hunyuan_1": Tiny("HunyuanVideo", HUNYUAN, spread=0.12),
    "hunyuan_i2v": Tiny("HunyuanVideoI2V", HUNYUAN | {"in_channels": 33}),
    "hunyuan_15": Tiny(
        "HunyuanVideo15",
        HUNYUAN
        | {
            "in_channels": 65,
            "out_channels": 32,
            "vec_in_dim": None,
            "guidance_embed": False,
            "vision_in_dim": 1152,
            "use_cond_type_embedding": True,
        },
        channels=32,
    ),
    "cosmos_predict2": Tiny(
        "CosmosT2IPredict2",
        {
            "image_model": "cosmos_predict2",
            "max_img_h": 240,
            "max_img_w": 240,
            "max_frames": 128,
            "in_channels": 16,
            "out_channels": 16,
            "patch_spatial": 2,
            "patch_temporal": 1,
            "model_channels": 24,
            "num_blocks": 3,
            "num_heads": 2,
            "mlp_ratio": 2.0,
            "crossattn_emb_channels": TEXT,
            "pos_emb_cls": "rope3d",
            "pos_emb_learnable": True,
            "use_adaln_lora": True,
            "adaln_lora_dim": 8,
            "min_fps": 1,
            "max_fps": 30,
        },
    ),
    "cosmos_predict2_i2v": Tiny(
        "CosmosI2VPredict2",
        {
            "image_model": "cosmos_predict2",
            "max_img_h": 240,
            "max_img_w": 240,
            "max_frames": 128,
            "in_channels": 17,
            "out_channels": 16,
            "patch_spatial": 2,
            "patch_temporal": 1,
            "model_channels": 24,
            "num_blocks": 3,
            "num_heads": 2,
            "mlp_ratio": 2.0,
            "crossattn_emb_channels": TEXT,
            "pos_emb_cls": "rope3d",
            "pos_emb_learnable": True,
            "use_adaln_lora": True,
            "adaln_lora_dim": 8,
            "min_fps": 1,
            "max_fps": 30,
        },
    ),
    "cogvideox": Tiny("CogVideoX_T2V", COG, spread=0.3),
    "cogvideox_i2v": Tiny("CogVideoX_I2V", COG | {"in_channels": 32}, spread=0.3),
    "mochi": Tiny(
        "GenmoMochi",
        {
            "image_model": "mochi_preview",
            "depth": 3,
            "patch_size": 2,
            "num_heads": 2,
            "hidden_size_x": 24,
            "hidden_size_y": 16,
            "mlp_ratio_x": 512,
            "mlp_ratio_y": 2.0,
            "learn_sigma": False,
            "in_channels": 12,
            "qk_norm": True,
            "qkv_bias": False,
            "out_bias": True,
            "attn_drop": 0.0,
            "patch_embed_bias": True,
            "timestep_mlp_bias": True,
            "timestep_scale": 1000.0,
            "use_t5": True,
            "t5_feat_dim": 16,
            "t5_token_length": 256,
        },
        channels=12,
        extra=lambda: {"attention_mask": torch.ones(1, 6, dtype=torch.long)},
        text=16,
    ),
    "kandinsky5": Tiny(
        "Kandinsky5",
        {
            "image_model": "kandinsky5",
            "model_dim": 24,
            "ff_dim": 32,
            "visual_embed_dim": 132,
            "num_text_blocks": 1,
            "num_visual_blocks": 3,
            "axes_dims": (4, 4, 4),
            "in_text_dim": TEXT,
            "in_text_dim2": POOLED,
            "time_dim": 16,
        },
    ),
}


def exists(name: str) -> bool:
    """Whether this host has the family."""
    import comfy.supported_models

    return hasattr(comfy.supported_models, FAMILIES[name].config)


def build(name: str, dtype: torch.dtype = torch.float64, **changes: Any) -> Any:
    """A MODEL with seeded random weights.

    Args:
        name: Key of FAMILIES.
        dtype: Type of weights and of the computation.
        **changes: Other settings of the network.
    """
    import comfy.model_patcher
    import comfy.ops
    import comfy.supported_models

    tiny = FAMILIES[name]
    unet = tiny.unet | changes
    if unet["image_model"] == "hunyuan_video" and exists("hunyuan_15"):
        unet = HUNYUAN_LATER | unet
    _let_rope_take_float64()
    config = getattr(comfy.supported_models, tiny.config)(unet)
    config.unet_config["dtype"] = dtype
    config.custom_operations = comfy.ops.manual_cast  # some of the host's layers ask for float32 by name
    model = config.get_model({}, device=torch.device("cpu")).to(dtype)
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data = (tiny.spread * torch.randn(parameter.shape, generator=generator)).to(dtype)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def _let_rope_take_float64() -> None:
    """The kernels that newer hosts rotate queries and keys with know no float64."""
    try:
        from comfy.quant_ops import ck
    except ImportError:
        return

    def rotated(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        pairs = x.reshape(*x.shape[:-1], -1, 1, 2)
        return (turn[..., 0] * pairs[..., 0] + turn[..., 1] * pairs[..., 1]).reshape(x.shape).type_as(x)

    def rotated_halves(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        pairs = x.reshape(*x.shape[:-1], 2, -1).movedim(-2, -1).unsqueeze(-2)
        turned = turn[..., 0] * pairs[..., 0] + turn[..., 1] * pairs[..., 1]
        return turned.movedim(-1, -2).reshape(x.shape).type_as(x)

    ck.apply_rope1 = rotated
    ck.apply_rope = lambda q, k, turn: (rotated(q, turn), rotated(k, turn))
    ck.apply_rope_split_half = lambda q, k, turn: (rotated_halves(q, turn), rotated_halves(k, turn))


def conditioning(name: str, seed: int, tokens: int = 6) -> list[Any]:
    """A prompt's CONDITIONING with the family's further values."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(1, tokens, FAMILIES[name].text, generator=generator)
    values = {"pooled_output": torch.randn(1, POOLED, generator=generator)} | FAMILIES[name].extra()
    if "attention_mask" in values:
        values["attention_mask"] = torch.ones(1, tokens, dtype=torch.long)
    return [[text, values]]
