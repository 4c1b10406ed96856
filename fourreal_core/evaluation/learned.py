"""Figures of learned features: what such a figure is, and CLIP and DINO by ``transformers``.

Weights come from an installed package or a folder on this disk; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..progress import OnStep, no_progress
from .figures import Figure
from .grids import EvaluatedGrid

Cells = dict[tuple[int, int], float]


class LearnedFigure(Protocol):
    """Anything that judges a grid by learned features."""

    def entries(self) -> list[Figure]:
        """What its figures are."""

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        """Values by the figure's name, those of cells, and the reference of the given cells."""


class FeatureConsistency:
    """Cosine similarity of a picture network's features between neighbouring cells, in time and across views.

    Args:
        name: ``clip`` or ``dino``.
        folder: Of the network, as ``transformers`` saves it.
        device: Where it runs.

    Raises:
        InputError: No ``transformers``, or no such network on this disk.
    """

    def __init__(self, name: str, folder: str, device: str = "cpu") -> None:
        self.name, self.folder, self.device = name, folder, device
        self.processor, self.network = load_network(name, folder, "AutoImageProcessor", device)

    def entries(self) -> list[Figure]:
        """See LearnedFigure."""
        what = "Mean cosine similarity of features of {}; a scene that stands still has 1."
        maker, label = f"transformers, {Path(self.folder).name}", self.name.upper()
        return [
            Figure(
                f"{self.name}_time",
                f"{label} in time",
                "",
                "higher",
                what.format("a cell and the next time's"),
                maker,
                4,
            ),
            Figure(
                f"{self.name}_view",
                f"{label} across views",
                "",
                "higher",
                what.format("a cell and the next view's"),
                maker,
                4,
            ),
        ]

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        """See LearnedFigure."""
        cells = [(v, t) for v, t in grid.there.nonzero().tolist()]
        features = {}
        for done, cell in enumerate(cells, start=1):
            features[cell] = self.features(grid.frames[cell])
            on_step(done, len(cells))
        made: dict[str, Cells] = {}
        given: dict[str, list[float]] = {}
        for a in cells:
            for kind, b in (("time", (a[0], a[1] + 1)), ("view", (a[0] + 1, a[1]))):
                if b not in features:
                    continue
                alike = float(nn.functional.cosine_similarity(features[a], features[b], dim=0))
                if bool(grid.given[a] & grid.given[b]):
                    given.setdefault(f"{self.name}_{kind}", []).append(alike)
                else:
                    made.setdefault(f"{self.name}_{kind}", {})[b] = alike
        values = {name: float(np.mean(list(found.values()))) for name, found in made.items()}
        return values, made, {name: float(np.mean(found)) for name, found in given.items()}

    def features(self, frame: Tensor) -> Tensor:
        """``(C,)`` of a frame ``(H, W, 3)``."""
        inputs = self.processor(images=eight_bits(frame), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            if hasattr(self.network, "get_image_features"):
                found = self.network.get_image_features(**inputs)
            else:
                found = self.network(**inputs)
        if not isinstance(found, Tensor):
            pooled = getattr(found, "pooler_output", None)
            found = found.last_hidden_state[:, 0] if pooled is None else pooled
        feature: Tensor = found[0].float().cpu().clone()
        return feature


def load_network(name: str, folder: str, processor: str, device: str) -> tuple[Any, Any]:
    """Processor and network of a folder on this disk.

    Raises:
        InputError: No ``transformers``, or no such network.
    """
    if not folder or not Path(folder).is_dir():
        raise InputError(f"no folder {folder!r} for {name}", f"{name}:FOLDER", "name a network's folder on this disk")
    try:
        import transformers
    except (ImportError, RuntimeError, OSError) as err:
        raise InputError(
            f"no transformers that works here ({err})", "it", "install it: python -m pip install transformers"
        ) from err
    makers: Any = transformers
    try:
        with contextlib.redirect_stdout(None):
            network = makers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            made = getattr(makers, processor).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as err:
        why = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
        raise InputError(
            f"the network in {folder} can't be loaded ({why})",
            "a folder of safetensors and configuration, as transformers saves it",
            "choose another folder",
        ) from err
    return made, network.eval().to(device)


def eight_bits(frame: Tensor) -> np.ndarray:
    """A frame ``(H, W, 3)`` as uint8."""
    picture: np.ndarray = (frame.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return picture
