"""Stages of training end to end, tiny: they learn, stop, go on, and refuse what can't work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fourreal_core.errors import InputError
from fourreal_core.model.codec import SpaceToDepth
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.model_file import load_model
from fourreal_core.model.sync_file import load_sync
from fourreal_core.proposals.plane_names import PLANE_SETS
from fourreal_core.synthetic.grids import GridOptions
from fourreal_core.training import states, trainer
from fourreal_core.training.batches import make_batch
from fourreal_core.training.data.cache import FORMAT, CachedGrids, CacheOptions, render_cache, shard_path
from fourreal_core.training.objective import flow_distance, grid_loss, noisy_inputs
from fourreal_core.training.preparing import starting_model
from fourreal_core.training.states import whole_states
from fourreal_core.training.trainees import offsets_of

pytest.importorskip("accelerate")
ROOT = Path(__file__).resolve().parents[2]


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in lines(folder) if "loss" in line]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the module's one trained base lies, once there is one."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def base(tiny, kept):
    """A configuration whose base is trained already."""
    config = tiny("base", run__out=str(kept))
    if not (config.folder / "model.safetensors").exists():
        trainer.train_stage(config)
    return config


def test_a_stage_leaves_a_model_a_log_a_sample_and_figures(base):
    report = json.loads((base.folder / "report.json").read_text())
    model = load_model(base.folder / "model.safetensors")
    assert model.spec == base.model and report["steps"] == 6 and 5 < report["psnr"] < 60
    assert len(losses(base.folder)) == 6 and [line["step"] for line in lines(base.folder) if "loss" in line] == [
        *range(1, 7)
    ]
    assert (base.folder / "samples" / "step-00000006.png").exists()
    assert len(whole_states(base.folder / "checkpoints")) == 2
    assert json.loads((base.folder / "config.json").read_text())["train"]["steps"] == 6


def test_training_lowers_the_loss(tiny, tiny_cache):
    config = tiny("base", train__steps=40, train__most_known=0, train__full_noise=1.0, run__validation=0)
    trainer.train_stage(config)
    batch = make_batch(config, CachedGrids(tiny_cache), 10**6, range(2))
    inputs, clean, noise = noisy_inputs(batch, SpaceToDepth(1))
    trained, fresh = load_model(config.folder / "model.safetensors"), Model4D(config.model)
    with torch.no_grad():
        after, before = (
            float(grid_loss(m(inputs), clean, noise, inputs.known, "clean").mean()) for m in (trained, fresh)
        )
    assert after < 0.9 * before


def test_only_the_sync_layers_change_by_default(base, tiny, kept):
    config = tiny("finetune4d", run__out=str(kept))
    report = trainer.train_stage(config)
    before, after = load_model(base.folder / "model.safetensors"), load_model(config.folder / "model.safetensors")
    changed = {name for name, w in after.state_dict().items() if not torch.equal(w, before.state_dict()[name])}
    assert changed and all(name.startswith("sync.") for name in changed)
    assert report["trained"] == sum(p.numel() for p in after.sync.parameters())
    sync = load_sync(config.folder / "sync.safetensors", before.base_fingerprint())
    assert all(torch.equal(w, after.sync.state_dict()[name]) for name, w in sync.state_dict().items())


@pytest.mark.parametrize(
    ("trains", "variant", "prefix"),
    [
        ("cross_time", "sequential_cross_time", "time_attention."),
        ("temporal", "sequential_temporal", "dit.blocks."),
        ("all", "soft_trained", ""),
    ],
)
def test_other_parts_are_trained_when_asked(base, tiny, kept, tmp_path, trains, variant, prefix):
    start = str(kept / "base" / "model.safetensors")
    config = tiny(
        "mixed", run__start=start, run__validation=0, train__trains=trains, model__variant=variant, train__steps=3
    )
    trainer.train_stage(config)
    trained = load_model(config.folder / "model.safetensors")
    fresh = load_model(start).with_variant(variant)
    changed = {n for n, w in trained.state_dict().items() if not torch.equal(w, fresh.state_dict()[n])}
    assert changed and all(name.startswith(prefix) and "mlp" not in name or trains == "all" for name in changed)


def test_true_flows_are_told_at_first(tiny, tmp_path):
    """A flow that is the same everywhere is learned within a few steps."""
    folder = tmp_path / "flows"
    render_cache(folder, CacheOptions("train", 2, 2, GridOptions(3, 3, (16, 16)), flows=True), 0)
    shard = shard_path(folder, "train", 0)
    save_file(load_file(shard) | {"flows": torch.full((2, 3, 3, 2, 2, 16, 16), 12, dtype=torch.int8)}, shard,
              {"format": FORMAT})  # fmt: skip
    told = {"train__flow_weight": 1.0, "train__flow_steps": 100, "train__steps": 12, "train__learning_rate": 1e-2}
    config = tiny("finetune4d", data__cache=str(folder), data__augment=False, train__trains="all", train__ema=0.0,
                  run__validation=0, train__windows=((3, 3),), **told)  # fmt: skip
    trainer.train_stage(config)
    batch = make_batch(config, CachedGrids(folder), 0, range(2))
    inputs, model = noisy_inputs(batch, SpaceToDepth(1))[0], load_model(config.folder / "model.safetensors")
    with torch.no_grad(), offsets_of(model) as offsets:
        model(inputs)
    away = flow_distance(offsets[0].view(batch.flows.shape), batch.flows, batch.known)
    assert float(away.mean()) < 0.5 * 18**0.5  # 3 pixels in x and in y: untrained offsets are 0
    with pytest.raises(InputError, match="offsets to known cells"):
        tiny("finetune4d", train__flow_weight=0.1, model__head="conv")


def test_pseudo4d_runs_on_the_rows_of_grids(base, tiny, kept):
    pytest.importorskip("kornia")
    report = trainer.train_stage(tiny("pseudo4d", run__start=str(kept / "base" / "model.safetensors"), train__steps=2))
    assert report["steps"] == 2 and report["loss"] > 0


def test_a_finished_stage_is_not_trained_again(base):
    assert trainer.train_stage(base)["steps_now"] == 0
    assert len(losses(base.folder)) == 6


def command(stage: str, config: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "fourreal_core.cli", "train", stage, "--config", str(config), "--quiet", *more]


def test_killed_at_any_moment_it_goes_on_to_the_same_losses(tiny, tiny_text, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_text)
    long = {"train__steps": 14, "run__validation": 0}
    killed = tiny("base", **long)
    process = subprocess.Popen(command("base", path, "--set", "train.steps=14", "--set", "run.validation=0"), cwd=ROOT)
    log = killed.folder / "log.jsonl"
    deadline = time.monotonic() + 120  # a start takes seconds; a machine that needs minutes fails
    while not (log.exists() and log.read_text().count("\n") >= 5) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    report = trainer.train_stage(killed)
    assert 0 < report["steps_now"] < 14 or report["steps"] == 14
    unbroken = tiny("base", run__out=str(tmp_path / "unbroken"), **long)
    trainer.train_stage(unbroken)
    assert losses(killed.folder) == losses(unbroken.folder)
    a, b = (load_model(c.folder / "model.safetensors").state_dict() for c in (killed, unbroken))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_two_processes_get_the_loss_of_one(tiny, tiny_text, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_text)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    sets = ["--set", "run.validation=0", "--set", f"run.out={tmp_path.as_posix()}/two", "--set", "train.steps=3"]
    processes = []
    for rank in range(2):
        env = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "ACCELERATE_USE_CPU": "true",
        }
        processes.append(
            subprocess.Popen(command("base", path, *sets), cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        )
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    trainer.train_stage(tiny("base", run__validation=0, train__steps=3))
    # sums in another order: float32 rounding, grown a little by the optimizer
    assert losses(tmp_path / "two" / "base") == pytest.approx(losses(tiny("base").folder), rel=1e-4)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tiny, monkeypatch):
    config, real, calls = tiny("base"), trainer.training_loss, []

    def breaks(*arguments):
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 9 else 1)  # two parts a step: in the fifth step

    monkeypatch.setattr(trainer, "training_loss", breaks)
    with pytest.raises(InputError, match="a loss of nan .* in step 4; expected finite numbers.*last good checkpoint"):
        trainer.train_stage(config)
    assert [p.name for p in whole_states(config.folder / "checkpoints")] == ["step-00000002", "step-00000004"]
    monkeypatch.setattr(trainer, "training_loss", real)
    assert trainer.train_stage(config)["steps_now"] == 2


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(tiny, monkeypatch):
    config, real = tiny("base"), states.save_file

    def full(tensors, path, *rest):
        if "00000004" in str(path) and "optimizer" in str(path):
            raise OSError(28, "No space left on device")
        real(tensors, path, *rest)

    monkeypatch.setattr(states, "save_file", full)
    with pytest.raises(InputError, match="No space left.*free some space"):
        trainer.train_stage(config)
    assert [p.name for p in whole_states(config.folder / "checkpoints")] == ["step-00000002"]
    assert not list((config.folder / "checkpoints").glob(".*"))


def test_too_little_space_is_seen_before_training(tiny, monkeypatch):
    from fourreal_core.training import preparing

    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda path: preparing.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match="MiB free"):
        trainer.train_stage(tiny("base"))


def test_a_damaged_checkpoint_is_passed_over(tiny, caplog):
    config = tiny("base", run__validation=0)
    trainer.train_stage(config)
    last = whole_states(config.folder / "checkpoints")[-1]
    (last / "weights.safetensors").write_bytes(b"damaged")
    assert trainer.train_stage(config)["steps_now"] == 2
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("base", {"train__windows": ((4, 4),)}, "at least 4 x 4 cells"),
        ("base", {"data__size": (24, 24)}, "of 24 x 24"),
        ("base", {"model__patch": 10}, "sides that the patch of 10 divides"),
        ("finetune4d", {}, "no trained base model"),
        ("base", {"data__cache": "nowhere"}, "no cache of grids"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(tiny, stage, changes, message):
    config = tiny(stage, **changes)
    with pytest.raises(InputError, match=message):
        trainer.train_stage(config)
    assert not (config.folder / "log.jsonl").exists()


def test_other_architectures_are_named(base, tiny, kept):
    start = str(kept / "base" / "model.safetensors")
    with pytest.raises(InputError, match="another architecture .layers 2 for 3"):
        trainer.train_stage(tiny("finetune4d", run__start=start, model__layers=3))
    with pytest.raises(InputError, match="started with another model.*train.seed"):
        trainer.train_stage(tiny("base", run__out=str(kept), model__layers=3, train__seed=5))


def test_longer_training_goes_on(base, tiny, kept, tmp_path):
    import shutil

    shutil.copytree(kept, tmp_path / "more")
    report = trainer.train_stage(tiny("base", run__out=str(tmp_path / "more"), train__steps=8, run__validation=0))
    assert report["steps_now"] == 2 and report["steps"] == 8


def test_a_refiner_is_trained_and_figured(tiny):
    config = tiny("finetune4d", model__proposals="flow", train__trains="all", train__steps=2,
                  train__windows=((3, 3),), run__validate_every=2)  # fmt: skip
    report = trainer.train_stage(config)
    assert (
        5 < report["psnr"] < 60
        and load_model(config.folder / "model.safetensors").spec.dit.proposals == PLANE_SETS["flow"]
    )


def test_a_chooser_is_added_to_a_refiner(tiny, tmp_path):
    shown = {"model__proposals": "reliability", "train__trains": "all", "train__steps": 1,
             "train__windows": ((3, 3),)}  # fmt: skip
    config = tiny("finetune4d", run__out=str(tmp_path / "before"), **shown)
    trainer.train_stage(config)
    start = config.folder / "model.safetensors"
    choosing = shown | {"model__proposals": "candidates", "model__chooser": 8,
                        "train__no_proposal": 0.5, "run__start": str(start)}  # fmt: skip
    config = tiny("finetune4d", run__out=str(tmp_path / "after"), **choosing)
    before, begun = load_model(start).state_dict(), starting_model(config).state_dict()
    added = {name for name in begun if name not in before}
    assert added and all(name.startswith("dit.chooser.") for name in added)
    assert all(torch.equal(begun[name], weight) for name, weight in before.items())
    trainer.train_stage(config)
    after = load_model(config.folder / "model.safetensors").state_dict()
    assert any(not torch.equal(after[name], begun[name]) for name in added)  # it is trained
    alone = choosing | {"train__trains": "chooser", "run__out": str(tmp_path / "alone")}
    with pytest.raises(InputError, match="candidates in every cell"):
        tiny("finetune4d", **alone)
    config = tiny("finetune4d", **alone | {"train__no_proposal": 0.0})
    trainer.train_stage(config)
    alone = load_model(config.folder / "model.safetensors").state_dict()
    assert {name for name, w in alone.items() if not torch.equal(w, begun[name])} <= added
    assert any(not torch.equal(alone[name], begun[name]) for name in added)
    with pytest.raises(InputError, match="another architecture"):
        trainer.train_stage(tiny("finetune4d", **choosing | {"model__layers": 3, "run__out": str(tmp_path / "no")}))
