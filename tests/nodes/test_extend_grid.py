"""Long grids chunk by chunk, with a stand-in for the host's sampler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from .test_native_grids import SCALE, TEXT, Vae

Part = Callable[[str], ModuleType]
NODE = "FourRealExtendGrid"
VIEWS, TIMES = 3, 7
SETTINGS = {
    "positive": TEXT,
    "negative": TEXT,
    "seed": 5,
    "steps": 2,
    "cfg": 1.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "denoise": 1.0,
    "window_views": 8,
    "window_times": 4,
    "keep": 1,
}
"""Times 0-3, 4-5 and 6, the later ones beside time 0 and the last one."""


class Cancelled(Exception):
    pass


@pytest.fixture
def grid(part: Part) -> Any:
    generator = torch.Generator().manual_seed(3)
    freeze, fixed = (torch.rand(count, 2 * SCALE, 3 * SCALE, 3, generator=generator) for count in (VIEWS, TIMES))
    freeze[0] = fixed[0]
    return part("fourreal_core.grid").FrameGrid.from_clips(freeze, fixed)


@pytest.fixture
def model() -> Any:
    from .stand_in_model import Model

    made = Model()
    made.load_device = torch.device("cpu")
    return made


@pytest.fixture
def sampled(part: Part, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the sampler was asked for; it makes every unknown cell a mean of known ones and noise."""
    calls: list[dict[str, Any]] = []

    def sample(model: Any, made: Any, noise: torch.Tensor, settings: Any, callback: Any) -> torch.Tensor:
        start, mask = made.latent["samples"], made.latent["noise_mask"]
        known = mask[:, 0, :, 0, 0] == 0
        calls.append({"model": model, "made": made, "seed": settings.seed, "known": known, "settings": settings})
        callback(0, start, start, 1)
        mean = (start * (1 - mask)).sum() / (1 - mask).expand_as(start).sum()
        return start * (1 - mask) + (0.5 * mean + 0.01 * noise) * mask

    monkeypatch.setattr(part("nodes.chunk_sampling"), "sample", sample)
    return calls


def test_chunks_follow_each_other(
    part: Part, run: Any, model: Any, grid: Any, sampled: list[Any], host_folders: Path
) -> None:
    (made,) = run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS)
    assert [call["known"].shape[1] for call in sampled] == [4, 4, 3] and len({call["seed"] for call in sampled}) == 3
    assert sampled[1]["known"].int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert torch.equal(sampled[1]["made"].latent["samples"][1, :, 0], Vae().encode(grid.frames[1, 0][None])[0, :, 0])
    assert torch.equal(sampled[1]["made"].positive[0][1]["fourreal_known_cells"], sampled[1]["known"])
    assert torch.equal(made.frames[made.known], grid.frames[grid.known]) and torch.equal(made.known, grid.known)
    assert bool((made.frames[~grid.known].flatten(1).std(1) > 0).all()) and not made.frames.is_inference()
    assert part("nodes.host_models.patch").streams_of(sampled[0]["model"]) is not None  # soft, as nothing was chosen
    assert not any((host_folders / "output" / "4real_unfinished").iterdir())


def test_every_chunk_is_named_and_shown(
    part: Part,
    run: Any,
    model: Any,
    grid: Any,
    sampled: list[Any],
    host_folders: Path,
    said: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[tuple[int, ...]] = []

    class Pictures:
        def __init__(self, model: Any, on_step: Any) -> None:
            self.on_step = on_step

        def __call__(self, step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
            shown.append(tuple(x0.shape))
            self.on_step(step + 1, total)

    monkeypatch.setattr(part("nodes.host_models.grid_preview"), "WallPictures", Pictures)
    run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS)
    texts = [text for _, text in said]
    names = [
        f"Chunk {k + 1} of 3, views 0 to 2, times {times}" for k, times in enumerate(("0 to 3", "0 to 5", "0 to 6"))
    ]
    assert [text for text in texts if text in names] == names
    assert [shape[0::2][:2] for shape in shown] == [(VIEWS, 4), (VIEWS, 2), (VIEWS, 1)]  # the new cells of each


def test_a_run_that_was_cut_short_goes_on(
    part: Part, run: Any, model: Any, grid: Any, sampled: list[Any], host_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS)
    sampled.clear()
    chunks = part("nodes.chunk_sampling")
    go_on = chunks.sample

    def cancelled(*args: Any) -> torch.Tensor:
        if len(sampled) == 2:
            raise Cancelled
        return go_on(*args)

    monkeypatch.setattr(chunks, "sample", cancelled)
    with pytest.raises(Exception) as caught:  # noqa: PT011, B017 - the runtime wraps what a node raises
        run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS)
    assert isinstance(caught.value.__cause__, Cancelled)
    sampled.clear()
    monkeypatch.setattr(chunks, "sample", go_on)
    run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS | {"steps": 3})
    assert len(sampled) == 3  # other settings start anew, and leave these chunks alone
    sampled.clear()
    (made,) = run(NODE, model=model, vae=Vae(), grid=grid, **SETTINGS)
    assert len(sampled) == 1 and torch.equal(made.frames, whole.frames)


def test_a_proposal_is_cut_with_the_grid(
    run: Any, model: Any, grid: Any, sampled: list[Any], host_folders: Path
) -> None:
    guess = torch.rand(VIEWS * TIMES, 2 * SCALE, 3 * SCALE, 3, generator=torch.Generator().manual_seed(1))
    run(NODE, model=model, vae=Vae(), grid=grid, proposal=guess, **SETTINGS, start_noise=0.4)
    assert {call["settings"].start_noise for call in sampled} == {0.4}
    start = sampled[1]["made"].latent["samples"]  # times 0, 3, 4, 5
    assert torch.equal(start[2, :, 3], Vae().encode(guess[2 * TIMES + 5][None])[0, :, 0])


def test_what_cannot_be_extended_is_refused(
    fails: Any, model: Any, grid: Any, sampled: list[Any], host_folders: Path
) -> None:
    def sentence(**changes: Any) -> str:
        return fails(NODE, **{"model": model, "vae": Vae(), "grid": grid} | SETTINGS | changes)

    assert "room for new cells in a window" in sentence(keep=4)
    assert "no positive prompt for Wan" in sentence(positive=None)
    assert "a start_noise of 0.4 and no proposal to start from" in sentence(start_noise=0.4)
    assert "connect 'CLIP Text Encode'" in fails("FourRealFreezeTimeConditioning", model=model, vae=Vae(), grid=grid)
    assert not sampled


def test_walls_are_shown_on_the_callers_bar(part: Part, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    wall = part("nodes.host_models.grid_preview")

    class Previewer:
        def decode_latent_to_preview(self, x0: torch.Tensor) -> Image.Image:
            return Image.new("RGB", (x0.shape[-1], x0.shape[-2]), (255, 0, 51))

    monkeypatch.setattr(wall.latent_preview, "get_previewer", lambda device, latent_format: Previewer())
    seen: list[Any] = []
    pictures = wall.WallPictures(model, lambda done, total, preview=None: seen.append((done, total, preview)))
    assert wall.with_wall(pictures, model) is pictures and wall.with_wall(None, model) is None
    latents = torch.zeros(VIEWS, 4, TIMES, 2, 3)
    pictures(1, latents, latents, 5)
    ((done, total, preview),) = seen
    assert (done, total) == (2, 5) and preview.shape == (VIEWS * 2, TIMES * 3, 3)
    assert torch.allclose(preview[0, 0], torch.tensor([1.0, 0.0, 0.2]))
