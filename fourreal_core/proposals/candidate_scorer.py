"""Scores the candidates of a cell by what is measured of them: a small network, the same for every candidate.

The score of a candidate is about ``-2 log`` of its colour's error in grey levels, so a softmax over scores weighs by
the inverse square of the error. The paper has nothing of the kind: its model draws what the clips don't show.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from .candidate_features import OF_EACH, Features
from .cell_candidates import KINDS

Weights = NDArray[np.float32]

PACKAGED = Path(__file__).resolve().parents[1] / "weights" / "candidate_scorer.safetensors"
"""The scorer that comes with this package."""
_LAYERS = 3


@dataclass(frozen=True)
class CandidateScorer:
    """A perceptron with two hidden layers over a candidate's features and its kind.

    Attributes:
        mean: ``(F,)`` of the features it was trained on.
        std: ``(F,)`` their standard deviations.
        weights: ``(N, M)`` of every layer; the first takes the F features, then a one-hot of the kind.
        biases: ``(M,)`` of every layer.
    """

    mean: Weights
    std: Weights
    weights: tuple[Weights, ...]
    biases: tuple[Weights, ...]

    def __post_init__(self) -> None:
        inputs, count = len(OF_EACH) + len(KINDS), len(OF_EACH)
        sizes = [weight.shape for weight in self.weights]
        fits = len(sizes) == len(self.biases) == _LAYERS and sizes[0][0] == inputs and sizes[-1][1] == 1
        if self.mean.shape != (count,) or self.std.shape != (count,) or not fits:
            raise InputError(
                f"a scorer of {len(self.mean)} features with layers {sizes}",
                f"{count} features and {_LAYERS} layers from {inputs} inputs to 1 score",
                "train it with this version",
            )

    def scores(self, features: Features, kinds: NDArray[np.int_]) -> NDArray[np.float32]:
        """Scores ``(K, H, W)``, the higher the better.

        Args:
            features: ``(K, H, W, F)``, see candidate_features.
            kinds: ``(K,)`` each candidate's place in KINDS.
        """
        scale = (1 / self.std).astype(np.float32)
        first = self.weights[0][: len(OF_EACH)]
        shift = self.biases[0] - (self.mean * scale) @ first
        into, rest = torch.from_numpy(first * scale[:, None]), [torch.from_numpy(w) for w in self.weights[1:]]
        biases = [torch.from_numpy(bias) for bias in self.biases[1:]]
        out = np.empty(features.shape[:3], np.float32)
        for k, kind in enumerate(kinds):  # many times faster than in NumPy, whose products of thin matrices are slow
            pixels = torch.from_numpy(features[k].reshape(-1, len(OF_EACH)))
            x = torch.addmm(torch.from_numpy(shift + self.weights[0][len(OF_EACH) + kind]), pixels, into)
            for weight, bias in zip(rest, biases, strict=True):
                x = torch.addmm(bias, x.relu_(), weight)
            out[k] = x.view(features.shape[1:3]).numpy()
        return out

    def save(self, path: Path) -> None:
        """Writes it as safetensors, with the names of its features and kinds."""
        from safetensors.numpy import save

        from ..media.files import write_bytes

        tensors = {"mean": self.mean, "std": self.std}
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors |= {f"weight{k}": weight, f"bias{k}": bias}
        data = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
        write_bytes(path, save(data, {"features": json.dumps(OF_EACH), "kinds": json.dumps(KINDS)}))


@cache
def load_scorer(path: Path = PACKAGED) -> CandidateScorer:
    """Reads a scorer.

    Raises:
        InputError: The file is not there, or was made for other features or candidates.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise InputError(f"no file {path.name}", "the scorer's weights", "install the package again")
    with safe_open(path, framework="numpy") as opened:
        head = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (it is no dict)
    if json.loads(head.get("features", "[]")) != list(OF_EACH) or json.loads(head.get("kinds", "[]")) != list(KINDS):
        raise InputError(
            f"a scorer of other features or candidates in {path.name}", "those of this version", "train it again"
        )
    weights = tuple(tensors[f"weight{k}"] for k in range(_LAYERS))
    biases = tuple(tensors[f"bias{k}"] for k in range(_LAYERS))
    return CandidateScorer(tensors["mean"], tensors["std"], weights, biases)
