"""A batch in this process: outputs whole or not at all, resumed by content, index, state and page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fourreal_core.batch import runner
from fourreal_core.batch.fingerprint import MARKER
from fourreal_core.batch.job_folder import UNFINISHED, job_folder, running_jobs, sole_batch
from fourreal_core.batch.report_page import JOBS_A_PAGE, write_report_page
from fourreal_core.batch.runner import BatchPlan, plan_batch, run_batch
from fourreal_core.errors import InputError
from fourreal_core.spread import Needs, SpreadOptions, Tick

from .making import RULES, make


class Watching:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.jobs = self.skipped = self.ticks = 0
        self.finished: list[str] = []
        self.stop_after: int | None = None

    def begin(self, jobs: int) -> None:
        self.jobs = jobs

    def skip(self) -> None:
        self.skipped += 1

    def finish(self, record: Mapping[str, Any]) -> None:
        self.finished.append(record["id"])
        if len(self.finished) == self.stop_after:
            raise KeyboardInterrupt

    def tick(self, tick: Tick) -> None:
        self.ticks += 1


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five jobs, of which the one in the middle fails."""
    for i in range(5):
        (tmp_path / f"c{i}").write_text(f"clip {i}")
    numbers = [1, 2, -3, 13, 5]
    lines = ["id,clip,number", *(f"j{i},c{i},{numbers[i]}" for i in range(5))]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return tmp_path / "m.csv"


def go(manifest: Path, out: Path | str, watch: Watching | None = None, **plan: Any) -> tuple[dict[str, Any], list[str]]:
    watch = watch or Watching()
    state = run_batch(
        BatchPlan(str(manifest), str(out), RULES, **plan), make, lambda job: Needs(), SpreadOptions("here"), watch
    )
    return state, watch.finished


def index(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "index.jsonl").read_text("utf-8").splitlines()]


def test_outputs_index_state_and_page(manifest, tmp_path):
    out, watch = tmp_path / "out", Watching()
    state, finished = go(manifest, out, watch)
    assert finished == ["j0", "j1", "j2", "j3", "j4"] and watch.jobs == 5 and watch.ticks >= 5
    assert {k: state[k] for k in ("state", "jobs", "done", "failed", "skipped")} == {
        "state": "finished", "jobs": 5, "done": 4, "failed": 1, "skipped": 0
    }  # fmt: skip
    assert json.loads((out / "batch.json").read_text())["done"] == 4
    assert {p.name for p in out.iterdir() if p.is_dir()} == {"j0", "j1", "j3", "j4"}
    assert {p.name for p in (out / "j3").iterdir()} == {"copy", "number", MARKER}
    rows = index(out)
    assert [r["id"] for r in rows] == ["j0", "j1", "j2", "j3", "j4"]
    assert rows[1]["splats"] == 2 and rows[1]["seconds_by_stage"] == {"copy": 1.0, "write": 0.5} and rows[1]["worker"]
    assert rows[2]["state"] == "failed" and rows[2]["error"] == "the number -3 of c2; expected none below 0; raise it."
    assert rows[3]["warnings"] == ["thirteen"] and "warnings" not in rows[1]
    page = (out / "report.html").read_text("utf-8")
    assert "4 of 5 jobs done, 1 failed" in page
    assert page.index("the number -3 of c2") < page.index("j0/contact_sheet.png")
    assert "thirteen" in page


def test_the_table_holds_what_the_lines_hold(manifest, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (the extra [batch])")
    go(manifest, tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "index.parquet").to_pylist()
    assert [(r["id"], r["state"], r["splats"]) for r in rows] == [
        ("j0", "done", 1), ("j1", "done", 2), ("j2", "failed", None), ("j3", "done", 13), ("j4", "done", 5)
    ]  # fmt: skip
    assert dict(rows[0]["seconds_by_stage"]) == {"copy": 1.0, "write": 0.5} and rows[3]["warnings"] == ["thirteen"]


def test_run_again_only_what_failed_is_tried(manifest, tmp_path):
    out = tmp_path / "out"
    go(manifest, out)
    before = {p: p.stat().st_mtime_ns for p in out.glob("j*/*")}
    watch = Watching()
    state, finished = go(manifest, out, watch)
    assert finished == ["j2"] and watch.skipped == 4 and state["done"] == 4
    assert {p: p.stat().st_mtime_ns for p in out.glob("j*/*")} == before
    manifest.write_text(manifest.read_text().replace("-3", "3"))
    assert go(manifest, out)[1] == ["j2"]
    assert go(manifest, out)[1] == [] and [r["state"] for r in index(out)] == ["done"] * 5


def test_content_options_and_version_decide_and_times_do_not(manifest, tmp_path, monkeypatch):
    out = tmp_path / "out"
    manifest.write_text(manifest.read_text().replace("-3", "3"))
    go(manifest, out)
    (tmp_path / "c0").write_text("clip 0")  # a new time, the same content
    assert go(manifest, out)[1] == []
    (tmp_path / "c1").write_text("other!")
    assert go(manifest, out)[1] == ["j1"] and (out / "j1" / "copy").read_text() == "other!"
    manifest.write_text(manifest.read_text().replace("j3,c3,13", "j3,c3,14"))
    assert go(manifest, out)[1] == ["j3"] and (out / "j3" / "number").read_text() == "14"
    manifest.write_text(manifest.read_text().replace("number\n", "number,memory_mb\n").replace("14", "14,512"))
    assert go(manifest, out)[1] == []  # what a job takes of a machine shapes no output
    (out / "j4" / MARKER).write_text("{")
    assert go(manifest, out)[1] == ["j4"]
    (tmp_path / "elsewhere").mkdir()
    for i in range(5):
        (tmp_path / f"c{i}").rename(tmp_path / "elsewhere" / f"c{i}")
    moved = manifest.rename(tmp_path / "elsewhere" / "m.csv")
    assert go(moved, out)[1] == []
    monkeypatch.setattr("fourreal_core.batch.fingerprint.fingerprint.__defaults__", ("9.9.9",))
    assert len(go(moved, out)[1]) == 5


def test_a_failed_job_replaces_nothing(manifest, tmp_path):
    out = tmp_path / "out"
    go(manifest, out)
    manifest.write_text(manifest.read_text().replace("j0,c0,1", "j0,c0,-1"))
    state, finished = go(manifest, out)
    assert finished == ["j0", "j2"] and state["failed"] == 2
    assert (out / "j0" / "number").read_text() == "1" and index(out)[0]["state"] == "failed"


def test_a_job_that_is_finished_while_the_batch_is_interrupted_is_in_the_index(manifest, tmp_path, monkeypatch):
    def interrupted(work: Any, items: Any, *more: Any) -> Any:
        for item in items:
            work(item)  # its outputs are there, and the outcome is lost
            raise KeyboardInterrupt
        yield

    monkeypatch.setattr(runner, "spread_work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(manifest, tmp_path / "out")
    (record,) = (record for record in index(tmp_path / "out") if record["state"] == "done")
    assert record["id"] == "j0" and (tmp_path / "out" / "j0" / MARKER).is_file()


def test_an_interrupt_leaves_whole_jobs_and_an_index(manifest, tmp_path):
    out, watch = tmp_path / "out", Watching()
    watch.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        go(manifest, out, watch)
    assert {p.name for p in out.iterdir() if p.is_dir()} == {"j0", "j1"}
    assert [r["id"] for r in index(out)] == ["j0", "j1"]
    assert json.loads((out / "batch.json").read_text())["state"] == "interrupted"
    assert go(manifest, out)[1] == ["j2", "j3", "j4"]


def test_a_killed_driver_loses_nothing_that_was_done(manifest, tmp_path, monkeypatch):
    out, watch = tmp_path / "out", Watching()
    watch.stop_after = 3
    for name in ("write_index", "write_report_page", "remove_unfinished"):
        monkeypatch.setattr(runner, name, lambda *a: None)
    with pytest.raises(KeyboardInterrupt):
        go(manifest, out, watch)
    monkeypatch.undo()
    with (out / "index.jsonl").open("a") as file:
        file.write('{"id": "j3", "sta')  # what a kill leaves of a line
    half = out / UNFINISHED / "j4~worker~abc" / "j4"
    half.mkdir(parents=True)
    assert running_jobs(str(out)) == {"j4": "worker"}
    assert go(manifest, out)[1] == ["j2", "j3", "j4"]
    assert not (out / UNFINISHED).exists() and [r["id"] for r in index(out)] == ["j0", "j1", "j2", "j3", "j4"]


def test_a_folder_that_no_batch_made_is_left_alone(manifest, tmp_path):
    out = tmp_path / "out"
    (out / "j0").mkdir(parents=True)
    (out / "j0" / "precious").touch()
    go(manifest, out)
    assert "which no batch made" in index(out)[0]["error"] and [p.name for p in (out / "j0").iterdir()] == ["precious"]


def test_two_batches_do_not_share_a_folder(manifest, tmp_path):
    (tmp_path / "out").mkdir()
    with sole_batch(str(tmp_path / "out")), pytest.raises(InputError, match="another batch works in"):
        go(manifest, tmp_path / "out")
    go(manifest, tmp_path / "out")


def test_a_dry_run_does_nothing(manifest, tmp_path):
    plan = BatchPlan(str(manifest), str(tmp_path / "out"), RULES)
    found = plan_batch(plan, lambda job: Needs(memory_mb=7), show=2)
    assert (found.jobs, found.done) == (5, 0) and [job.id for job, _ in found.first] == ["j0", "j1"]
    assert not (tmp_path / "out").exists()
    go(manifest, tmp_path / "out")
    assert plan_batch(plan, lambda job: Needs()).done == 4


def test_defaults_stand_where_a_row_says_nothing(manifest, tmp_path):
    manifest.write_text(manifest.read_text().replace("j4,c4,5", "j4,c4,"))
    go(manifest, tmp_path / "out", defaults={"number": "8"})
    assert [(tmp_path / "out" / j / "number").read_text() for j in ("j1", "j4")] == ["2", "8"]


def test_outputs_and_inputs_far_away(manifest, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.put(str(tmp_path) + "/", "/batch-in/", recursive=True)
    out = "memory://batch-out"
    state, _ = go("memory://batch-in/m.csv", out)
    assert (state["done"], state["failed"]) == (4, 1)
    assert files.cat("/batch-out/j1/copy") == b"clip 1" and files.exists(f"/batch-out/j1/{MARKER}")
    assert not files.exists("/batch-out/j2") and files.exists("/batch-out/report.html")
    assert len(files.cat("/batch-out/index.jsonl").splitlines()) == 5
    watch = Watching()
    assert go("memory://batch-in/m.csv", out, watch)[1] == ["j2"] and watch.skipped == 4
    files.pipe("/batch-in/c1", b"other")
    assert go("memory://batch-in/m.csv", out)[1] == ["j1", "j2"] and files.cat("/batch-out/j1/copy") == b"other"
    for folder in ("/batch-in", "/batch-out"):
        files.rm(folder, recursive=True)


def test_half_a_folder_never_takes_its_place(manifest, tmp_path):
    job = BatchPlan(str(manifest), str(tmp_path / "out"), RULES).job(next(BatchPlan(str(manifest), "x", RULES).rows()))
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt), job_folder(job) as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert not Path(job.folder).exists() and not list((tmp_path / "out" / UNFINISHED).iterdir())


def test_a_page_holds_five_hundred_jobs(tmp_path):
    from fourreal_core.batch.ledger import Ledger

    with Ledger() as ledger:
        for i in range(JOBS_A_PAGE + 1):
            ledger.add(f"j<{i}>", i)
            ledger.record({"id": f"j<{i}>", "state": "done", "seconds": 2.0})
        assert write_report_page(str(tmp_path), ledger, "a & b") == ["report.html", "report_2.html"]
    first, second = ((tmp_path / name).read_text("utf-8") for name in ("report.html", "report_2.html"))
    assert first.count("<article>") == JOBS_A_PAGE and second.count("<article>") == 1
    assert "<h1>a &amp; b</h1>" in first and "j&lt;500&gt;" in second and 'src="j%3C500%3E/contact_sheet.png"' in second
    assert '<a href="report_2.html">2</a>' in first
