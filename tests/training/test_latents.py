"""Clips, grids and captions, encoded once, and sync layers trained on what was encoded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.media.images import read_image
from fourreal_core.model.sync_file import load_sync
from fourreal_core.training.batches import make_batch
from fourreal_core.training.caption_encoder import CaptionEncoder
from fourreal_core.training.config_file import parse_config
from fourreal_core.training.data.latents import EncodedGrid, LatentGrids, LatentsMeta, latents_path, write_latents
from fourreal_core.training.diffusers_bases import SyncedVideos
from fourreal_core.training.diffusers_vae import FrameVAE
from fourreal_core.training.encoding import EncodeOptions, encode_stage
from fourreal_core.training.objective import noisy_inputs
from fourreal_core.training.trainer import train_stage

from .tiny_bases import configuration, save_base, save_data, transformer

FAMILIES = ("wan", "ltx")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return save_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=FAMILIES)
def base(request, tmp_path_factory):
    return request.param, save_base(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def stage(base, data, tmp_path):
    text = configuration(base[1], data, tmp_path)

    def make(name: str = "finetune4d", **changes: object):
        return parse_config(text, name, "tiny.toml", {k.replace("__", "."): v for k, v in changes.items()})

    return make


def test_latents_and_text_are_those_of_vae_and_text_encoder(base, data, stage):
    config = stage(data__augment=False, train__windows=[[3, 4]])
    report = encode_stage(config, EncodeOptions(grids=3, per_shard=2))
    assert report["grids"] == 3 and report["captions"] == 2 and not report["skipped"]
    grids = LatentGrids(config.data.latents, ("finetune4d",))
    assert len(grids) == 3 and grids.window == (3, 4)
    first = load_file(latents_path(grids.folder, "finetune4d", 0))
    cells = torch.stack([read_image(data / "grids" / "asset0" / f"v1_t{t}.png") for t in range(4)])
    expected = FrameVAE(str(base[1] / "vae")).encode(cells)
    torch.testing.assert_close(first["latents"][0, 1].float(), expected, rtol=2e-3, atol=2e-3)  # float16
    encoder = CaptionEncoder(str(base[1] / "text_encoder"), str(base[1] / "tokenizer"), 512)
    texts = [encoder.encode(c) for c in ("a red ball rolls", "a robot dances slowly")]
    assert [len(text) for text in texts] == [5, 5] and len(encoder.encode("")) == 1  # the end of a sentence
    assert first["text_ends"].tolist() == [5, 10]
    torch.testing.assert_close(first["text"].float(), torch.cat(texts), rtol=1e-2, atol=1e-2)  # bfloat16
    torch.testing.assert_close(grids.no_caption, encoder.encode(""), rtol=1e-2, atol=1e-2)
    last = load_file(latents_path(grids.folder, "finetune4d", 1))
    assert torch.equal(last["text"], grids.no_caption.bfloat16())


def test_encoding_goes_on_where_it_was_stopped(stage):
    config = stage()
    encode_stage(config, EncodeOptions(grids=3, per_shard=1))
    paths = [latents_path(LatentGrids(config.data.latents, ("finetune4d",)).folder, "finetune4d", i) for i in range(3)]
    before = [p.stat().st_mtime_ns for p in paths]
    whole = {name: x.clone() for name, x in load_file(paths[1]).items()}  # not mapped from the file that is cut off
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    encode_stage(config, EncodeOptions(grids=3, per_shard=1))
    after = [p.stat().st_mtime_ns for p in paths]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert all(torch.equal(x, whole[name]) for name, x in load_file(paths[1]).items())
    with pytest.raises(InputError, match="size"):
        encode_stage(replace(config, data=replace(config.data, size=(64, 64))), EncodeOptions(grids=3, per_shard=1))


def test_a_batch_of_encoded_grids(base, stage):
    config = stage(train__no_caption=0.0, train__batch=4)
    encode_stage(config, EncodeOptions(grids=3, per_shard=2, views=3, times=4))
    grids = LatentGrids(config.data.latents, ("finetune4d",))
    whole = make_batch(config, grids, 5, range(4))
    halves = [make_batch(config, grids, 5, range(i, i + 2)) for i in (0, 2)]
    assert torch.equal(whole.latents, torch.cat([h.latents for h in halves]))
    assert whole.frames is None and whole.latents.shape[:3] == (4, 2, 3)
    inputs, clean, _ = noisy_inputs(whole, None)  # no codec is needed
    assert torch.equal(clean, whole.latents) and torch.equal(inputs.latents[inputs.known], clean[inputs.known])
    if base[0] == "wan":  # zeros up to 512 tokens count there, so there is no mask
        assert inputs.text.shape == (4, 512, 20) and inputs.text_mask is None
        assert not inputs.text[:, 5:].any() and inputs.text[:, 0].any()
    else:
        assert inputs.text.shape[0] == 4 and inputs.text.shape[1] <= 5
    silent = make_batch(replace(config, train=replace(config.train, no_caption=1.0)), grids, 5, range(4))
    assert all(torch.equal(text[:1], grids.no_caption) and not text[1:].any() for text in silent.text)


def test_a_masked_text_is_a_shorter_text(tmp_path):
    """LTX-Video: two captions of different lengths in one batch are what each is by itself."""
    generator = torch.Generator().manual_seed(0)
    long, short = torch.randn(5, 20, generator=generator), torch.randn(2, 20, generator=generator)
    LatentsMeta("vae", "text", (32, 64), 128, 20, 0).agree(tmp_path)
    (tmp_path / "no_caption.safetensors").write_bytes(b"")
    grid = torch.randn(2, 3, 128, 1, 2, generator=generator)
    write_latents(tmp_path / "finetune4d-00000.safetensors", [EncodedGrid(grid, t) for t in (long, short)], ["a", "b"])
    with pytest.raises(InputError, match="the text of no caption"):
        LatentGrids(tmp_path, ("finetune4d",))
    model = SyncedVideos(transformer("ltx"), "soft").eval()
    from fourreal_core.model.dit import GridInputs

    known = torch.zeros(2, 2, 3, dtype=torch.bool)
    texts = torch.stack([long, torch.nn.functional.pad(short, (0, 0, 0, 3))])
    mask = torch.arange(5) < torch.tensor([5, 2])[:, None]
    pair = GridInputs(grid.expand(2, *grid.shape), torch.full((2, 2, 3), 0.5), known, text=texts, text_mask=mask)
    with torch.no_grad():
        both = model(pair)
        alone = model(GridInputs(grid[None], torch.full((1, 2, 3), 0.5), known[:1], text=short[None]))
        unmasked = model(pair._replace(text_mask=None))
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-4)
    assert (unmasked[1] - both[1]).abs().max() > 1e-3


@pytest.mark.parametrize("device_types", [("float32", "float32"), ("bf16", "bf16")])
def test_from_clips_and_grids_to_a_sync_file(base, data, stage, device_types, monkeypatch):
    pytest.importorskip("accelerate")
    pytest.importorskip("kornia")
    changes = {"base__dtype": device_types[0], "train__precision": device_types[1]}
    for name in ("pseudo4d", "finetune4d"):
        encode_stage(stage(name), EncodeOptions(grids=2, per_shard=2))
    monkeypatch.setattr("fourreal_core.training.trainees.FrameVAE", None)  # training needs no VAE any more
    first = train_stage(stage("pseudo4d", **changes))
    start = load_sync(first["model"])
    second = train_stage(stage("finetune4d", train__learning_rate=1e-12, **changes))
    fingerprint = SyncedVideos(transformer(base[0])).base_fingerprint()
    went_on = load_sync(second["model"], fingerprint)  # with almost no learning rate: what the stage before left
    assert first["trained"] == sum(p.numel() for p in start.parameters())
    for name, weights in went_on.state_dict().items():
        torch.testing.assert_close(weights, start.state_dict()[name], rtol=1e-3, atol=1e-5)
    assert any(bool(p.any()) for name, p in start.named_parameters() if ".up_" in name)  # these began at zero
    mixed = train_stage(stage("mixed", **changes))
    assert mixed["steps"] == 3


def test_captions_reach_the_loss(base, stage):
    """The same step with other text has another loss."""
    pytest.importorskip("accelerate")
    losses = []
    for share in (0.0, 1.0):
        config = stage(train__no_caption=share, train__steps=1, run__out=f"{stage().run.out}-{share}")
        encode_stage(config, EncodeOptions(grids=2, per_shard=2))
        losses.append(train_stage(config)["loss"])
    assert losses[0] != losses[1]


def test_the_first_errors_are_sentences(base, data, stage, tmp_path):
    family, folder = base
    with pytest.raises(InputError, match="latent channels without a VAE"):
        train_stage(stage(base__vae=None, data__latents=None))
    with pytest.raises(InputError, match="no latents at"):
        train_stage(stage())
    settings = json.loads((folder / "transformer" / "config.json").read_text())
    (tmp_path / "i2v").mkdir()
    (tmp_path / "i2v" / "config.json").write_text(json.dumps(settings | {"in_channels": 36}))
    with pytest.raises(InputError, match="36 input channels"):
        train_stage(stage(base__transformer=str(tmp_path / "i2v")))
    with pytest.raises(InputError, match="36 input channels"):
        encode_stage(stage(base__transformer=str(tmp_path / "i2v")))
    with pytest.raises(InputError, match=r"without base\.vae"):
        encode_stage(stage(base__vae=None))
    with pytest.raises(InputError, match="can't be read"):
        encode_stage(stage(base__text_encoder=str(tmp_path / "nothing")))
    with pytest.raises(InputError, match="sides that"):
        encode_stage(stage(data__size=[24, 64]))
    LatentsMeta("other", "", (32, 64), 5, 0, 0).agree(tmp_path / "latents")
    with pytest.raises(InputError, match="latents of 5 channels"):
        train_stage(stage())
    with pytest.raises(InputError, match="data.latents without base.transformer"):
        stage(base__transformer=None)


def test_the_command_encodes(base, data, tmp_path, capfd):
    (tmp_path / "tiny.toml").write_text(configuration(base[1], data, tmp_path))
    command = ["data", "encode", "finetune4d", "--config", str(tmp_path / "tiny.toml"), "--grids", "2"]
    assert main([*command, "--json", "--quiet"]) == 0
    assert json.loads(capfd.readouterr().out)["captions"] == 2
    assert len(LatentGrids(tmp_path / "latents", ("finetune4d",))) == 2
    assert main([*command, "--device", "nowhere", "--quiet"]) == 2
    assert "the device 'nowhere'" in capfd.readouterr().err
