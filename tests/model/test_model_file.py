"""A whole model in a file: the same picture after reading, strict, and with sync weights laid over it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fourreal_core.errors import InputError
from fourreal_core.model.checkpoints import read_checkpoint, write_checkpoint
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.model_file import KIND, load_model, save_model
from fourreal_core.model.shown_planes import PLANES_BY_COUNT, with_choice
from fourreal_core.model.spec import Model4DSpec
from fourreal_core.model.sync import SyncSpec, build_sync
from fourreal_core.model.sync_file import save_sync
from fourreal_core.proposals.plane_names import CHOICE, PLANE_SETS

from .small import TINY, grid_inputs, rng, stirred, tiny_model


@pytest.mark.parametrize("variant", ["soft_trained", "sequential_cross_time", "fused"])
def test_a_model_comes_back(tmp_path: Path, variant: str) -> None:
    model = tiny_model(variant, dropped="last" if variant == "soft_trained" else "none")
    save_model(tmp_path / "m.safetensors", model, {"steps": "7"})
    back = load_model(tmp_path / "m.safetensors")
    assert back.spec == model.spec and not back.training
    assert torch.equal(back(grid_inputs()), model(grid_inputs()))
    assert read_checkpoint(tmp_path / "m.safetensors", KIND).metadata == {"steps": "7"}


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    model = tiny_model()
    for name, dtype in (("full", None), ("half", torch.float16)):
        save_model(tmp_path / name, model, dtype=dtype)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    back = load_model(tmp_path / "half")
    assert next(back.parameters()).dtype == torch.float32
    # weights rounded to 11 bits, through three blocks
    torch.testing.assert_close(back(grid_inputs()), model(grid_inputs()), rtol=0, atol=2e-2)


def test_sync_weights_name_the_variant(tmp_path: Path) -> None:
    base = tiny_model("soft")
    save_model(tmp_path / "m.safetensors", base)
    spec = replace(base.spec, variant="hard_trained", dropped="first").sync
    sync = stirred(build_sync(spec, rng()))
    save_sync(tmp_path / "s.safetensors", sync, base.base_fingerprint())
    model = load_model(tmp_path / "m.safetensors", tmp_path / "s.safetensors")
    assert (model.spec.variant, model.spec.dropped) == ("hard_trained", "first")
    expected = base.with_variant("hard_trained", "first", sync)
    assert torch.equal(model(grid_inputs()), expected(grid_inputs()))


def test_sync_weights_of_another_base_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", tiny_model("soft"))
    other = tiny_model("soft", seed=8)
    sync = build_sync(replace(other.spec, variant="hard_trained").sync)
    save_sync(tmp_path / "s.safetensors", sync, stirred(other, 11, 0.5).base_fingerprint())
    with pytest.raises(InputError, match="load that base model"):
        load_model(tmp_path / "m.safetensors", tmp_path / "s.safetensors")


def test_sync_weights_of_a_range_that_no_variant_has_are_refused(tmp_path: Path) -> None:
    model = tiny_model("soft")
    save_model(tmp_path / "m.safetensors", model)
    sync = build_sync(SyncSpec("hard_trained", 3, TINY.width, first=1, end=2))
    save_sync(tmp_path / "s.safetensors", sync, model.base_fingerprint())
    with pytest.raises(InputError, match="choose sync weights of this model"):
        load_model(tmp_path / "m.safetensors", tmp_path / "s.safetensors")


def test_missing_and_unexpected_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, tiny_model())
    tensors, metadata = load_file(path), {"format": KIND, "version": "1", "spec": json.dumps(asdict(tiny_model().spec))}
    tensors["dit.extra"] = tensors.pop("dit.blocks.1.table")
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match="lacks dit.blocks.1.table; has beyond it dit.extra"):
        load_model(path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "no base model"),
        ({"dit": {"width": 24, "colour": 1}}, "spec with colour"),
        ({"dit": {"width": "wide"}}, "doesn't fit"),
        ({"dit": {}, "variant": "diagonal"}, "choose one of them"),
        ({"dit": {}, "age": 3}, "spec with age"),
    ],
)
def test_specs_that_do_not_fit_are_refused(tmp_path: Path, spec: dict, message: str) -> None:
    write_checkpoint(tmp_path / "m.safetensors", KIND, spec, {"a": torch.zeros(1)})
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "m.safetensors")


def test_a_header_that_counts_its_proposals_is_read_as_their_names(tmp_path) -> None:
    from safetensors import safe_open

    for count, names in PLANES_BY_COUNT.items():
        chooser = {"chooser": 4} if count == 31 else {}
        model = Model4D(Model4DSpec(replace(TINY, proposals=names, **chooser)))
        save_model(tmp_path / "new.safetensors", model)
        with safe_open(tmp_path / "new.safetensors", framework="pt") as file:
            metadata, tensors = dict(file.metadata()), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        header = json.loads(metadata["spec"])
        assert tuple(header["dit"]["proposals"]) == names
        header["dit"]["proposals"] = count
        save_file(tensors, tmp_path / "old.safetensors", metadata | {"version": "1", "spec": json.dumps(header)})
        read = load_model(tmp_path / "old.safetensors")
        assert read.spec == model.spec == load_model(tmp_path / "new.safetensors").spec
        header["dit"]["proposals"] = 17
        save_file(tensors, tmp_path / "odd.safetensors", metadata | {"spec": json.dumps(header)})
        with pytest.raises(InputError, match="17 proposals"):
            load_model(tmp_path / "odd.safetensors")


def test_old_counts_mean_the_sets_that_are_made_today() -> None:
    by_count = {len(names): names for names in PLANE_SETS.values() if CHOICE not in names}
    assert {count: names for count, names in PLANES_BY_COUNT.items() if count != 1} == by_count


def test_a_choice_has_one_name_in_data_and_model() -> None:
    assert with_choice(PLANE_SETS["candidates"]) == PLANE_SETS["chosen"]
