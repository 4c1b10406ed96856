"""A comparison: rows share what they begin with, are trained once, and are measured beside the floors."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.model_file import load_model
from fourreal_core.proposals.model_inputs import model_inputs
from fourreal_core.synthetic.scene import to_float
from fourreal_core.training.completions import complete_frames, first_row_and_column
from fourreal_core.training.config_file import parse_config
from fourreal_core.training.data.cache import CachedGrids
from fourreal_core.training.experiments.ablation import read_ablation, train_rows
from fourreal_core.training.preparing import choose_trained
from fourreal_core.training.validation import first_guess

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ROWS = """
[evaluate]
split = "validation"
grids = 1
[[rows]]
name = "soft, untrained"
variant = "soft"
[[rows]]
name = "soft, pseudo alone"
variant = "soft_trained"
stages = ["pseudo4d", "pseudo4d"]
[[rows]]
name = "soft"
variant = "soft_trained"
stages = ["pseudo4d", "finetune4d"]
"""


@pytest.fixture
def comparison(tiny_text, tmp_path):
    """A comparison of three rows, two steps a stage."""
    path = tmp_path / "rows.toml"
    text = tiny_text.replace("steps = 6", "steps = 2").replace("validate_every = 6", "validate_every = 0")
    path.write_text(text.replace("sample_every = 6", "sample_every = 0") + ROWS, encoding="utf-8")
    return path


def test_rows_that_begin_alike_share_their_stages(comparison):
    ablation = read_ablation(comparison)
    alone, soft = ablation.rows[1:]
    assert ablation.stage_config(alone, 0) == ablation.stage_config(soft, 0)
    assert ablation.stage_config(alone, 1).folder != ablation.stage_config(soft, 1).folder
    assert ablation.stage_config(soft, 1).run.start == str(ablation.stage_config(soft, 0).folder / "model.safetensors")
    assert ablation.stage_config(alone, 1).train.seed != ablation.stage_config(alone, 0).train.seed


def test_every_stage_is_trained_once(comparison):
    ablation = read_ablation(comparison)
    folders: list[str] = []
    train_rows(ablation, on_stage=lambda folder, report: folders.append(Path(folder).parent.name))
    assert folders == [
        "run",
        "soft_trained-pseudo4d",
        "soft_trained-pseudo4d-pseudo4d",
        "soft_trained-pseudo4d-finetune4d",
    ]
    train_rows(ablation, on_stage=lambda folder, report: folders.append(folder))
    assert len(folders) == 4
    base = load_model(ablation.base_file)
    untrained, trained = ablation.model(ablation.rows[0]), ablation.model(ablation.rows[2])
    # the base is frozen in every row: sync layers alone are trained
    assert untrained.base_fingerprint() == trained.base_fingerprint() == base.base_fingerprint()
    assert any(bool(p.any()) for p in trained.sync.parameters())
    assert len({ablation.digest(row) for row in ablation.rows}) == 3


def test_the_benchmark_measures_rows_and_floors_and_goes_on(comparison, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    ablations = importlib.import_module("ablations")
    train_rows(read_ablation(comparison), set())  # the base alone
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(ablations, "geometric", lambda index, frames, folder: frames)  # perfect, and no minute's work
    args = [
        "ablations.py",
        "evaluate",
        str(comparison),
        "--json",
        str(tmp_path / "a.json"),
        "--markdown",
        str(page),
        "--scenes",
        str(tmp_path / "scenes.json"),
        "--quiet",
        "--without",
        "tokens",
        "chooser",
    ]
    monkeypatch.setattr(sys, "argv", args)
    assert ablations.main() == 0
    assert "not trained yet: soft" in capsys.readouterr().err
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert set(found) == {"floors", "rows"} and set(found["floors"]) == {
        *ablations.FLOORS,
        *ablations.PROPOSALS,
        *ablations.VERIFIED,
    }
    assert max(found["floors"], key=found["floors"].get) == "geometric proposal"
    scenes = json.loads((tmp_path / "scenes.json").read_text(encoding="utf-8"))
    assert scenes["split"] == "validation" and set(scenes["rows"]) == {
        *found["floors"],
        "soft, untrained",
        "soft, untrained, without tokens",  # and there is no chooser to do without
    }
    row = found["rows"][0]
    assert scenes["rows"]["soft, untrained"]["psnr"] == [pytest.approx(row["psnr"], abs=1e-3)]
    assert found["rows"][1]["psnr"] != row["psnr"]
    assert row["name"] == "soft, untrained" and row["ci95"][0] <= row["psnr"] <= row["ci95"][1]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "*frozen scene*" in text
    assert "| over the change of view 0 |" in text and "+0.000 dB (+0.000 to +0.000)" in text
    monkeypatch.setattr(ablations, "grid_quality", None)  # what is measured isn't measured again
    assert ablations.main() == 0


@pytest.mark.parametrize(
    "change, says",
    [
        ("[[rows]]\nname = 'a'\nstages = ['base']", "stages"),
        ("[[rows]]\nname = 'soft'", "different names"),
        ("[[rows]]\nname = 'b'\nvariants = 'soft'", "variants"),
        ("[extra]\na = 1", "extra"),
    ],
)
def test_wrong_comparisons_are_refused(comparison, change, says):
    comparison.write_text(comparison.read_text(encoding="utf-8") + change, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_ablation(comparison)


def test_a_completion_in_one_step_is_the_first_guess(tiny, tiny_cache):
    model = Model4D(tiny("finetune4d").model, torch.Generator().manual_seed(3)).eval()
    truth = to_float(CachedGrids(tiny_cache).read(0)[0])
    known = first_row_and_column(3, 3)
    made = complete_frames(model, truth, torch.Generator().manual_seed(0))
    assert torch.equal(made[known], truth[known])
    # x + (0 - 1) (x - clean) is clean but for float32's rounding of numbers of about 3
    torch.testing.assert_close(made, first_guess(model, truth, known).clamp(0, 1), atol=1e-5, rtol=0)


def test_what_a_model_is_shown_may_be_made_before(tiny, tiny_cache, monkeypatch):
    model = Model4D(tiny("finetune4d", model__proposals="verified").model, torch.Generator().manual_seed(3)).eval()
    truth = to_float(CachedGrids(tiny_cache).read(0)[0])
    planes = model_inputs(truth, first_row_and_column(3, 3), model.spec.dit.proposals)
    expected = complete_frames(model, truth, torch.Generator().manual_seed(0))
    monkeypatch.setattr("fourreal_core.training.completions.model_inputs", None)
    assert torch.equal(complete_frames(model, truth, torch.Generator().manual_seed(0), planes=planes), expected)


def test_attention_alone_can_be_trained_in_any_variant(tiny_text):
    config = parse_config(tiny_text, "finetune4d", changes={"train.trains": "attention", "model.variant": "fused"})
    trained = choose_trained(Model4D(config.model), config)
    assert trained and all(".attention." in name for name in trained)
