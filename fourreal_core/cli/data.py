"""``fourreal data``: makes training data. ``render-procedural`` renders seeded 4D scenes, ``propose`` precomputes the
input proposals of refiners."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import parse_size

if TYPE_CHECKING:
    from ..progress import OnStep
    from ..synthetic.grids import GridOptions
    from ..training.data.cache import CacheOptions

_SPLITS, _FORMATS = ("train", "validation", "test"), ("cache", "folders", "webdataset")
_KINDS = ("flow", "verified", "reliability", "candidates")


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser("data", help="make training data")
    kinds = parser.add_subparsers(title="data", required=True, metavar="WHAT")
    made = kinds.add_parser(
        "render-procedural",
        parents=parents,
        help="render seeded 4D scenes",
        description="Renders seeded 4D scenes as grids of cells. Stopped at any moment it goes on "
        "with what is not there yet; a training that reads the cache meanwhile finds it grow.",
    )
    made.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    made.add_argument("--split", choices=_SPLITS, default="train", help="whose seeds; they never meet (default train)")
    made.add_argument("--grids", type=int, default=4096, metavar="N", help="how many (default 4096)")
    made.add_argument("--size", default="64x64", metavar="WxH", help="size of a cell (default 64x64)")
    made.add_argument("--views", type=int, default=8, metavar="N", help="viewpoints (default 8)")
    made.add_argument("--times", type=int, default=8, metavar="N", help="times (default 8)")
    made.add_argument("--per-shard", type=int, default=64, metavar="N", help="grids a file (default 64)")
    made.add_argument(
        "--format",
        choices=_FORMATS,
        default="cache",
        help="cache: shards of 8-bit cells, fastest to "
        "train on; folders: one an asset, PNG cells and a JSON; webdataset: tar shards of the same",
    )
    made.add_argument("--flows", action="store_true", help="keep true flows too, for train.flow_weight")
    made.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1; 0: none beside this)")
    made.set_defaults(execute=execute)
    shown = kinds.add_parser(
        "propose",
        parents=parents,
        help="precompute the input proposals of refiners for a cache",
        description="Computes what optical flow proposes for the missing cells of a cache's grids and keeps it beside "
        "them, where the training of a refiner reads it. Stopped at any moment it goes on with what is not there yet.",
    )
    shown.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the cache")
    shown.add_argument("--split", choices=_SPLITS, default="train", help="whose grids (default train)")
    shown.add_argument("--kind", choices=_KINDS, default="reliability", help="as model.proposals (default reliability)")
    shown.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1; 0: none beside this)")
    shown.set_defaults(execute=execute_propose)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Sizes that make no grid, too little space, or a cache of another kind in the folder.
    """
    from ..synthetic.grids import GridOptions
    from ..training.data.cache import CacheOptions, render_cache
    from .bars import StageBars

    sizes = GridOptions(args.views, args.times, parse_size(args.size))
    options = CacheOptions(args.split, args.grids, args.per_shard, sizes, args.flows)
    with StageBars(args.quiet) as bars:
        step = bars(f"render {args.split}")
        if args.format == "cache":
            render_cache(args.out, options, args.workers, step)
        else:
            _write_assets(args.out, args.format, options, sizes, step)


def execute_propose(args: argparse.Namespace) -> None:
    """Runs ``fourreal data propose``.

    Raises:
        InputError: No cache in the folder.
    """
    from ..proposals.plane_names import planes_named
    from ..training.data.proposals import propose_cache
    from .bars import StageBars

    with StageBars(args.quiet) as bars:
        propose_cache(args.out, args.split, planes_named(args.kind), args.workers, bars(f"propose {args.split}"))


def _write_assets(out: Path, kind: str, options: CacheOptions, sizes: GridOptions, step: OnStep) -> None:
    from .. import media
    from ..synthetic.grids import make_grid
    from ..training.data.assets import META, write_asset, write_shard

    media.prepare_folder(out)
    per_shard = options.per_shard if kind == "webdataset" else 1
    for first in range(0, options.grids, per_shard):
        these = range(first, min(first + per_shard, options.grids))
        name = f"{options.split}-{first // per_shard:06d}"
        if kind == "folders":
            if not (out / name / META).exists():
                write_asset(out / name, make_grid(options.split, first, sizes))
        elif not (out / f"{name}.tar").exists():
            write_shard(
                out / f"{name}.tar", [(f"{options.split}{i:08d}", make_grid(options.split, i, sizes)) for i in these]
            )
        step(these.stop, options.grids)
