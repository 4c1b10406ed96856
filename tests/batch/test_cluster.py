"""A Ray cluster of several nodes on this machine: a node is killed, then the driver, and every job is done once.

With FOURREAL_CLUSTER=1 the jobs are those of ``fourreal batch`` itself, on small clips; that takes minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fourreal_core.batch.job_folder import running_jobs

ray = pytest.importorskip("ray", reason="ray is not installed (the extra [batch])")
psutil = pytest.importorskip("psutil")
if sys.platform == "win32":
    pytest.skip("nodes are killed by POSIX's signals", allow_module_level=True)
REPOSITORY = Path(__file__).resolve().parents[2]
JOBS, BAD, HUNGRY = 60, "j07", "j11"
REAL = os.environ.get("FOURREAL_CLUSTER") == "1"
WAIT_SECONDS = 900 if REAL else 240


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which every job that is started writes its id; a line each."""
    return tmp_path_factory.mktemp("starts") / "starts.txt"


@pytest.fixture(scope="module")
def cluster(starts: Path) -> Iterator[Any]:
    """A head without room for jobs, and three nodes for one job each."""
    from ray.cluster_utils import Cluster

    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "STARTS", "SLOW", "RAY_USAGE_STATS_ENABLED")}
    os.environ |= {"PYTHONPATH": str(REPOSITORY), "STARTS": str(starts), "SLOW": "0.3", "RAY_USAGE_STATS_ENABLED": "0"}
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        for _ in range(3):
            made.add_node(num_cpus=1, memory=2000 * 2**20, object_store_memory=80 * 2**20)
        yield made
    finally:
        made.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Sixty jobs; one always fails, one takes too much memory."""
    lines = ["id,clip,number"]
    for i in range(JOBS):
        name = f"j{i:02d}"
        (tmp_path / f"{name}.txt").write_text(name)
        lines.append(f"{name},{name}.txt,{ {BAD: -1, HUNGRY: 99}.get(name, 20 + i) }")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return tmp_path / "m.csv"


def drive(manifest: Path, out: Path, address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.batch.drive", str(manifest), str(out), address]
    return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], Any], driver: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert driver.poll() is None, driver.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def done(out: Path) -> list[str]:
    return sorted(path.parent.name for path in out.glob("j*/job.json"))


def kill_node(node: Any) -> None:
    """SIGKILL for all processes of a node at once, as when its machine loses power."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()


def check_all_done(out: Path, last: dict[str, dict[str, Any]]) -> None:
    names = sorted(f"j{i:02d}" for i in range(JOBS))
    assert sorted(last) == names
    failed = {name: record for name, record in last.items() if record["state"] == "failed"}
    assert sorted(failed) == [BAD, HUNGRY]
    assert failed[BAD]["error"] == f"the number -1 of {BAD}.txt; expected none below 0; raise it."
    assert "more than the 512 MiB of memory" in failed[HUNGRY]["error"]
    assert done(out) == sorted(set(names) - {BAD, HUNGRY})
    for name in done(out):
        assert (out / name / "copy").read_text() == name
        assert (out / name / "number").read_text() == str(20 + int(name[1:]))
        assert {path.name for path in (out / name).iterdir()} == {"copy", "number", "job.json"}
    assert not (out / ".unfinished").exists()
    assert {path.name for path in out.iterdir() if path.is_file()} <= {
        ".lock", "batch.json", "index.jsonl", "index.parquet", "report.html"
    }  # fmt: skip


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {r["id"]: r for r in map(json.loads, (out / "index.jsonl").read_text("utf-8").splitlines())}


def test_a_node_dies_and_its_jobs_alone_are_done_again(cluster, starts, manifest, tmp_path):
    out = tmp_path / "out"
    starts.write_text("")
    driver = drive(manifest, out, cluster.address)
    nodes = {node.node_id: node for node in cluster.worker_nodes}

    def held() -> tuple[str, set[str]] | None:
        """A node that is at work while others have done some jobs, and what it holds."""
        running = running_jobs(str(out)) if len(done(out)) >= 12 else {}
        for node in nodes:
            if jobs := {job for job, worker in running.items() if node in worker}:
                return node, jobs
        return None

    node, jobs = wait_for(held, driver)
    finished_by_then = set(done(out))
    kill_node(nodes[node])
    assert driver.wait(WAIT_SECONDS) == 3, driver.communicate()[1]
    cluster.remove_node(nodes[node], allow_graceful=False)

    last = records(out)
    check_all_done(out, last)
    again = {name for name, count in Counter(starts.read_text().split()).items() if count > 1}
    # between the look and the kill the node may have gone on to its next job
    assert len(again) <= 1 + len(jobs) and not again & finished_by_then
    assert all(last[name]["tries"] == 1 for name in last if name not in again and name not in (HUNGRY,)), last
    assert last[BAD]["tries"] == 1
    assert all(node not in last[name]["worker"] for name in again - {BAD, HUNGRY})


def test_a_killed_driver_goes_on(cluster, starts, manifest, tmp_path):
    out = tmp_path / "out"
    starts.write_text("")
    driver = drive(manifest, out, cluster.address)
    wait_for(lambda: len(done(out)) >= 20, driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    first = starts.read_text().split()
    assert len(first) < JOBS
    driver = drive(manifest, out, cluster.address)
    assert driver.wait(WAIT_SECONDS) == 3, driver.communicate()[1]
    check_all_done(out, records(out))
    counts = Counter(starts.read_text().split())
    again = {name for name, count in counts.items() if count > 1} - {BAD, HUNGRY}
    assert len(again) <= 3 + 2  # what the nodes held when the driver died, and may have begun before they noticed


def test_ctrl_c_leaves_no_half_of_anything(cluster, starts, manifest, tmp_path):
    out = tmp_path / "out"
    starts.write_text("")
    driver = drive(manifest, out, cluster.address)
    wait_for(lambda: len(done(out)) >= 5 and running_jobs(str(out)), driver)
    driver.send_signal(signal.SIGINT)
    driver.wait(60)
    assert json.loads((out / "batch.json").read_text())["state"] == "interrupted"
    assert not (out / ".unfinished").exists()
    begun = starts.read_text()
    time.sleep(2)
    assert starts.read_text() == begun and not (out / ".unfinished").exists()
    assert sorted(n for n, r in records(out).items() if r["state"] == "done") == done(out)


@pytest.mark.skipif(not REAL, reason="FOURREAL_CLUSTER=1 runs the main job itself; it takes minutes")
def test_the_main_job_on_three_nodes(cluster, tmp_path):
    """As the first test, with ``fourreal batch``: small clips, one no video, one given too little memory."""
    from fourreal_core.media import write_video
    from fourreal_core.synthetic.sample_scenes import sample_clips

    cluster.add_node(num_cpus=1, memory=2000 * 2**20, object_store_memory=80 * 2**20)
    lines = ["id,freeze_time,fixed_view,seed,size,memory_mb"]
    for i in range(3):
        cells = sample_clips("fish", (36, 64), 3, 3, seed=i).cells.float() / 255
        write_video(cells[:, 0], tmp_path / f"freeze{i}.mp4", crf=8)
        write_video(cells[0], tmp_path / f"fixed{i}.mp4", crf=8)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for i in range(JOBS):
        name, clip = f"j{i:02d}", f"freeze{i % 3}.mp4"
        clip = "bad.mp4" if name == BAD else clip
        size, memory = ("2560x1440", "200") if name == HUNGRY else ("64x36", "600")
        lines.append(f"{name},{clip},fixed{i % 3}.mp4,{i},{size},{memory}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fourreal_core.cli", "batch", str(tmp_path / "m.csv"), "-o", str(out)]
    command += ["--address", cluster.address, "--quality", "draft", "--refit", "0"]
    driver = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    nodes = {node.node_id: node for node in cluster.worker_nodes}

    def held() -> str | None:
        running = running_jobs(str(out)) if len(done(out)) >= 6 else {}
        return next((node for node in nodes if any(node in worker for worker in running.values())), None)

    node = wait_for(held, driver)
    before = {name: (out / name / "job.json").stat().st_mtime_ns for name in done(out)}
    kill_node(nodes[node])
    errors = driver.communicate(timeout=3600)[1]
    assert driver.returncode == 1, errors
    last = records(out)
    failed = {name: record for name, record in last.items() if record["state"] == "failed"}
    assert sorted(failed) == [BAD, HUNGRY], failed
    assert "bad.mp4 can't be read as a video" in failed[BAD]["error"]
    assert "of memory that it may take" in failed[HUNGRY]["error"]
    assert len(done(out)) == JOBS - 2 and not (out / ".unfinished").exists()
    for name in done(out):
        assert len(list((out / name / "grid").glob("*.png"))) == 9
        assert (out / name / "scene.safetensors").exists() and (out / name / "report.json").exists()
    assert {name: (out / name / "job.json").stat().st_mtime_ns for name in before} == before
    print(f"tries: {Counter(record['tries'] for record in last.values())}")
