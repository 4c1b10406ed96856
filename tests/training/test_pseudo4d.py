"""Pseudo-4D: a video and its 2D transformations as a grid."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media.images import save_image
from fourreal_core.training.data.pseudo4d import PseudoGrids, WarpOptions, find_videos, fit, pseudo_grid

STILL = WarpOptions(0, 0, 0, 0)


def test_without_a_warp_every_view_is_the_video(pictures, generator):
    clip = pictures(3, 24, 32)
    grid = pseudo_grid(clip, 4, generator, STILL)
    # resampling at the pixels' own places; float32
    torch.testing.assert_close(grid, clip.expand(4, -1, -1, -1, -1), rtol=0, atol=1e-4)


def test_views_change_smoothly_and_alike_at_all_times(pictures, generator):
    clip = pictures(1, 48, 64).expand(3, -1, -1, -1)
    grid = pseudo_grid(clip, 6, generator)
    assert grid.shape == (6, 3, 48, 64, 3) and float(grid.min()) >= 0 and float(grid.max()) <= 1
    assert torch.equal(grid[:, 0], grid[:, 2])  # the same warp at every time
    steps = (grid[1:, 0] - grid[:-1, 0]).abs().mean((1, 2, 3))
    whole = float((grid[-1, 0] - grid[0, 0]).abs().mean())
    assert float(steps.min()) > 0 and float(steps.max()) < 0.8 * max(whole, float(steps.sum()))


def test_a_warp_never_shows_the_border(generator):
    """A clip with a bright rim one pixel outside of what may be seen would show it."""
    clip = torch.zeros(1, 64, 64, 3)
    clip[:, [0, -1]] = 1
    clip[:, :, [0, -1]] = 1
    for seed in range(8):
        grid = pseudo_grid(clip, 5, torch.Generator().manual_seed(seed), WarpOptions(0.3, 0.3, 20, 0.2))
        inner = grid[:, 0, 12:-12, 12:-12]
        assert float(inner.mean()) < 0.2  # a rim may touch a corner, repeated borders would fill the frame


def test_warps_are_seeded(pictures):
    clip = pictures(2)
    one, same, other = (pseudo_grid(clip, 3, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.fixture
def videos(tmp_path, pictures):
    for name, frames in (("walk", 6), ("run", 5), ("orbit", 6), ("short", 2)):
        (tmp_path / name).mkdir()
        for i, frame in enumerate(pictures(frames, 20, 30)):
            save_image(frame, tmp_path / name / f"{i}.png")
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    return tmp_path


def test_a_folder_of_videos_becomes_grids(videos):
    (videos / "orbit.static").touch()
    source = PseudoGrids(videos, 3, 4, (16, 16))
    names = {p.name for p in source.videos}
    assert names == {"walk", "run", "short", "broken.mp4"}
    for position in range(12):
        grid = source.draw(position, torch.Generator().manual_seed(position))
        assert grid.shape == (3, 4, 16, 16, 3) and grid.dtype == torch.uint8
    assert {name.rsplit("/", 1)[-1] for name in source.skipped.reasons} == {"short", "broken.mp4"}


def test_the_list_leaves_videos_out(videos, tmp_path):
    (tmp_path / "list.txt").write_text("# camera motion\norbit\nbroken.mp4\n")
    source = PseudoGrids(videos, 2, 2, (16, 16), exclude=tmp_path / "list.txt")
    assert {p.name for p in source.videos} == {"walk", "run", "short"}
    with pytest.raises(InputError, match="no videos"):
        find_videos(videos, {"walk", "run", "short", "orbit", "broken.mp4"})
    with pytest.raises(InputError, match="can't be read"):
        PseudoGrids(videos, 2, 2, (16, 16), exclude=tmp_path / "none.txt")


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no")
    with pytest.raises(InputError, match="none of 1 can be read"):
        PseudoGrids(tmp_path, 2, 2, (16, 16)).draw(0, torch.Generator())


def test_clips_are_cut_to_the_aspect_ratio(pictures):
    assert fit(pictures(2, 20, 40), (16, 16)).shape == (2, 16, 16, 3)
    flat = torch.full((1, 30, 20, 3), 0.5)
    torch.testing.assert_close(fit(flat, (8, 12)), torch.full((1, 8, 12, 3), 0.5))


def test_warps_that_fold_the_picture_are_refused():
    with pytest.raises(InputError, match="perspective below 0.4"):
        WarpOptions(perspective=0.5)
