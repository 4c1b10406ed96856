"""What a batch costs beside its jobs: overhead a job, speed-up from one to two workers, memory of the driver.

    python benchmarks/batch.py overhead -o OUT            # sixty jobs that copy a file, in this process and with Ray
    python benchmarks/batch.py calls -o OUT               # sixty jobs of `fourreal run`, and sixty calls
    python benchmarks/batch.py speedup -o OUT --jobs 12   # `fourreal batch` with one worker and with two
    python benchmarks/batch.py memory -o OUT              # manifests of 1,000 and of 100,000 rows

Each prints a JSON object, and needs the extra [batch]. Wall times mean something only on a machine that does nothing
else. The clips are rendered from a seeded scene; a job is one of `fourreal run` on 3 x 3 cells of 64 x 36 pixels at
draft quality, which a process compiles before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourreal_core.batch.checking import RowRules
from fourreal_core.batch.fingerprint import Job
from fourreal_core.batch.runner import BatchPlan, plan_batch, run_batch
from fourreal_core.cli.batch_bar import BatchBar
from fourreal_core.cli.batch_job import NEEDS, fault_of, make_outputs, option_names, path_columns
from fourreal_core.spread import Needs, SpreadOptions

RULES = RowRules((*option_names(), *NEEDS), (), NEEDS, path_columns, fault_of)
_MEMORY_MB = 600
_REPOSITORY = Path(__file__).resolve().parents[1]


def copy_clip(job: Job, copies: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """A job that takes no time."""
    shutil.copyfile(copies["freeze_time"], folder / "copy.mp4")
    return {"seconds": 0.0}


def make_clips(folder: Path) -> None:
    """Two small clips of a seeded scene."""
    from fourreal_core.media import write_video
    from fourreal_core.synthetic.sample_scenes import sample_clips

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "fixed.mp4").exists():
        cells = sample_clips("fish", (36, 64), 3, 3).cells.float() / 255
        write_video(cells[:, 0], folder / "freeze.mp4", crf=8)
        write_video(cells[0], folder / "fixed.mp4", crf=8)


def write_manifest(folder: Path, rows: int, name: str = "manifest.csv") -> Path:
    """A manifest whose jobs differ in their seed."""
    path = folder / name
    with path.open("w", encoding="utf-8") as file:
        file.write("id,freeze_time,fixed_view,size,quality,refit,seed\n")
        for i in range(rows):
            file.write(f"job{i:06d},freeze.mp4,fixed.mp4,64x36,draft,0,{i}\n")
    return path


def run(manifest: Path, out: Path, make: Any, options: SpreadOptions) -> float:
    """Seconds that a batch takes, with the start of Ray."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    with BatchBar(quiet=True) as bar:
        plan = BatchPlan(str(manifest), str(out), RULES)
        state = run_batch(plan, make, lambda job: Needs(memory_mb=_MEMORY_MB), options, bar)
    assert state["done"] == state["jobs"], state
    return time.perf_counter() - start


def seconds_of_jobs(out: Path) -> float:
    """Seconds that jobs took by their own clock."""
    lines = (out / "index.jsonl").read_text("utf-8").splitlines()
    return sum(json.loads(line)["seconds"] for line in lines)


def overhead(folder: Path, jobs: int) -> dict[str, Any]:
    """What a batch adds to a job: jobs that copy a file."""
    make_clips(folder)
    manifest, one = write_manifest(folder, jobs), write_manifest(folder, 1, "one.csv")
    found: dict[str, Any] = {"jobs": jobs, "load_before": round(os.getloadavg()[0], 1)}
    for engine in ("here", "ray"):
        start = run(one, folder / "out", copy_clip, SpreadOptions(engine, 1))
        seconds = run(manifest, folder / "out", copy_clip, SpreadOptions(engine, 1))
        found[engine] = {
            "seconds_with_one_job": round(start, 3),
            "ms_a_job": round(1e3 * (seconds - start) / (jobs - 1), 2),
        }
    return found


def calls(folder: Path, jobs: int) -> dict[str, Any]:
    """A batch of the main job against as many calls in one process."""
    make_clips(folder)
    manifest, one = write_manifest(folder, jobs), write_manifest(folder, 1, "one.csv")
    run(one, folder / "out", make_outputs, SpreadOptions("here"))  # compiles, and loads what is used
    found: dict[str, Any] = {"jobs": jobs, "load_before": round(os.getloadavg()[0], 1)}
    plan, start = BatchPlan(str(manifest), str(folder / "calls"), RULES), time.perf_counter()
    shutil.rmtree(folder / "calls", ignore_errors=True)
    for job in map(plan.job, plan.rows()):
        target = folder / "calls" / job.id
        target.mkdir(parents=True)
        make_outputs(job, {column: Path(path) for column, path in job.inputs.items()}, target)
    found["seconds_of_calls_in_one_process"] = round(time.perf_counter() - start, 3)
    found["seconds_of_batch_with_one_worker"] = round(
        run(manifest, folder / "out", make_outputs, SpreadOptions("ray", 1)), 3
    )
    found["seconds_of_jobs_in_batch"] = round(seconds_of_jobs(folder / "out"), 3)
    return found


def speedup(folder: Path, jobs: int) -> dict[str, Any]:
    """One worker against two; the start of Ray is measured apart and taken off."""
    make_clips(folder)
    manifest, one = write_manifest(folder, jobs), write_manifest(folder, 1, "one.csv")
    found: dict[str, Any] = {"jobs": jobs, "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    run(one, folder / "out", make_outputs, SpreadOptions("here"))  # compiles
    for workers in (1, 2):
        options = SpreadOptions("ray", workers)
        found[f"seconds_to_start_{workers}"] = round(run(one, folder / "out", copy_clip, options), 3)
        found[f"seconds_{workers}"] = round(run(manifest, folder / "out", make_outputs, options), 3)
    found["speedup"] = round(found["seconds_1"] / found["seconds_2"], 3)
    found["speedup_without_start"] = round(
        (found["seconds_1"] - found["seconds_to_start_1"]) / (found["seconds_2"] - found["seconds_to_start_2"]), 3
    )
    return found


def memory(folder: Path, rows: list[int]) -> dict[str, Any]:
    """Peak memory of processes that check a manifest, and that run all of it with jobs that copy a file."""
    make_clips(folder)
    found: dict[str, Any] = {}
    for what in ("check", "run"):
        for count in rows:
            manifest = write_manifest(folder, count)
            command = [sys.executable, __file__, what, "-o", str(folder), "--manifest", str(manifest)]
            done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True)
            found[f"{what}_{count}"] = json.loads(done.stdout)
            shutil.rmtree(folder / "out", ignore_errors=True)
    return found


def own_peak_mb() -> float:
    """Peak resident memory of this process alone (Linux); that of getrusage counts what started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measured(manifest: Path, folder: Path, everything: bool) -> dict[str, Any]:
    """What one process takes for a manifest."""
    start = time.perf_counter()
    if everything:
        run(manifest, folder / "out", copy_clip, SpreadOptions("here"))
    else:
        plan_batch(BatchPlan(str(manifest), str(folder / "out"), RULES), lambda job: Needs())
    return {"peak_mb": round(own_peak_mb(), 1), "seconds": round(time.perf_counter() - start, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "calls", "speedup", "memory", "check", "run"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--manifest", type=Path)
    args = parser.parse_args()
    if args.what in ("check", "run"):
        found = measured(args.manifest, args.out, args.what == "run")
    elif args.what == "memory":
        found = memory(args.out, args.rows)
    else:
        found = {"overhead": overhead, "calls": calls, "speedup": speedup}[args.what](args.out, args.jobs)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
