"""Sync layers on tiny random models of diffusers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.codec import SpaceToDepth
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.sync_file import load_sync, save_sync
from fourreal_core.training.batches import Batch
from fourreal_core.training.diffusers_bases import SyncedVideos, load_base
from fourreal_core.training.objective import noisy_inputs
from fourreal_core.training.trainees import has_one_level
from fourreal_core.training.trainer import train_stage

diffusers = pytest.importorskip("diffusers")
try:
    FAMILIES = diffusers.WanTransformer3DModel, diffusers.LTXVideoTransformer3DModel
except RuntimeError as error:  # a torchvision or torchaudio beside it that was built for another torch
    pytest.skip(f"diffusers can't load its models here: {str(error)[-200:]}", allow_module_level=True)
GRID = (1, 2, 3, 4, 4, 4)  # B, V, T, C, h, w


def wan(channels: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)  # the library draws its weights from the global generator
    return diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=channels,
        text_dim=8, freq_dim=16, ffn_dim=32, num_layers=2)  # fmt: skip


def ltx() -> torch.nn.Module:
    torch.manual_seed(0)
    return diffusers.LTXVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=12, cross_attention_dim=24,
        num_layers=2, caption_channels=8)  # fmt: skip


def inputs(known: bool = True) -> GridInputs:
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(GRID[:3], dtype=torch.bool)
    if known:
        mask[:, 0] = mask[:, :, 0] = True
    text = torch.randn(1, 3, 8, generator=generator)
    return GridInputs(torch.randn(GRID, generator=generator), torch.where(mask, 0.0, 0.7), mask, text=text)


def own(model: torch.nn.Module, videos: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """What the library's own forward says of videos ``(N, F, C, h, w)`` at levels ``(N, F)``."""
    n, f, c, h, w = videos.shape
    text = text.expand(n, -1, -1)
    if isinstance(model, diffusers.WanTransformer3DModel):
        each = (1000 * level).repeat_interleave(h * w // 4, 1)
        return model(videos.transpose(1, 2), each, text).sample.transpose(1, 2)
    each = (1000 * level).repeat_interleave(h * w, 1)
    tokens = videos.permute(0, 1, 3, 4, 2).reshape(n, f * h * w, c)
    drawn = model(tokens, text, each, None, f, h, w, (8 / 25, 32, 32)).sample
    return drawn.view(n, f, h, w, c).permute(0, 1, 4, 2, 3)


@pytest.mark.parametrize("make", [wan, ltx], ids=["wan", "ltx"])
def test_without_sync_both_streams_are_the_librarys_own_videos(make):
    model, grid = make().eval(), inputs()
    with torch.no_grad():
        made = SyncedVideos(model, "identity")(grid)
        rows = own(model, grid.latents[0], grid.noise_level[0], grid.text)
        columns = own(model, grid.latents[0].transpose(0, 1), grid.noise_level[0].T, grid.text).transpose(0, 1)
    # the same sums in other batches, in float32
    torch.testing.assert_close(made[0], (rows + columns) / 2, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("make", [wan, ltx], ids=["wan", "ltx"])
def test_a_single_video_is_the_base_model(make):
    model = make().eval()
    grid = inputs(known=False)
    row = GridInputs(grid.latents[:, :1], grid.noise_level[:, :1], grid.known[:, :1], text=grid.text)
    with torch.no_grad():
        made = SyncedVideos(model)(row)
        true = own(model, row.latents[0], row.noise_level[0], row.text)
    torch.testing.assert_close(made[0], true, rtol=1e-4, atol=2e-5)


def test_known_cells_of_wan_21_are_as_noisy_as_in_the_host():
    assert has_one_level(SyncedVideos(wan(16))) and not has_one_level(SyncedVideos(wan(48)))
    assert not has_one_level(SyncedVideos(ltx()))
    known = torch.zeros(2, 2, 3, dtype=torch.bool)
    known[:, 0] = known[:, :, 0] = True
    level = torch.where(known, 0.0, torch.tensor([0.7, 0.2])[:, None, None])
    frames = torch.rand(2, 2, 3, 8, 8, 3, generator=torch.Generator().manual_seed(3))
    batch = Batch(frames, known, level, [5, 6])
    clean_known, clean, noise = noisy_inputs(batch, SpaceToDepth(2))
    noisy, same_clean, same_noise = noisy_inputs(batch, SpaceToDepth(2), one_level=True)
    assert torch.equal(clean, same_clean) and torch.equal(noise, same_noise)
    # the host's sampling: x = sigma noise + (1 - sigma) latent at known cells, and sigma is the level of all
    expected = torch.lerp(clean, noise, torch.tensor([0.7, 0.2]).view(2, 1, 1, 1, 1, 1).expand_as(clean))
    torch.testing.assert_close(noisy.latents, expected)
    assert torch.equal(noisy.noise_level, torch.tensor([0.7, 0.2])[:, None, None].expand(2, 2, 3))
    assert torch.equal(clean_known.latents[known], clean[known]) and bool((clean_known.noise_level[known] == 0).all())
    assert torch.equal(noisy.latents[~known], clean_known.latents[~known])


@pytest.mark.parametrize("make", [wan, ltx], ids=["wan", "ltx"])
@pytest.mark.parametrize("recompute", [False, True])
def test_sync_layers_learn_and_the_base_stays(make, recompute, tmp_path):
    synced = SyncedVideos(make(), "soft_trained")
    synced.recompute = recompute
    before = {name: w.clone() for name, w in synced.base.state_dict().items()}
    trained = synced.trained_parts("sync")
    optimizer, grid = torch.optim.AdamW(trained.values(), lr=1e-2), inputs()
    target = torch.randn(GRID, generator=torch.Generator().manual_seed(2))
    seen = []
    for _ in range(8):
        loss = ((synced(grid) - target)[~grid.known] ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < seen[0]
    assert all(torch.equal(w, before[name]) for name, w in synced.base.state_dict().items())
    save_sync(tmp_path / "sync.safetensors", synced.sync, synced.base_fingerprint())
    again = load_sync(tmp_path / "sync.safetensors", synced.base_fingerprint())
    assert all(torch.equal(w, again.state_dict()[name]) for name, w in synced.sync.state_dict().items())


def test_a_saved_base_is_loaded_and_others_are_refused(tmp_path):
    model = wan()
    model.save_pretrained(tmp_path / "wan")
    loaded = load_base(str(tmp_path / "wan"))
    assert all(torch.equal(w, loaded.base.state_dict()[name]) for name, w in model.state_dict().items())
    with pytest.raises(InputError, match="a model of the kind Linear"):
        SyncedVideos(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="can't be read"):
        load_base(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="trained sync layers"):
        loaded.trained_parts("all")


def test_a_stage_trains_sync_layers_on_a_saved_base(tiny, tmp_path):
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=12, out_channels=12, text_dim=8,
        freq_dim=16, ffn_dim=32, num_layers=2)  # fmt: skip
    model.save_pretrained(tmp_path / "wan")
    config = tiny("finetune4d", base__transformer=str(tmp_path / "wan"), model__subpixel=2, train__steps=4)
    report = train_stage(config)
    base = SyncedVideos(model).base_fingerprint()
    sync = load_sync(report["model"], base)
    assert any(bool(p.any()) for name, p in sync.named_parameters() if "weight" in name)
    assert train_stage(replace(config, train=replace(config.train, steps=6)))["steps_now"] == 2
    with pytest.raises(InputError, match="sync layers, in a stage on grids"):
        train_stage(tiny("base", base__transformer=str(tmp_path / "wan")))
