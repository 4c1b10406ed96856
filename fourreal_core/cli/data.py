"""``fourreal data``: makes training data. ``render-procedural`` renders seeded 4D scenes, ``propose`` precomputes the
input proposals of refiners, ``encode`` the latents and captions for sync layers on a base of diffusers."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import parse_size, refuse_file_names
from .changes import add_changes, changes_of
from .spreading import add_spread_options, spread_options

if TYPE_CHECKING:
    from ..progress import OnStep
    from ..spread import SpreadOptions
    from ..training.data.cache import CacheOptions

_SPLITS, _FORMATS = ("train", "validation", "test"), ("cache", "folders", "webdataset")
_GRID_STAGES = ("pseudo4d", "finetune4d")
_KINDS = ("flow", "verified", "reliability", "candidates", "chosen")


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
    add_spread_options(made, "pool", 1)
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
    shown.add_argument("--chooser", type=Path, metavar="FILE", help="model whose chooser chooses, for --kind chosen")
    add_spread_options(shown, "pool", 1)
    shown.set_defaults(execute=execute_propose)
    _add_encode(kinds, parents)


def _add_encode(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = kinds.add_parser(
        "encode",
        parents=parents,
        help="encode pictures and captions once, for sync layers on a base of diffusers",
        description="Runs the VAE and the text encoder that a configuration names over a stage's data, and keeps "
        "latents and text in data.latents, where `fourreal train` reads them. Stopped at any moment it goes on with "
        "what is not there yet.",
    )
    parser.add_argument("stage", choices=_GRID_STAGES, help="whose data: clips (pseudo4d) or true grids (finetune4d)")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML file, see configs/")
    add_changes(parser)
    parser.add_argument("--grids", type=int, default=512, metavar="N", help="how many (default 512)")
    parser.add_argument("--per-shard", type=int, default=16, metavar="N", help="grids a file (default 16)")
    parser.add_argument("--views", type=int, default=0, metavar="N", help="viewpoints (default: the largest window's)")
    parser.add_argument("--times", type=int, default=0, metavar="N", help="times (default: the largest window's)")
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, ... (default: a GPU if there is one)"
    )
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="pictures a call of the VAE (default 8)")
    parser.set_defaults(execute=execute_encode)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Sizes that make no grid, too little space, or a cache of another kind in the folder.
    """
    from ..synthetic.grids import GridOptions
    from ..training.data.cache import CacheOptions, render_cache
    from .bars import StageBars

    refuse_file_names(args.out)
    sizes = GridOptions(args.views, args.times, parse_size(args.size))
    options = CacheOptions(args.split, args.grids, args.per_shard, sizes, args.flows)
    how, out = spread_options(args), args.out.resolve()  # a worker elsewhere has another working folder
    with StageBars(args.quiet) as bars:
        step = bars(f"render {args.split}")
        if args.format == "cache":
            render_cache(out, options, how, step)
        else:
            _write_assets(out, args.format, options, how, step)


def execute_propose(args: argparse.Namespace) -> None:
    """Runs ``fourreal data propose``.

    Raises:
        InputError: No cache in the folder.
    """
    from ..proposals.plane_names import planes_named
    from ..training.data.proposals import propose_cache
    from .bars import StageBars

    with StageBars(args.quiet) as bars:
        step = bars(f"propose {args.split}")
        chooser = None if args.chooser is None else args.chooser.resolve()
        propose_cache(args.out.resolve(), args.split, planes_named(args.kind), spread_options(args), step, chooser)


def execute_encode(args: argparse.Namespace) -> None:
    """Runs ``fourreal data encode``.

    Raises:
        InputError: Something that is not named, can't be read, or doesn't fit the rest.
    """
    import json

    from ..training.config_file import read_config
    from ..training.encoding import EncodeOptions, encode_stage
    from .bars import StageBars

    config = read_config(args.config, args.stage, changes_of(args))
    options = EncodeOptions(args.grids, args.per_shard, args.views, args.times, args.device, args.frames)
    with StageBars(args.quiet) as bars:
        report = encode_stage(config, options, bars(f"encode {args.stage}"))
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        skipped = f"; {len(report['skipped'])} items skipped" if report["skipped"] else ""
        print(f"{report['grids']} grids, {report['captions']} captions made now{skipped}\n{report['latents']}")


def _write_assets(out: Path, kind: str, options: CacheOptions, how: SpreadOptions, step: OnStep) -> None:
    from .. import media
    from ..training.data.background import work_through

    media.prepare_folder(out)
    per_shard = options.per_shard if kind == "webdataset" else 1
    firsts = range(0, options.grids, per_shard)
    todo = [first for first in firsts if not _last_file(out, kind, options, first, per_shard).exists()]
    work = functools.partial(_write_asset, out, kind, options, per_shard)
    work_through(work, todo, how, step, len(firsts) - len(todo))


def _write_asset(out: Path, kind: str, options: CacheOptions, per_shard: int, first: int) -> None:
    from ..synthetic.grids import make_grid
    from ..training.data.assets import write_asset, write_shard

    path = _last_file(out, kind, options, first, per_shard)
    made = [
        (f"{options.split}{i:08d}", make_grid(options.split, i, options.grid))
        for i in range(first, min(first + per_shard, options.grids))
    ]
    if kind == "folders":
        write_asset(path.parent, made[0][1])
    else:
        write_shard(path, made)


def _last_file(out: Path, kind: str, options: CacheOptions, first: int, per_shard: int) -> Path:
    """The file of some grids that is written last: once it is there, they are."""
    from ..training.data.assets import META

    name = f"{options.split}-{first // per_shard:06d}"
    return out / name / META if kind == "folders" else out / f"{name}.tar"
