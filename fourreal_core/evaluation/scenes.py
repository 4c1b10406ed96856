"""Many scenes, each evaluated by itself, so that they can be spread over processes and machines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from ..flow.engines import flow_engine
from ..progress import OnStep, no_progress
from .evaluate import Evaluator
from .figures import SceneFigures
from .grids import TRUTH, EvaluatedGrid, read_grid
from .models import judge_models


@dataclass(frozen=True)
class ScenesOptions:
    """What every scene is evaluated with.

    Attributes:
        models: Specs of networks that take part, see ``judge_models``.
        device: Where they run.
        reach: Largest distance between paired views; any when None.
        flow: Name of the engine that measures flow.
        flow_width: Widest the cells are for figures from flow, in pixels; as they are when None.
        views: Views of wall videos; by their gaps when None.
        times: Times of videos; all frames when None.
    """

    models: tuple[str, ...] = ()
    device: str = "cpu"
    reach: int | None = None
    flow: str = "dis"
    flow_width: int | None = None
    views: int | None = None
    times: int | None = None

    def read(self, scene: str, place: Path) -> EvaluatedGrid:
        """Reads a grid, see ``read_grid``."""
        return read_grid(scene, place, self.views, self.times)


@dataclass(frozen=True)
class SceneGrids:
    """The grids of one scene.

    Attributes:
        scene: Its name.
        methods: Where every method's grid is.
        truth: Where the true cells are; None without.
    """

    scene: str
    methods: dict[str, Path]
    truth: Path | None = None


@dataclass(frozen=True)
class EvaluatedScene:
    """What became of one scene.

    Attributes:
        figures: Of every method.
        features: Of every video network by method, ``(V - 1, C)``, the truth under TRUTH; empty where true cells are
            missing.
    """

    figures: dict[str, SceneFigures]
    features: tuple[dict[str, Tensor], ...]


@lru_cache(maxsize=1)
def evaluator_for(options: ScenesOptions) -> Evaluator:
    """The evaluator of these options; a worker keeps its networks from one scene to the next.

    Raises:
        InputError: A network or engine that can't be had here.
    """
    models = judge_models(list(options.models), options.device, options.reach)
    engine = None if options.flow == "dis" else flow_engine(options.flow, options.device)
    return Evaluator(models, engine, options.flow_width)


def evaluate_scene(options: ScenesOptions, job: SceneGrids, on_step: OnStep = no_progress) -> EvaluatedScene:
    """Evaluates every method's grid of a scene.

    Args:
        options: What with.
        job: Which grids.
        on_step: Progress over all of them.

    Raises:
        InputError: Grids that can't be read or don't belong together, or a network that can't be had.
    """
    evaluator, videos = evaluator_for(options), evaluator_for(options).models.videos
    truth = None if job.truth is None else options.read(job.scene, job.truth)
    whole = truth is not None and bool(truth.there.all())
    figures: dict[str, SceneFigures] = {}
    features: tuple[dict[str, Tensor], ...] = tuple({} for _ in videos)

    def rows(method: str, grid: EvaluatedGrid) -> None:
        for network, found in zip(videos, features, strict=True):
            found[method] = network.features(grid.frames[1:])

    for k, (name, place) in enumerate(job.methods.items()):
        grid = options.read(job.scene, place)
        figures[name] = evaluator(grid, truth, _part(on_step, k, len(job.methods)))
        if whole:
            rows(name, grid)
    if truth is not None and whole:
        rows(TRUTH, truth)
    return EvaluatedScene(figures, features)


def _part(on_step: OnStep, index: int, parts: int) -> OnStep:
    return lambda done, total, preview=None: on_step(index * 100 + 100 * done // max(total, 1), parts * 100)
