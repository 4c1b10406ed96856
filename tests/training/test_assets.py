"""True 4D grids in folders and WebDataset shards."""

from __future__ import annotations

import json

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.synthetic.grids import GridOptions, make_grid
from fourreal_core.training.data.assets import AssetFolders, AssetShards, write_asset, write_shard

SIZES = GridOptions(2, 3, (16, 16))


@pytest.fixture(scope="module")
def grids():
    return [make_grid("train", i, SIZES) for i in range(3)]


@pytest.fixture
def root(tmp_path, grids):
    for i, grid in enumerate(grids):
        write_asset(tmp_path / f"asset{i}", grid)
    return tmp_path


def test_folders_come_back_as_written(root, grids):
    source = AssetFolders(root, 2, 3, (16, 16))
    seen = [source.draw(i, torch.Generator().manual_seed(i)) for i in range(8)]
    assert all(any(torch.equal(s, g.cells) for g in grids) for s in seen)  # PNG loses nothing
    meta = json.loads((root / "asset0" / "grid.json").read_text())
    assert (meta["views"], meta["times"], len(meta["world_to_cam"])) == (2, 3, 2)


def test_windows_and_sizes_are_cut_from_larger_assets(root):
    assert AssetFolders(root, 1, 2, (8, 12)).draw(0, torch.Generator()).shape == (1, 2, 8, 12, 3)


def test_incomplete_folders_are_skipped_and_named(root):
    (root / "asset0" / "v1_t1.png").unlink()
    (root / "asset1" / "grid.json").write_text("{")
    source = AssetFolders(root, 2, 3, (16, 16))
    for i in range(6):
        source.draw(i, torch.Generator().manual_seed(i))
    assert {name.rsplit("/", 1)[-1] for name in source.skipped.reasons} == {"asset0", "asset1"}


def test_no_assets_and_too_small_ones_are_clear(root, tmp_path_factory):
    with pytest.raises(InputError, match="no assets"):
        AssetFolders(tmp_path_factory.mktemp("empty"), 2, 2, (16, 16))
    with pytest.raises(InputError, match="at least 4 x 3"):
        AssetFolders(root, 4, 3, (16, 16)).draw(0, torch.Generator())


def test_shards_stream_in_order_lap_after_lap(tmp_path, grids):
    pytest.importorskip("webdataset")
    write_shard(tmp_path / "s-0.tar", [("a", grids[0]), ("b", grids[1])])
    write_shard(tmp_path / "s-1.tar", [("c", grids[2])])
    source = AssetShards([str(tmp_path / "s-{0..1}.tar")], 2, 3, (16, 16))
    for position in (0, 1, 2, 3, 4):
        assert torch.equal(source.draw(position, torch.Generator()), grids[position % 3].cells)
    assert torch.equal(source.draw(1, torch.Generator()), grids[1].cells)  # a run that begins again
    fresh = AssetShards([str(tmp_path / "s-{0..1}.tar")], 2, 3, (16, 16))
    assert torch.equal(fresh.draw(5, torch.Generator()), grids[2].cells)  # a run that goes on
    assert len(source.skipped) == 0


def test_damaged_shards_are_skipped_and_named(tmp_path, grids):
    pytest.importorskip("webdataset")
    whole = write_shard(tmp_path / "whole.tar", [("a", grids[0])])
    cut, none = tmp_path / "cut.tar", tmp_path / "none.tar"
    cut.write_bytes(whole.read_bytes()[:1500])
    none.write_bytes(b"no tar at all" * 100)
    source = AssetShards([str(cut), str(none), str(whole)], 2, 3, (16, 16))
    for position in range(3):
        assert torch.equal(source.draw(position, torch.Generator()), grids[0].cells)
    assert {name.split("/")[-1].split(":")[0] for name in source.skipped.reasons} == {"cut.tar", "none.tar"}
    with pytest.raises(InputError, match="nothing readable in 1 shards"):
        AssetShards([str(none)], 2, 3, (16, 16)).draw(0, torch.Generator())
    with pytest.raises(InputError, match="no shards"):
        AssetShards([str(tmp_path / "missing.tar")], 2, 3, (16, 16))


def test_shards_that_lie_far_away_stream_like_those_here(tmp_path, grids):
    pytest.importorskip("webdataset")
    fsspec = pytest.importorskip("fsspec")
    write_shard(tmp_path / "s.tar", [("a", grids[0]), ("b", grids[1])])
    files = fsspec.filesystem("memory")
    files.put(str(tmp_path / "s.tar"), "/shards/s.tar")
    files.pipe("/shards/cut.tar", (tmp_path / "s.tar").read_bytes()[:700])
    here, far = (AssetShards([url], 2, 3, (16, 16)) for url in (str(tmp_path / "s.tar"), "memory://shards/{cut,s}.tar"))
    for position in range(3):  # the third is the first again
        drawn = [source.draw(position, torch.Generator().manual_seed(1)) for source in (here, far)]
        assert torch.equal(*drawn)
    assert any("cut.tar" in name for name in far.skipped.reasons)
    files.rm("/shards", recursive=True)
