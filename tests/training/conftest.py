"""A tiny cache of made grids and a tiny configuration, on which a stage trains in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourreal_core.synthetic.grids import GridOptions
from fourreal_core.training.config_file import parse_config
from fourreal_core.training.data.cache import CacheOptions, render_cache
from fourreal_core.training.options import TrainingConfig

TINY = """
[model]
width = 24
layers = 2
heads = 2
patch = 8
conv_width = 4
[data]
cache = "{cache}"
size = [16, 16]
[train]
steps = 6
batch = 2
micro_batch = 1
windows = [[2, 3], [3, 2]]
learning_rate = 3e-3
warm_up = 2
precision = "float32"
threads = 1
[train.base]
windows = [[3, 3]]
[run]
out = "{out}"
log_every = 1
checkpoint_every = 2
sample_every = 6
validate_every = 6
validation = 1
tensorboard = false
"""


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory) -> Path:
    """Four grids to learn from and one held out, of 3 x 3 cells of 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("tiny-cache")
    for split, grids in (("train", 4), ("validation", 1)):
        render_cache(folder, CacheOptions(split, grids, 2, GridOptions(3, 3, (16, 16), window=4)), 0)
    return folder


@pytest.fixture
def tiny_text(tiny_cache, tmp_path) -> str:
    """The configuration as TOML."""
    return TINY.format(cache=tiny_cache.as_posix(), out=(tmp_path / "run").as_posix())


@pytest.fixture
def tiny(tiny_text):
    """Makes a stage's configuration, with values changed by dotted name."""

    def make(stage: str = "base", **changes: object) -> TrainingConfig:
        return parse_config(tiny_text, stage, "tiny.toml", {k.replace("__", "."): v for k, v in changes.items()})

    return make
