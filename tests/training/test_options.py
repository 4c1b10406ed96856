"""Configurations: sections, stages, and every mistake found before training."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourreal_core.errors import InputError
from fourreal_core.training.config_file import parse_config, read_config
from fourreal_core.training.options import STAGES

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_a_stage_takes_its_own_values_first(tiny_text):
    base, fine = (parse_config(tiny_text, stage) for stage in ("base", "finetune4d"))
    assert base.train.windows == ((3, 3),) and fine.train.windows == ((2, 3), (3, 2))
    assert base.train.trains == "base" and fine.train.trains == "sync"
    assert base.model.dit.width == 24 and base.data.size == (16, 16)
    assert parse_config(tiny_text, "mixed", changes={"train.steps": 9}).train.steps == 9


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.name)
@pytest.mark.parametrize("stage", STAGES)
def test_the_presets_are_read(path, stage):
    config = read_config(path, stage)
    assert config.stage == stage and config.folder.name == stage


def test_the_papers_values_are_a_preset():
    base, fine = (read_config(CONFIGS / "paper.toml", stage) for stage in ("base", "finetune4d"))
    assert base.train.batch == 1152 and fine.train.batch == 48
    assert base.model.dit.prediction == "velocity" and base.train.most_known == 4
    assert read_config(CONFIGS / "paper.toml", "mixed").train.pseudo_share == (1, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[train]\nstep = 5", "unknown key 'step'.*did you mean 'steps'"),
        ("[modell]\nwidth = 8", "unknown key 'modell'.*did you mean 'model'"),
        ("[model]\nvariants = 'soft'", "unknown key 'variants'.*did you mean 'variant'"),
        ("[train.mixed]\nbach = 2", r"unknown key 'bach' in \[train.mixed\]"),
        ("[data.warp]\nspin = 1.0", "unknown key 'spin'"),
        ("[train]\nsteps = 'many'", "steps = 'many'.*something like 1000"),
        ("[train]\nsteps = 1.5", "steps = 1.5"),
        ("[train]\ncheckpointing = 1", "checkpointing = 1"),
        ("[train]\ntrains = 'everything'", "one of base, sync, cross_time"),
        ("[train]\ntrains = 'cross_time'", "expected sequential_cross_time"),
        ("[train]\nfull_noise = 2.0", "shares from 0 to 1"),
        ("[train]\nwindows = [[8]]", "positive sizes"),
        ("[run]\nkeep = 0", "at least 1 each"),
        ("[model]\nvariant = 'loud'", "a model variant 'loud'"),
        ("steps = ", "is not TOML"),
    ],
)
def test_mistakes_are_named(line, message):
    text = line if "[data" in line else line + "\n[data]\ncache = 'here'\n"
    text = text if "cache" in text else "[data]\ncache = 'here'\n" + text
    with pytest.raises(InputError, match=message):
        parse_config(text, "finetune4d")


def test_no_data_no_file_no_stage_are_clear(tmp_path):
    with pytest.raises(InputError, match="no data"):
        parse_config("", "base")
    with pytest.raises(InputError, match="can't be read"):
        read_config(tmp_path / "none.toml", "base")
    with pytest.raises(InputError, match="a stage 'last'"):
        read_config(CONFIGS / "small.toml", "last")
    with pytest.raises(InputError, match="the setting 'steps'"):
        parse_config("[data]\ncache='c'", "base", changes={"steps": 1})
