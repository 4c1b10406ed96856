"""The cache of made grids: what was rendered is read back, half-finished work goes on, damage is named."""

from __future__ import annotations

import shutil

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.synthetic.grids import GridOptions, make_grid
from fourreal_core.training.data import cache
from fourreal_core.training.data.cache import CachedGrids, CacheOptions, render_cache
from fourreal_core.training.data.sources import Mixture

from ..cancelling import Cancelled

SIZES = GridOptions(2, 2, (16, 20))
OPTIONS = CacheOptions("train", grids=5, per_shard=2, grid=SIZES)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    render_cache(folder, OPTIONS, workers=0)
    return folder


@pytest.fixture
def folder(rendered, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(rendered, tmp_path / "cache")


def test_what_was_rendered_is_read_back(rendered):
    grids = CachedGrids(rendered)
    assert len(grids) == 5 and len(grids.skipped) == 0
    for i in (0, 3, 4):
        made = make_grid("train", i, SIZES)
        cells, masks = grids.read(i)
        assert torch.equal(cells, made.cells) and torch.equal(masks, made.masks)  # 20 pixels: not whole bytes


def test_draws_follow_the_generator(rendered):
    grids = CachedGrids(rendered)
    first, again = (grids.draw(0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and first.dtype == torch.uint8


def test_a_stopped_rendering_goes_on_where_it_stopped(tmp_path, monkeypatch):
    def stop(done, total, preview=None):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        render_cache(tmp_path, OPTIONS, 0, stop)
    assert len(CachedGrids(tmp_path)) == 4
    rendered, real = [], cache.make_grid
    monkeypatch.setattr(cache, "make_grid", lambda split, i, *rest: rendered.append(i) or real(split, i, *rest))
    render_cache(tmp_path, OPTIONS, 0)
    assert rendered == [4] and len(CachedGrids(tmp_path)) == 5
    assert not list(tmp_path.glob("*.part*"))


def test_new_shards_are_found_while_training_reads(rendered, folder):
    last = cache.shard_path(folder, "train", 2)
    last.unlink()
    grids = CachedGrids(folder)
    assert len(grids) == 4
    shutil.copy(cache.shard_path(rendered, "train", 2), last)
    assert grids.refresh() == 5


def test_a_cut_shard_is_skipped_counted_and_named_then_rendered_again(folder):
    broken = cache.shard_path(folder, "train", 1)
    broken.write_bytes(broken.read_bytes()[:-100])
    grids = CachedGrids(folder)
    assert len(grids) == 3 and list(grids.skipped.reasons) == [broken.name]
    assert list(render_cache(folder, OPTIONS, 0).reasons) == [broken.name]
    assert len(CachedGrids(folder)) == 5


def test_a_cache_of_other_sizes_is_left_alone(folder):
    with pytest.raises(InputError, match="another grid; expected the same settings"):
        render_cache(folder, CacheOptions("train", 5, 2, GridOptions(2, 3, (16, 20))), 0)


def test_too_little_space_is_seen_before_rendering(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match="MiB free"):
        render_cache(tmp_path, OPTIONS, 0)
    assert not list(tmp_path.glob("*.safetensors"))


def test_no_cache_and_no_such_split_are_clear(tmp_path, rendered):
    with pytest.raises(InputError, match="fourreal data render-procedural"):
        CachedGrids(tmp_path)
    with pytest.raises(InputError, match="no readable shard of the split 'test'"):
        CachedGrids(rendered, "test")


class Counting:
    """A source that says which positions it was asked for."""

    def __init__(self) -> None:
        self.skipped, self.asked = cache.Skipped(), []

    def draw(self, position, generator):
        self.asked.append(position)
        return torch.zeros(0)


def test_a_mixture_takes_turns_in_its_shares():
    pseudo, true = Counting(), Counting()
    mixture = Mixture([pseudo, true], [1, 2])
    for position in range(9):
        mixture.draw(position, torch.Generator())
    assert pseudo.asked == [0, 1, 2] and true.asked == [0, 1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="one positive share"):
        Mixture([pseudo], [0])


def test_flows_are_kept_when_asked(rendered, tmp_path):
    render_cache(tmp_path, CacheOptions("train", 1, 2, SIZES, flows=True), 0)
    cells, flows = CachedGrids(tmp_path).read_flows(0)
    made = make_grid("train", 0, SIZES, flows=True)
    assert torch.equal(cells, made.cells)
    # kept in quarter pixels, up to 31 of them
    torch.testing.assert_close(flows, made.flows.clamp(-31.75, 31.75), rtol=0, atol=0.126)
    with pytest.raises(InputError, match="without flows.*--flows"):
        CachedGrids(rendered).read_flows(0)
