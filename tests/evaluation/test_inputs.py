"""What can be read as a grid, and what is said of what can't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.evaluation.grids import find_scenes, read_grid, scored_like
from fourreal_core.evaluation.wall_videos import split_wall
from fourreal_core.media import grid_wall, save_image, write_video
from fourreal_core.media.video import there_and_back_order

from .conftest import TIMES, VIEWS, write_cells


def luma_apart(a: Tensor, b: Tensor) -> float:
    """Mean difference in luma: colour has half the resolution in a video."""
    return float(((a - b) @ torch.tensor([0.299, 0.587, 0.114])).abs().mean())


def test_a_folder_of_cells(tmp_path: Path, true_frames: Tensor) -> None:
    grid = read_grid("a", write_cells(true_frames, tmp_path / "a"))
    assert grid.shape == (VIEWS, TIMES) and bool(grid.there.all())
    torch.testing.assert_close(grid.frames, true_frames, rtol=0, atol=0.51 / 255)
    assert bool(grid.given[0].all() & grid.given[:, 0].all()) and int(grid.given.sum()) == VIEWS + TIMES - 1
    assert torch.equal(grid.scored, ~grid.given)


def test_a_run_says_which_cells_were_given(tmp_path: Path, true_frames: Tensor) -> None:
    write_cells(true_frames, tmp_path / "run" / "grid")
    known = [[0, t] for t in range(TIMES)] + [[2, 1]]
    (tmp_path / "run" / "report.json").write_text(json.dumps({"grid": {"known": known}}))
    grid = read_grid("run", tmp_path / "run")
    assert grid.given.nonzero().tolist() == known and torch.equal(grid.scored, ~grid.given)


def test_roles_of_a_truth_that_lacks_cells(tmp_path: Path, true_frames: Tensor) -> None:
    folder = write_cells(true_frames, tmp_path / "t")
    (folder / "v1_t1.png").unlink()
    roles = {"inputs": [[0, 0], [0, 1], [1, 0]], "targets": [[1, 1], [2, 2], [3, 3]]}
    (folder / "grid.json").write_text(json.dumps(roles))
    save_image(torch.ones(72, 120, 3).index_fill(0, torch.arange(9), 0.0), folder / "valid.png")
    truth = read_grid("t", folder)
    assert truth.scored.nonzero().tolist() == [[2, 2], [3, 3]]  # v1_t1 isn't there
    made = scored_like(read_grid("m", write_cells(true_frames, tmp_path / "m")), truth)
    assert made.scored.nonzero().tolist() == [[2, 2], [3, 3]] and made.given.nonzero().tolist() == roles["inputs"]
    assert not bool(made.valid[:9].any()) and bool(made.valid[9:].all())


@pytest.mark.parametrize("views", [1, 3, 5, 8])
def test_a_wall_video_is_cut_again(tmp_path: Path, true_frames: Tensor, views: int) -> None:
    frames = true_frames[torch.arange(views) % VIEWS]
    order = there_and_back_order(TIMES, 2.0, 8.0)
    video = write_video(grid_wall(frames), tmp_path / "grid.mp4", 8.0, crf=1, order=order)
    grid = read_grid("w", video)
    assert grid.shape == (views, TIMES) and grid.frames.shape[2:4] == (72, 120)
    assert luma_apart(grid.frames, frames) < 0.01


def test_one_video_a_view(tmp_path: Path, true_frames: Tensor) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    for v in range(VIEWS):
        write_video(true_frames[v], folder / f"view{v}.mp4", crf=1)
    by_folder = read_grid("v", folder)
    listed = tmp_path / "views.txt"
    listed.write_text("# views\n" + "\n".join(f"views/view{v}.mp4" for v in range(VIEWS)) + "\n")
    by_list = read_grid("v", listed)
    assert by_folder.shape == (VIEWS, TIMES) and torch.equal(by_folder.frames, by_list.frames)
    assert luma_apart(by_folder.frames, true_frames) < 0.01
    write_video(true_frames[0, :2], folder / "view2.mp4", crf=1)
    with pytest.raises(InputError, match=r"view2.mp4 with 2 frames .* expected 4 of 120 x 72 as view0.mp4"):
        read_grid("v", folder)


def test_scenes_of_a_folder(tmp_path: Path, true_frames: Tensor) -> None:
    for name in ("s10", "s2"):
        write_cells(true_frames[:2, :2], tmp_path / "all" / name)
    assert list(find_scenes(tmp_path / "all")) == ["s2", "s10"]
    assert list(find_scenes(tmp_path / "all" / "s2")) == ["s2"]
    with pytest.raises(InputError, match="does not exist"):
        find_scenes(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no grid in"):
        find_scenes(tmp_path / "empty")


def test_what_is_no_wall(true_frames: Tensor) -> None:
    with pytest.raises(InputError, match="without the gaps of a wall"):
        split_wall(true_frames[0])
    still = grid_wall(true_frames[:, :1].expand_as(true_frames))
    with pytest.raises(InputError, match="say --times"):
        split_wall(still)
    assert split_wall(still, times=2).shape[:2] == (VIEWS, 2)
    with pytest.raises(InputError, match=r"a wall of 5 views; expected 4"):
        split_wall(grid_wall(true_frames), views=4)
    with pytest.raises(InputError, match=r"9 times of a wall of 4 frames"):
        split_wall(grid_wall(true_frames), times=9)


def test_a_cell_of_another_size_is_named(tmp_path: Path, true_frames: Tensor) -> None:
    folder = write_cells(true_frames[:2, :2], tmp_path / "a")
    save_image(torch.zeros(72, 118, 3), folder / "v1_t1.png")
    with pytest.raises(InputError, match=r"v1_t1.png of 118 x 72 pixels"):
        read_grid("a", folder)
    (folder / "v1_t1.png").unlink()
    (folder / "grid.json").write_text('{"inputs": [[0, 7]]}')
    with pytest.raises(InputError, match=r"names a cell \[0, 7\]"):
        read_grid("a", folder)
    (folder / "grid.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_grid("a", folder)
