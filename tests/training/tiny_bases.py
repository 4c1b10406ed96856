"""Wan and LTX-Video of diffusers at a size that runs in milliseconds, with random weights: transformer, VAE, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

TEXT = 20
WORDS = ("a", "red", "ball", "robot", "rolls", "dances", "slowly")
SIZES = {"wan": (32, 64), "ltx": (32, 64)}
"""Cells: two tokens of Wan's 16 x 16 pixels by four; of LTX-Video's 32 x 32 pixels one by two."""


def library() -> Any:
    """diffusers, where it can be used."""
    diffusers = pytest.importorskip("diffusers")
    try:
        assert diffusers.WanTransformer3DModel and diffusers.LTXVideoTransformer3DModel
    except RuntimeError as error:  # a torchvision or torchaudio beside it that was built for another torch
        pytest.skip(f"diffusers can't load its models here: {str(error)[-200:]}")
    return diffusers


def transformer(family: str) -> torch.nn.Module:
    diffusers = library()
    torch.manual_seed(0)  # the library draws its weights from the global generator
    if family == "wan":
        return diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=TEXT, freq_dim=16, ffn_dim=32, num_layers=3)  # fmt: skip
    return diffusers.LTXVideoTransformer3DModel(
        in_channels=128, out_channels=128, num_attention_heads=2, attention_head_dim=12, cross_attention_dim=24,
        num_layers=3, caption_channels=TEXT)  # fmt: skip


def vae(family: str) -> torch.nn.Module:
    diffusers = library()
    torch.manual_seed(1)
    if family == "wan":
        return diffusers.AutoencoderKLWan(
            base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        )
    return diffusers.AutoencoderKLLTXVideo(
        latent_channels=128, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, True, False),
        decoder_spatio_temporal_scaling=(True, True, True, False),
        decoder_inject_noise=(False, False, False, False, False), upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1))  # fmt: skip


def text_encoder(folder: Path, width: int = TEXT) -> None:
    """A T5 encoder and its tokenizer as pipelines keep them, side by side."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    torch.manual_seed(2)
    words = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    config = transformers.UMT5Config(
        vocab_size=len(words), d_model=width, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    transformers.UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")


def save_base(family: str, folder: Path) -> Path:
    """Transformer, VAE, text encoder and tokenizer in folders of these names."""
    transformer(family).save_pretrained(folder / "transformer")
    vae(family).save_pretrained(folder / "vae")
    text_encoder(folder)
    return folder


def save_data(folder: Path, clips: bool = True) -> Path:
    """Two clips and two grids of 3 x 4 cells with captions, a third of each without."""
    from fourreal_core.media import write_video
    from fourreal_core.synthetic.grids import GridOptions, make_grid
    from fourreal_core.training.data.assets import write_asset

    options = GridOptions(3, 4, (32, 64), window=4)
    captions = ("a red ball rolls", "a robot dances slowly", None)
    for i, caption in enumerate(captions):
        grid = make_grid("train", i, options)
        asset = write_asset(folder / "grids" / f"asset{i}", grid)
        if clips:
            (folder / "clips").mkdir(exist_ok=True)
            write_video(grid.cells[0].float() / 255, folder / "clips" / f"clip{i}.mp4", crf=8)
        if caption is not None:
            (asset / "caption.txt").write_text(caption + "\n", encoding="utf-8")
            if clips:
                (folder / "clips" / f"clip{i}.txt").write_text(caption, encoding="utf-8")
    return folder


CONFIG = """
[base]
transformer = "{base}/transformer"
vae = "{base}/vae"
text_encoder = "{base}/text_encoder"
[model]
variant = "soft_trained"
[data]
videos = "{data}/clips"
assets = "{data}/grids"
latents = "{out}/latents"
size = [32, 64]
[train]
steps = 3
batch = 2
micro_batch = 2
windows = [[2, 3]]
learning_rate = 1e-2
warm_up = 1
full_noise = 0.5
precision = "float32"
threads = 1
[run]
out = "{out}/run"
log_every = 1
checkpoint_every = 2
tensorboard = false
"""


def configuration(base: Path, data: Path, out: Path) -> str:
    """The TOML of both stages."""
    return CONFIG.format(base=base.as_posix(), data=data.as_posix(), out=out.as_posix())
