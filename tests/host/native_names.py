"""Weights of diffusers' Wan and LTX-Video under the names of their native form."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

NAMES = {
    "wan": [
        (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
        (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
        (r"^condition_embedder\.time_proj", "time_projection.1"),
        (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
        (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
        (r"^scale_shift_table", "head.modulation"),
        (r"^proj_out", "head.head"),
        (r"\.scale_shift_table", ".modulation"),
        (r"\.attn1\.", ".self_attn."),
        (r"\.attn2\.", ".cross_attn."),
        (r"\.to_out\.0", ".o"),
        (r"\.to_([qkv])\.", r".\1."),
        (r"\.norm2\.", ".norm3."),
        (r"\.ffn\.net\.0\.proj", ".ffn.0"),
        (r"\.ffn\.net\.2", ".ffn.2"),
    ],
    "ltx": [
        (r"^proj_in", "patchify_proj"),
        (r"^time_embed\.", "adaln_single."),
        (r"\.norm_([qk])\.", r".\1_norm."),
    ],
}


def native_weights(family: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors by native names."""
    renamed = {}
    for name, tensor in weights.items():
        for pattern, native in NAMES[family]:
            name = re.sub(pattern, native, name)
        renamed[name] = tensor.contiguous()
    return renamed
