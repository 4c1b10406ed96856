"""The networks that ``--model`` names."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..geometry.multi_view_models import MULTI_VIEW_MODELS
from ..geometry.pair_models import FAMILIES, pair_model
from .confidence import ConfidenceModel, MultiViewConfidence, PairConfidence
from .learned import FeatureConsistency, FrechetVideoDistance, LearnedFigure, StLpips

NAMES = ("stlpips", "clip", "dino", "video", *FAMILIES, *MULTI_VIEW_MODELS)


@dataclass(frozen=True)
class JudgeModels:
    """Networks that take part.

    Attributes:
        confidence: Whose confidence is a figure.
        learned: Whose features make figures of one grid.
        video: Whose features make a Fréchet distance over all scenes.
    """

    confidence: tuple[ConfidenceModel, ...] = ()
    learned: tuple[LearnedFigure, ...] = ()
    video: FrechetVideoDistance | None = None


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
    video = None
    for spec in specs:
        name, _, argument = spec.partition(":")
        if name in FAMILIES:
            confidence.append(PairConfidence(pair_model(name, argument, device), reach))
        elif name in MULTI_VIEW_MODELS:
            confidence.append(MultiViewConfidence(MULTI_VIEW_MODELS[name](argument, device)))
        elif name == "stlpips":
            learned.append(StLpips(argument, device))
        elif name in ("clip", "dino"):
            learned.append(FeatureConsistency(name, argument, device))
        elif name == "video":
            video = FrechetVideoDistance(argument, device)
        else:
            raise InputError(f"the model {spec!r}", f"one of {', '.join(NAMES)}", "for example dust3r:CHECKPOINT")
    return JudgeModels(tuple(confidence), tuple(learned), video)
