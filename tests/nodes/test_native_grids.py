"""Frame grids into latents and conditioning of a native model, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fourreal_core.grid import FrameGrid

Node = Any
Part = Callable[[str], ModuleType]
CONDITION, DECODE = "FourRealFreezeTimeConditioning", "FourRealDecode4DLatent"
TEXT = [[torch.zeros(1, 2, 6), {"pooled_output": torch.zeros(1, 2)}]]
SCALE = 8


class Vae:
    """Every 8 x 8 block as its mean; notes how many frames it was given at a time."""

    def __init__(self, channels: int = 4) -> None:
        self.channels, self.seen = channels, set()

    def spacial_compression_encode(self) -> int:
        return SCALE

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.add(pixels.shape[0])
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), SCALE)
        return torch.cat([small, small], 1)[:, : self.channels, None]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        self.seen.add(latents.shape[0])
        large = latents[:, :3, 0].repeat_interleave(SCALE, -1).repeat_interleave(SCALE, -2)
        return large.movedim(1, -1)[:, None]


@pytest.fixture
def model() -> Any:
    from .stand_in_model import Model

    return Model()


@pytest.fixture
def grid(part: Part, small_grid: FrameGrid) -> Any:
    """The small grid, 3 views and 4 times of 32 x 48, as the extension's own class."""
    return part("fourreal_core.grid").FrameGrid(small_grid.frames, small_grid.known, small_grid.valid)


def test_known_cells_are_encoded_alone_and_held(run: Node, model: Any, grid: Any) -> None:
    vae = Vae()
    positive, negative, latent, *_ = run(CONDITION, model=model, vae=vae, grid=grid, positive=TEXT, negative=TEXT)
    samples, mask = latent["samples"], latent["noise_mask"]
    assert samples.shape == (3, 4, 4, 4, 6) and mask.shape == (3, 1, 4, 4, 6) and vae.seen == {1}
    assert torch.equal(mask[:, 0, :, 0, 0] == 0, grid.known)
    assert torch.equal(samples[2, :, 0], vae.encode(grid.frames[2, 0][None])[0, :, 0])
    assert (samples[1, :, 1] == 1).all()  # zero in the stand-in's own scale: 2 * 0 + 1
    for conditioning in (positive, negative):
        assert torch.equal(conditioning[0][1]["fourreal_known_cells"], grid.known)
        assert "pooled_output" in conditioning[0][1]
    assert set(TEXT[0][1]) == {"pooled_output"}


class HostVae(Vae):
    """What the host's own video VAEs show of themselves, their cropping included."""

    latent_dim, crop_input = 3, True

    def memory_used_encode(self, shape: Any, dtype: Any) -> int:
        return 0

    def spacial_compression_decode(self) -> int:
        return SCALE

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        if pixels.ndim == 4:
            return super().encode(pixels)
        assert not self.crop_input and pixels.shape[1] == 1
        self.seen.add(len(pixels))
        return torch.cat([Vae.encode(Vae(self.channels), frame) for frame in pixels])


def test_many_frames_go_into_one_call(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    module, vae, steps = part("nodes.per_frame_vae"), HostVae(), []
    frames = list(torch.rand(21, 16, 24, 3, generator=torch.Generator().manual_seed(4)))
    latents = module.encode_alone(vae, frames, 4, lambda done, total, preview: steps.append((done, total)))
    assert steps == [(16, 21), (21, 21)] and vae.seen == {16, 5} and vae.crop_input
    one_by_one = module.encode_alone(Vae(), frames, 4, lambda *step: None)
    assert all(torch.equal(a, b) for a, b in zip(latents, one_by_one, strict=True))
    grid, steps = torch.cat(latents).unflatten(0, (3, 7))[:, :, :, 0].transpose(1, 2), []
    made = module.decode_alone(vae, grid, lambda done, total, preview: steps.append((done, total)))
    assert steps == [(16, 21), (21, 21)]
    assert torch.equal(made, module.decode_alone(Vae(), grid, lambda *step: None)) and made.shape == (3, 7, 16, 24, 3)
    assert (
        module.at_once(vae, 704, 1280) == 16
        and module.at_once(vae, 2160, 3840) == 2
        and module.at_once(Vae(), 8, 8) == 1
    )
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert module.at_once(vae, 704, 1280) == 1


def test_the_start_is_said(run: Node, model: Any, grid: Any) -> None:
    guess = torch.rand(12, 32, 48, 3, generator=torch.Generator().manual_seed(1))
    given = {"model": model, "vae": Vae(), "grid": grid, "positive": TEXT, "negative": TEXT}
    *_, sigmas, start = run(CONDITION, **given)
    assert float(sigmas[0]) == 1 and "from nothing that was proposed" in start
    *_, sigmas, start = run(CONDITION, **given, proposal=guess, start_noise=0.25, steps=5)
    assert len(sigmas) == 6 and float(sigmas[0]) == 0.25 and (sigmas.diff() < 0).all()
    assert start == "sampling starts at noise level 0.25: 75 % of the proposal is left in the cells to be made"
    *_, start = run(CONDITION, **given, proposal=guess)
    assert "nothing of the proposal is left" in start


@pytest.mark.parametrize("kind", ["batch", "grid"])
def test_a_proposal_is_where_unknown_cells_start(run: Node, model: Any, grid: Any, kind: str) -> None:
    guess = torch.rand(12, 32, 48, 3, generator=torch.Generator().manual_seed(1))
    proposal = guess if kind == "batch" else replace(grid, frames=guess.unflatten(0, (3, 4)), known=~grid.known)
    _, _, latent, *_ = run(
        CONDITION, model=model, vae=Vae(), grid=grid, positive=TEXT, negative=TEXT, proposal=proposal
    )
    samples = latent["samples"]
    assert torch.equal(samples[1, :, 2], Vae().encode(guess[4 + 2][None])[0, :, 0])
    assert torch.equal(samples[0, :, 2], Vae().encode(grid.frames[0, 2][None])[0, :, 0])


def test_grids_that_do_not_fit_are_refused(fails: Node, model: Any, grid: Any) -> None:
    def sentence(**changes: Any) -> str:
        return fails(
            CONDITION, **{"model": model, "vae": Vae(), "grid": grid, "positive": TEXT, "negative": TEXT} | changes
        )

    assert "every cell is known" in sentence(grid=replace(grid, known=torch.ones_like(grid.known)))
    assert "no cell is known" in sentence(grid=replace(grid, known=torch.zeros_like(grid.known)))
    assert "a grid of 1 view" in sentence(grid=replace(grid, frames=grid.frames[:1], known=grid.known[:1]))
    narrow = replace(grid, frames=grid.frames[:, :, :, :44].contiguous(), valid=grid.valid[:, :44])
    assert "frames of 44 x 32 pixels" in sentence(grid=narrow) and "such as 48 x 32" in sentence(grid=narrow)
    assert "load the VAE that belongs to the model" in sentence(vae=Vae(channels=3))
    assert "a proposal of 7 cells for a grid of 3 views and 4 times" in sentence(proposal=torch.rand(7, 32, 48, 3))


def test_decoding_keeps_known_cells_and_takes_each_alone(run: Node, fails: Node, grid: Any) -> None:
    vae, samples = Vae(), torch.rand(3, 4, 4, 4, 6, generator=torch.Generator().manual_seed(2)) * 1.2
    (made,) = run(DECODE, latent={"samples": samples}, vae=vae, grid=grid)
    assert torch.equal(made.frames[grid.known], grid.frames[grid.known]) and torch.equal(made.known, grid.known)
    assert torch.equal(made.frames[2, 3], vae.decode(samples[2:, :, 3:])[0, 0].clamp(0, 1)) and vae.seen == {1}
    assert not made.frames.is_inference()
    (bare,) = run(DECODE, latent={"samples": samples}, vae=vae)
    assert not bare.known.any() and torch.equal(bare.frames[2, 3], made.frames[2, 3])
    assert "a latent of 3 views and 2 times" in fails(DECODE, latent={"samples": samples[:, :, :2]}, vae=vae, grid=grid)
    assert "a latent of 40 x 32 pixels" in fails(DECODE, latent={"samples": samples[..., :5]}, vae=vae, grid=grid)
    assert "at least 2 views" in fails(DECODE, latent={"samples": samples[:1]}, vae=vae)


def test_a_wall_shows_every_cell_once(part: Part) -> None:
    latents = torch.arange(3 * 2 * 4 * 5 * 6).reshape(3, 2, 4, 5, 6)
    wall = part("nodes.host_models.grid_preview").wall_of(latents)
    assert wall.shape == (1, 2, 1, 15, 24)
    assert torch.equal(wall[0, :, 0, 10:15, 6:12], latents[2, :, 1])


def test_weights_are_listed_from_their_folder(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import folder_paths

    files = part("nodes.sync_files")
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.delitem(folder_paths.folder_names_and_paths, "fourreal", raising=False)
    files.register_folder()
    assert folder_paths.folder_names_and_paths["fourreal"] == ([str(tmp_path / "fourreal")], {".safetensors"})
    assert files.file_path("none") is None and files.list_files()[0] == "none"
