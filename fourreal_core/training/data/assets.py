"""True 4D grids as others render them: a folder an asset with ``v{view}_t{time}`` frames and a JSON, or shards of it.

A shard is a tar file in WebDataset's naming: ``{asset}.v{view}_t{time}.png`` and ``{asset}.json``. The JSON says
``{"views": V, "times": T}`` and may say more (a caption, cameras, seed, family), which is kept but not needed.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...media.files import prepare_folder, whole_file, write_bytes
from ...media.images import read_image, save_image
from ...synthetic.scene import SceneGrid, to_float
from .captions import caption_in, caption_of
from .pseudo4d import fit
from .sources import Captioned, Skipped, try_items

META = "grid.json"
_CELL = re.compile(r"v(\d+)_t(\d+)\.(png|jpg|jpeg|webp)")


def write_asset(folder: Path | str, grid: SceneGrid) -> Path:
    """Writes a made grid as a folder of PNG cells, ``grid.json`` last."""
    folder = prepare_folder(folder)
    cells = to_float(grid.cells)
    for v in range(cells.shape[0]):
        for t in range(cells.shape[1]):
            save_image(cells[v, t], folder / f"v{v}_t{t}.png")
    write_bytes(folder / META, json.dumps(asset_meta(grid)).encode())
    return folder


def asset_meta(grid: SceneGrid) -> dict[str, Any]:
    """What an asset's JSON says of a made grid; cameras are OpenCV style, world to camera."""
    return {
        "views": grid.cells.shape[0],
        "times": grid.cells.shape[1],
        "family": grid.name,
        "seed": grid.seed,
        "world_to_cam": grid.cameras.world_to_cam.tolist(),
        "intrinsics": grid.cameras.intrinsics.tolist(),
    }


def write_shard(path: Path | str, grids: Sequence[tuple[str, SceneGrid]]) -> Path:
    """Writes named grids as one WebDataset shard, whole or not at all."""
    import webdataset

    with whole_file(path) as part, webdataset.TarWriter(str(part)) as writer:
        for name, grid in grids:
            sample: dict[str, Any] = {"__key__": name, "json": asset_meta(grid)}
            for v in range(grid.cells.shape[0]):
                for t in range(grid.cells.shape[1]):
                    sample[f"v{v}_t{t}.png"] = _png(grid.cells[v, t].numpy())
            writer.write(sample)
    return Path(path)


class AssetFolders:
    """Grids from a folder of asset folders.

    Args:
        root: Folder with one folder an asset.
        views: V cells are taken from an asset's, consecutive ones from a random start.
        times: T likewise.
        size: ``(height, width)`` to resize to.

    Raises:
        InputError: No assets.
    """

    def __init__(self, root: Path | str, views: int, times: int, size: tuple[int, int]) -> None:
        self.views, self.times, self.size, self.skipped = views, times, size, Skipped()
        self.assets = sorted(p.parent for p in Path(root).glob(f"*/{META}"))
        if not self.assets:
            raise InputError(
                f"no assets in {root}",
                f"folders with {META} and v0_t0.png and so on",
                "render some with `fourreal data render-procedural --format folders`",
            )

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource; assets with cells missing are skipped, counted and named."""
        return try_items(self.assets, generator, lambda p: self._read(p, generator), self.skipped, "assets").grid

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource."""
        return try_items(self.assets, generator, lambda p: self._read(p, generator), self.skipped, "assets", position)

    def _read(self, folder: Path, generator: torch.Generator) -> Captioned:
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
        except ValueError as err:
            raise InputError(
                f"{folder / META} is not JSON ({err})", '{"views": V, "times": T}', "write it again"
            ) from err
        v0, t0 = window_start(meta, self.views, self.times, folder.name, generator)
        cells = [_find_cell(folder, v, t) for v in range(v0, v0 + self.views) for t in range(t0, t0 + self.times)]
        grid = _to_grid([read_image(p) for p in cells], self.views, self.times, self.size)
        return Captioned(grid, caption_in(meta, folder / META) or caption_of(folder))


class AssetShards:
    """Grids streamed from WebDataset shards, lap after lap.

    Args:
        shards: Paths, or what ``webdataset`` or else ``fsspec`` opens, such as ``pipe:curl ...`` or ``s3://...``;
            braces expand.
        views: V, as for folders.
        times: T, as for folders.
        size: ``(height, width)`` to resize to.

    Raises:
        InputError: No such shards, or a lap in which nothing could be read.
    """

    def __init__(self, shards: Sequence[str], views: int, times: int, size: tuple[int, int]) -> None:
        import braceexpand  # comes with webdataset

        self.views, self.times, self.size, self.skipped = views, times, size, Skipped()
        self.shards = [url for shard in shards for url in braceexpand.braceexpand(shard)]
        missing = [url for url in self.shards if ":" not in url and not Path(url).is_file()]
        if not self.shards or missing:
            raise InputError(f"no shards {missing or list(shards)}", "tar files of assets", "check the paths")
        self._stream: Iterator[tuple[dict[str, Any], dict[tuple[int, int], bytes]]] = iter(())
        self._next = -1

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource; positions that grow by one stream through, others skip ahead or start again."""
        return self.take(position, generator).grid

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource; the caption stands in the asset's JSON."""
        if position < self._next or self._next < 0:
            self._stream, self._next = self._laps(), 0
        while True:
            meta, cells = next(self._stream)
            self._next += 1
            if self._next > position:
                v0, t0 = window_start(meta, self.views, self.times, meta["__key__"], generator)
                pictures = [cells[v, t] for v in range(v0, v0 + self.views) for t in range(t0, t0 + self.times)]
                grid = _to_grid([_decode(p) for p in pictures], self.views, self.times, self.size)
                return Captioned(grid, caption_in(meta, meta["__key__"]))

    def _laps(self) -> Iterator[tuple[dict[str, Any], dict[tuple[int, int], bytes]]]:
        while True:
            found = 0
            for shard in self.shards:

                def damaged(error: Exception, shard: str = shard) -> bool:
                    self.skipped.add(shard, error)
                    return False

                try:
                    for sample in _samples(shard, damaged):
                        usable = self._usable(sample, shard)
                        if usable is not None:
                            found += 1
                            yield usable
                except (
                    Exception
                ) as error:  # tar, zlib, pipes: each fails in its own way, and the next shard may be fine
                    self.skipped.add(shard, error)
            if not found:
                raise InputError(
                    f"nothing readable in {len(self.shards)} shards ({dict(self.skipped.reasons)})",
                    "at least one whole asset",
                    "check the shards",
                )

    def _usable(self, sample: dict[str, Any], shard: str) -> tuple[dict[str, Any], dict[tuple[int, int], bytes]] | None:
        key = sample.get("__key__", "?")
        try:
            meta = json.loads(sample["json"])
            cells = {(int(m[1]), int(m[2])): data for name, data in sample.items() if (m := _CELL.fullmatch(name))}
            whole = all((v, t) in cells for v in range(meta["views"]) for t in range(meta["times"]))
        except (KeyError, ValueError, TypeError) as error:
            self.skipped.add(f"{shard}:{key}", f"{type(error).__name__}: {error}")
            return None
        if not whole or meta["views"] < self.views or meta["times"] < self.times:
            self.skipped.add(
                f"{shard}:{key}",
                f"{len(cells)} cells of {meta['views']} x {meta['times']}, {self.views} x {self.times} needed",
            )
            return None
        return meta | {"__key__": key}, cells


def _samples(shard: str, damaged: Callable[[Exception], bool]) -> Iterator[dict[str, Any]]:
    """Samples of one shard as a stream; ``damaged`` hears of those that can't be read."""
    import webdataset
    from webdataset import tariterators
    from webdataset.gopen import gopen_schemes

    scheme = urlsplit(shard).scheme
    if len(scheme) < 2 or scheme in gopen_schemes:  # a path, or what it opens by itself
        yield from webdataset.WebDataset([shard], shardshuffle=False, handler=damaged)
        return
    import fsspec

    with fsspec.open(shard, "rb") as stream:
        files = tariterators.tar_file_expander([{"url": shard, "stream": stream}], handler=damaged)
        yield from tariterators.group_by_keys(files, handler=damaged)


def window_start(
    meta: dict[str, Any], views: int, times: int, name: str, generator: torch.Generator
) -> tuple[int, int]:
    """The first view and time of a random window of an asset.

    Raises:
        InputError: The asset is smaller than the window, or doesn't say how large it is.
    """
    try:
        have = int(meta["views"]), int(meta["times"])
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(
            f"the asset {name} doesn't say views and times", '{"views": V, "times": T}', "complete it"
        ) from err
    if have[0] < views or have[1] < times:
        raise InputError(
            f"the asset {name} of {have[0]} x {have[1]} cells", f"at least {views} x {times}", "leave it out"
        )
    view = int(torch.randint(have[0] - views + 1, (), generator=generator))
    return view, int(torch.randint(have[1] - times + 1, (), generator=generator))


def _find_cell(folder: Path, view: int, time: int) -> Path:
    for ext in ("png", "jpg", "jpeg", "webp"):
        path = folder / f"v{view}_t{time}.{ext}"
        if path.exists():
            return path
    raise InputError(f"{folder} has no cell v{view}_t{time}", "a picture of every cell", "complete the asset")


def _to_grid(pictures: list[Tensor], views: int, times: int, size: tuple[int, int]) -> Tensor:
    if any(p.shape != pictures[0].shape for p in pictures):
        raise InputError("cells of different sizes", "one size an asset", "render it again")
    frames = torch.stack(pictures)
    frames = frames if frames.shape[1:3] == size else fit(frames, size)
    return (frames * 255).round().to(torch.uint8).reshape(views, times, *size, 3)


def _png(picture: np.ndarray) -> bytes:
    from ...needed.pictures import iio

    return iio.imwrite("<bytes>", picture, extension=".png")


def _decode(data: bytes) -> Tensor:
    from ...needed.pictures import iio

    picture = iio.imread(io.BytesIO(data))
    if picture.ndim != 3 or picture.shape[-1] < 3:
        raise InputError(f"a cell of shape {picture.shape}", "an RGB picture", "render it again")
    return torch.from_numpy(np.ascontiguousarray(picture[..., :3])).float() / 255
