"""The networks that ``--model`` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..errors import InputError
from ..geometry.multi_view_models import MULTI_VIEW_MODELS
from ..geometry.pair_models import FAMILIES, pair_model
from .confidence import ConfidenceModel, MultiViewConfidence, PairConfidence
from .learned import FeatureConsistency, LearnedFigure
from .perceptual import lpips, st_lpips
from .vbench import VBench
from .video_distance import FrechetVideoDistance, Fvd, VideoDistance

_LEARNED: dict[str, Callable[[str, str], LearnedFigure]] = {
    "lpips": lpips,
    "stlpips": st_lpips,
    "clip": partial(FeatureConsistency, "clip"),
    "dino": partial(FeatureConsistency, "dino"),
    "vbench": VBench,
}
_VIDEO: dict[str, Callable[[str, str], VideoDistance]] = {"fvd": Fvd, "video": FrechetVideoDistance}
NAMES = (*_LEARNED, *_VIDEO, *FAMILIES, *MULTI_VIEW_MODELS)


@dataclass(frozen=True)
class JudgeModels:
    """Networks that take part.

    Attributes:
        confidence: Whose confidence is a figure.
        learned: Whose features make figures of one grid.
        videos: Whose features make a Fréchet distance over all scenes.
    """

    confidence: tuple[ConfidenceModel, ...] = ()
    learned: tuple[LearnedFigure, ...] = ()
    videos: tuple[VideoDistance, ...] = ()


def judge_models(specs: list[str], device: str = "cpu", reach: int | None = None) -> JudgeModels:
    """Loads the networks of specs such as ``dust3r:CHECKPOINT``, ``stlpips``, ``clip:FOLDER``.

    Args:
        specs: Each a name, and behind a colon what it needs.
        device: Where they run.
        reach: Largest distance between paired views; any when None.

    Raises:
        InputError: An unknown name, or what can't be had here.
    """
    confidence: list[ConfidenceModel] = []
    learned: list[LearnedFigure] = []
    videos: list[VideoDistance] = []
    for spec in specs:
        name, _, argument = spec.partition(":")
        if name in FAMILIES:
            confidence.append(PairConfidence(pair_model(name, argument, device), reach))
        elif name in MULTI_VIEW_MODELS:
            confidence.append(MultiViewConfidence(MULTI_VIEW_MODELS[name](argument, device)))
        elif name in _LEARNED:
            learned.append(_LEARNED[name](argument, device))
        elif name in _VIDEO:
            videos.append(_VIDEO[name](argument, device))
        else:
            raise InputError(f"the model {spec!r}", f"one of {', '.join(NAMES)}", "for example dust3r:CHECKPOINT")
    return JudgeModels(tuple(confidence), tuple(learned), tuple(videos))
