"""Contact sheets and walls: every cell in its place."""

from __future__ import annotations

import torch

from fourreal_core.media import contact_sheet, grid_wall
from fourreal_core.media.contact_sheets import GIVEN_COLOR


def flat_cells(views: int, times: int, size: tuple[int, int] = (20, 30)) -> torch.Tensor:
    """Cells of one colour each: red counts views, green counts times, in steps of 10 / 255."""
    v, t = torch.meshgrid(torch.arange(views), torch.arange(times), indexing="ij")
    color = torch.stack([v * 10 + 60, t * 10 + 60, torch.full_like(v, 200)], -1) / 255.0
    return color[:, :, None, None].expand(views, times, *size, 3).contiguous()


def places(sheet: torch.Tensor, color: torch.Tensor) -> torch.Tensor:
    return ((sheet - color).abs().amax(-1) < 1 / 300).nonzero().float()


def test_a_contact_sheet_shows_views_downward_and_times_to_the_right():
    cells = flat_cells(3, 4)
    sheet = contact_sheet(cells, torch.zeros(3, 4, dtype=torch.bool))
    middles = [places(sheet, cells[v, t, 0, 0]).mean(0) for v in range(3) for t in range(4)]
    centres = torch.stack(middles).reshape(3, 4, 2)
    assert (places(sheet, cells[1, 2, 0, 0])).shape == (600, 2)
    assert (centres[1:, :, 0] > centres[:-1, :, 0] + 20).all() and (centres[:, 1:, 1] > centres[:, :-1, 1] + 30).all()


def test_only_given_cells_are_framed():
    known = torch.zeros(3, 4, dtype=torch.bool)
    assert len(places(contact_sheet(flat_cells(3, 4), known), torch.tensor(GIVEN_COLOR))) == 0
    known[2, 1] = True
    frame = places(contact_sheet(flat_cells(3, 4), known), torch.tensor(GIVEN_COLOR))
    assert len(frame) == 24 * 34 - 20 * 30


def test_large_cells_are_shrunk_in_proportion():
    sheet = contact_sheet(flat_cells(1, 1, (200, 400)), torch.zeros(1, 1, dtype=torch.bool), cell_width=100)
    assert len(places(sheet, flat_cells(1, 1)[0, 0, 0, 0])) == 50 * 100


def test_a_wall_plays_all_views_at_the_same_moment():
    cells = flat_cells(8, 3, (36, 64))
    wall = grid_wall(cells, width=1280)
    assert wall.shape[0] == 3 and wall.shape[2] <= 1280
    for t in range(3):
        assert all(len(places(wall[t], cells[v, t, 0, 0])) == 36 * 64 for v in range(8))


def test_a_wall_leaves_few_places_empty():
    sizes = {v: tuple(grid_wall(flat_cells(v, 1, (36, 64))).shape[1:3]) for v in (2, 4, 7, 8, 9)}
    tiles = {v: (round(h / 40), round(w / 68)) for v, (h, w) in sizes.items()}
    assert tiles == {2: (1, 2), 4: (2, 2), 7: (2, 4), 8: (2, 4), 9: (3, 3)}


def test_a_wall_stays_within_its_width():
    assert grid_wall(flat_cells(8, 1, (288, 512)), width=640).shape[2] <= 640
