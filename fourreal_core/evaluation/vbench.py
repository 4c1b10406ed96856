"""VBench's dimensions (Huang et al., CVPR 2024) of a grid's rows, by its package where it is installed.

Of its dimensions those take part whose networks can be read without running code of their files, from files that are
on this disk: the package would fetch what it does not find.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..flow.checkpoint_files import read_weights
from ..progress import OnStep, no_progress
from .figures import Figure
from .grids import EvaluatedGrid

_FPS = 8.0
"""Of the videos; VBench takes eight frames a second of faster ones in some dimensions."""


@dataclass(frozen=True)
class _Dimension:
    """A dimension.

    Attributes:
        weights: Its file in VBench's folder, or empty.
        what: One sentence.
    """

    weights: str
    what: str


DIMENSIONS = {
    "temporal_flickering": _Dimension(
        "", "One less the mean difference from one time to the next; a scene that stands still has 1."
    ),
    "motion_smoothness": _Dimension(
        "amt_model/amt-s.pth", "One less the mean difference of every other time from what AMT makes of its neighbours."
    ),
    "dynamic_degree": _Dimension(
        "raft_model/models/raft-things.pth", "Share of the rows in which much moves, by RAFT."
    ),
}


class VBench:
    """A LearnedFigure: VBench's dimensions, mean over the rows that were not given.

    Args:
        folder: VBench's own, ``VBENCH_CACHE_DIR``; without one only the dimension that needs no network takes part.
        device: Where networks run.

    Raises:
        InputError: No package, or no such folder.
    """

    def __init__(self, folder: str = "", device: str = "cpu") -> None:
        self.folder, self.device = Path(folder), device
        if folder and not self.folder.is_dir():
            raise InputError(f"no folder {folder!r} for vbench", "vbench or vbench:FOLDER", "name VBench's folder")
        self.dimensions = [
            name
            for name, dimension in DIMENSIONS.items()
            if not dimension.weights or (folder and (self.folder / dimension.weights).is_file())
        ]
        for name in self.dimensions:
            if DIMENSIONS[name].weights:
                _check_weights(self.folder / DIMENSIONS[name].weights)
        try:
            self.package = Path(str(importlib.import_module("vbench").__file__)).parent
            self.modules: dict[str, Any] = {n: importlib.import_module(f"vbench.{n}") for n in self.dimensions}
        except (ImportError, RuntimeError, OSError) as err:
            raise InputError(
                f"no vbench that works here ({err})", "it with all it needs", "install it: python -m pip install vbench"
            ) from err

    def entries(self) -> list[Figure]:
        """See LearnedFigure."""
        return [
            Figure(
                f"vbench_{name}", f"VBench {name.replace('_', ' ')}", "", "higher", DIMENSIONS[name].what, "vbench", 4
            )
            for name in self.dimensions
        ]

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, dict[tuple[int, int], float]], dict[str, float]]:
        """See LearnedFigure; a row counts where all its cells are there, and row 0 is the reference."""
        whole = [v for v in range(grid.shape[0]) if bool(grid.there[v].all())]
        given = [v for v in whole if bool(grid.given[v].all())]
        made = [v for v in whole if v not in given]
        values: dict[str, float] = {}
        reference: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as place:
            videos = {v: _video(grid.frames[v], Path(place) / f"{v}.mp4") for v in whole}
            for done, name in enumerate(self.dimensions, start=1):
                for rows, found in ((made, values), (given, reference)):
                    if rows:
                        found[f"vbench_{name}"] = self._judge(name, [videos[v] for v in rows], Path(place))
                on_step(done, len(self.dimensions))
        return values, {}, reference

    def _judge(self, name: str, videos: list[Path], place: Path) -> float:
        listed = [{"prompt_en": "", "dimension": [name], "video_list": [str(path) for path in videos]}]
        (place / "videos.json").write_text(json.dumps(listed), encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            _, found = getattr(self.modules[name], f"compute_{name}")(
                str(place / "videos.json"), self.device, self._submodule(name)
            )
        return sum(float(video["video_results"]) for video in found) / len(found)

    def _submodule(self, name: str) -> Any:
        """What VBench's own ``init_submodules`` makes for a dimension, without fetching anything."""
        weights = str(self.folder / DIMENSIONS[name].weights)
        if name == "motion_smoothness":
            return {"config": str(self.package / "third_party" / "amt" / "cfgs" / "AMT-S.yaml"), "ckpt": weights}
        return {"model": weights} if name == "dynamic_degree" else []


def _video(row: Tensor, path: Path) -> Path:
    from ..media import write_video

    return write_video(row, path, _FPS, crf=1)


def _check_weights(path: Path) -> None:
    """Reads a file that the package will read, so that one that would run code is found before."""
    try:
        read_weights(path)
    except InputError:
        raise
    except Exception as err:  # whatever a file of another kind fails with
        why = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(":.")
        raise InputError(
            f"{path} can't be read as weights ({why})", "a file of tensors alone", "take it out of the folder"
        ) from err
