"""``fourreal batch`` as a person types it, in this process and with a stand-in for the pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fourreal_core.cli import main
from fourreal_core.cli.batch_bar import BatchBar
from fourreal_core.cli.batch_job import fault_of, option_names, path_columns
from fourreal_core.cli.batch_needs import clip_size, estimated_mb, job_needs
from fourreal_core.errors import InputError
from fourreal_core.job_memory import JobSize
from fourreal_core.media import write_video
from fourreal_core.spread import Tick


@pytest.fixture
def manifest(tmp_path, clip_folder) -> Path:
    """Three jobs; the second has one frame only."""
    clip_folder("freeze", 3)
    clip_folder("fixed", 4)
    clip_folder("one", 1)
    lines = ["id,freeze_time,fixed_view,views,seed", "a,freeze,fixed,,5", "b,freeze,one,,", "c,freeze,fixed,2,"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return tmp_path / "m.csv"


def batch(manifest: Path, *more: str) -> int:
    return main(["batch", str(manifest), "-o", str(manifest.parent / "out"), "--engine", "here", *more])


def test_every_row_is_a_run_with_its_own_options(manifest, pipeline, capfd):
    assert batch(manifest, "--times", "3") == 1
    out, err = capfd.readouterr()
    assert "2 of 3 jobs done, 0 of them before, 1 failed" in out
    assert f"b: {manifest.parent / 'one'} has 1 frame; expected the 3 that were asked for" in err
    reports = {job: json.loads((manifest.parent / "out" / job / "report.json").read_text()) for job in ("a", "c")}
    assert reports["a"]["grid"]["views"] == 3 and reports["c"]["grid"]["views"] == 2
    assert reports["a"]["grid"]["times"] == 3 and reports["a"]["seed"] == 5 and reports["c"]["seed"] == 0
    assert reports["a"]["inputs"] == {
        "freeze_time": str(manifest.parent / "freeze"), "fixed_view": str(manifest.parent / "fixed")
    }  # fmt: skip
    assert (manifest.parent / "out" / "a" / "grid" / "v2_t2.png").exists()
    assert not (manifest.parent / "out" / "b").exists()
    assert "<title>a</title>" in (manifest.parent / "out" / "a" / "viewer.html").read_text("utf-8")


def test_run_again_it_goes_on_and_status_says_how_it_stands(manifest, pipeline, capfd):
    assert batch(manifest, "--quiet") == 1
    assert capfd.readouterr() == ("", "")
    assert batch(manifest, "--json") == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["done"], report["skipped"], report["failed"]) == (2, 2, 1)
    assert main(["batch", "status", str(manifest.parent / "out")]) == 1
    said = capfd.readouterr().out
    assert "2 of 3 jobs done, 1 failed, 0 running; finished" in said and "failed: b: the fixed-view clip has" in said
    manifest.write_text(manifest.read_text().replace("one", "fixed"))
    assert batch(manifest) == 0
    assert main(["batch", "status", str(manifest.parent / "out"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out.split("\n", 2)[2])["done"] == 3


@pytest.mark.parametrize(("more", "device"), [((), "cpu"), (("--gpus", "1"), "auto"), (("--device", "cuda"), "cuda")])
def test_a_job_takes_no_gpu_that_it_did_not_ask_for(manifest, more, device):
    from fourreal_core.cli import _parser
    from fourreal_core.cli.batch import plan_of

    plan = plan_of(_parser().parse_args(["batch", str(manifest), "-o", "out", *more]))
    assert plan.job(next(plan.rows())).options["device"] == device


def test_a_network_is_loaded_once_for_many_jobs(manifest, pipeline, monkeypatch):
    from fourreal_core.cli import engines
    from fourreal_core.flow.engines import FLOW_ENGINES

    made = []
    monkeypatch.setitem(FLOW_ENGINES, "network", lambda argument, device: made.append(argument) or (lambda *a: None))
    engines._flow_engine.cache_clear()
    assert batch(manifest, "--quiet", "--flow", "network:w.pth") == 1
    engines._flow_engine.cache_clear()
    assert made == ["w.pth"]


def test_a_pattern_and_a_dry_run(tmp_path, pictures, pipeline, capfd):
    for name in ("x", "y"):
        for kind in ("freeze", "fixed"):
            write_video(pictures(3), tmp_path / f"{name}_{kind}.mp4")
    args = ["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--pattern", "{id}_freeze.mp4,{id}_fixed.mp4"]
    assert main([*args, "--dry-run", "--cpus", "2"]) == 0
    memory_mb = round(JobSize(8, 8, *pictures(1)[0].shape[:2]).estimated_mb)
    assert capfd.readouterr().out.splitlines() == [
        "2 jobs, 0 of them done, 2 to do; nothing was started",
        f"  x: 2 CPU, {memory_mb} MiB",
        f"  y: 2 CPU, {memory_mb} MiB",
    ]
    assert not (tmp_path / "out").exists()
    assert main([*args, "--engine", "here", "--quiet"]) == 0
    assert (tmp_path / "out" / "y" / "report.json").exists()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["m.csv"], "no output folder"),
        (["m.csv", "x", "-o", "out"], "'x' after the manifest"),
        (["m.csv", "-o", "out", "--pattern", "{id}.mp4"], "expected two, with a comma between"),
        (["m.csv", "-o", "out", "--gpus", "1.5", "--engine", "here"], "1.5 GPUs for a job"),
        (["m.csv", "-o", "out", "--address", "auto", "--workers", "2"], "--workers 2 with --address"),
        (["m.csv", "-o", "out", "--address", "auto", "--engine", "pool"], "with the engine 'pool'"),
        (["status"], "no folder"),
        (["status", "."], "no batch.json in ."),
    ],
)
def test_what_makes_no_sense_is_said(args, sentence, capsys):
    assert main(["batch", *args]) == 2
    assert sentence in capsys.readouterr().err


def test_faults_of_a_manifest_are_said_before_anything_starts(manifest, pipeline, capsys):
    text = (
        manifest.read_text()
        .replace("seed", "sede")
        .replace("a,freeze", "a,gone")
        .replace("c,freeze,fixed,2", "c,freeze,fixed,1")
    )
    manifest.write_text(text)
    assert batch(manifest) == 2
    said = capsys.readouterr().err
    assert "3 faults" in said and "unknown column 'sede' (did you mean 'seed'?)" in said
    assert "gone does not exist" in said and "1 views, expected at least 2" in said
    assert pipeline.grid is None


def test_without_ray_it_says_what_to_install(manifest, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main(["batch", str(manifest), "-o", str(manifest.parent / "out"), "--quiet"]) == 2
    assert 'run pip install ".[batch]", or say --engine pool' in capsys.readouterr().err


def test_columns_are_the_options_of_run():
    assert {"freeze_time", "fixed_view", "mask", "grid", "size", "views", "quality", "flow"} <= set(option_names())
    assert not {"out", "quiet", "json", "debug", "help"} & set(option_names())
    assert path_columns({"freeze_time": "a", "geometry": "hf:x"}) == ["freeze_time"]
    assert path_columns({"grid": "a", "geometry": "depth"}) == ["grid", "geometry"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"views": "x"}, "invalid int value: 'x'"),
        ({"quality": "bad"}, "invalid choice: 'bad'"),
        ({"size": "9x9"}, "the size '9x9'"),
        ({"memory_mb": "0"}, "memory_mb is '0', expected a number of at least 1"),
        ({"gpus": "x"}, "gpus is 'x', expected a number"),
    ],
)
def test_values_that_run_would_refuse(values, words):
    assert words in fault_of({"freeze_time": "a", "fixed_view": "b", **values})
    assert "no --fixed-view" in fault_of({"freeze_time": "a"})
    assert "--views-from beside a clip" in fault_of({"freeze_time": "a", "fixed_view": "b", "views_from": "c"})
    assert fault_of({"views_from": "c", "cameras": "d"}) is None
    assert (
        fault_of(
            {
                "freeze_time": "a",
                "fixed_view": "b",
                "views": "3",
                "quality": "best",
                "size": "64x48",
                "memory_mb": "9",
                "seed": "-1",
            }
        )
        is None
    )


def test_memory_goes_with_the_size(tmp_path, pictures):
    from fourreal_core.batch.fingerprint import Job
    from fourreal_core.job_memory import JobSize

    write_video(pictures(2, 60, 90), tmp_path / "clip.mp4")
    assert clip_size(str(tmp_path / "clip.mp4")) == (60, 90)
    assert clip_size(str(tmp_path / "gone.mp4")) == clip_size("s3://far/away.mp4") == (720, 1280)
    small = Job("a", {"freeze_time": str(tmp_path / "clip.mp4")}, {"views": "2", "times": "2"}, {}, "out")
    large = Job("a", {}, {"size": "512x288"}, {"cpus": "2"}, "out")
    assert estimated_mb(small) == round(JobSize(2, 2, 60, 90).estimated_mb)
    assert estimated_mb(large) == round(JobSize(8, 8, 288, 512).estimated_mb) > estimated_mb(small) + 300
    raft = Job("a", {}, {"size": "512x288", "flow": "raft"}, {}, "out")
    assert estimated_mb(raft) == round(JobSize(8, 8, 288, 512, "raft").estimated_mb)
    assert job_needs(1, 0, None)(large).cpus == 2 and job_needs(1, 0.5, 77)(large).memory_mb == 77
    said = Job("a", {}, {}, {"memory_mb": "9"}, "out")
    assert job_needs(1, 0.5, 77)(said).memory_mb == 9 and job_needs(1, 0.5, 77)(said).gpus == 0.5


@pytest.mark.parametrize("quiet", [True, False])
def test_the_bar_counts_skipped_jobs_as_done(quiet, capfd):
    with BatchBar(quiet) as bar:
        bar.begin(3)
        bar.skip()
        bar.tick(Tick(2, 0))
        bar.finish({"id": "b", "state": "failed", "error": "why"})
        bar.finish({"id": "c", "state": "done"})
    said = capfd.readouterr().err
    assert said == "" if quiet else ("b: why" in said and "2 done, 1 failed, 2 running" in said and "100%" in said)


def test_numbers_that_make_no_sense_are_input_errors():
    from fourreal_core.batch.fingerprint import Job

    with pytest.raises(InputError):
        job_needs(1, 0, 0)(Job("a", {}, {}, {}, "out"))
