"""A short fingerprint of a network's weights, by which sync weights know the base model they were trained on.

The fingerprint is taken from the weights alone: renaming tensors (the same model lives in several libraries), another
floating type, or a scale in front of a quantised matrix leave it alone; retraining does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

SAMPLES = 32
"""Entries looked at in each weight matrix."""
SAME_SHAPES = 0.8
"""Share of the matrices that another fingerprint must have in the same shapes to count as the same architecture."""
SAME_WEIGHTS = 0.9
"""Correlation from which weights count as the same: 8-bit floats keep above 0.99, another seed is near 0."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a network's weights.

    Attributes:
        shapes: Shape of a matrix ("256x1024") to how many matrices have it.
        samples: For each shape the sum over its matrices of SAMPLES entries, every matrix at unit scale.
    """

    shapes: dict[str, int]
    samples: dict[str, tuple[float, ...]]

    def to_json(self) -> str:
        """The fingerprint as text for a file's metadata."""
        return json.dumps({name: [count, *self.samples[name]] for name, count in sorted(self.shapes.items())})

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Reads what to_json wrote.

        Raises:
            InputError: Text of another kind.
        """
        try:
            rows = {
                str(name): (int(row[0]), tuple(float(x) for x in row[1:])) for name, row in json.loads(text).items()
            }
            if any(len(samples) != SAMPLES for _, samples in rows.values()):
                raise ValueError("rows of another length")
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise InputError(
                f"a model fingerprint that can't be read ({error})",
                f"counts and {SAMPLES} samples a shape",
                "save the weights again",
            ) from error
        return cls({k: count for k, (count, _) in rows.items()}, {k: samples for k, (_, samples) in rows.items()})


def fingerprint(tensors: Iterable[Tensor]) -> Fingerprint:
    """Takes the fingerprint of a network.

    Args:
        tensors: Its weights, such as ``module.parameters()`` or ``state_dict.values()``, in any order. Vectors and
            integers don't count.
    """
    shapes: dict[str, int] = {}
    sums: dict[str, Tensor] = {}
    for tensor in tensors:
        size = [n for n in tensor.shape if n != 1]  # libraries differ in where they keep axes of one
        if len(size) < 2 or not tensor.is_floating_point():
            continue
        flat = tensor.detach().reshape(-1)
        at = torch.linspace(0, flat.numel() - 1, SAMPLES, dtype=torch.float64).long().to(flat.device)
        picked = flat[at].to("cpu", torch.float64)
        picked = picked / picked.square().mean().sqrt().clamp_min(1e-30)
        name = "x".join(map(str, size))
        shapes[name] = shapes.get(name, 0) + 1
        sums[name] = sums.get(name, torch.zeros(SAMPLES, dtype=torch.float64)) + picked
    return Fingerprint(shapes, {name: tuple(round(x, 4) for x in total.tolist()) for name, total in sums.items()})


def likeness(a: Fingerprint, b: Fingerprint) -> tuple[float, float]:
    """How much of ``a`` is in ``b``: the share of its matrices in the same shapes and counts, and their correlation."""
    shared = [name for name, count in a.shapes.items() if b.shapes.get(name) == count]
    share = sum(a.shapes[name] for name in shared) / max(sum(a.shapes.values()), 1)
    one = [x for name in shared for x in a.samples[name]]
    two = [x for name in shared for x in b.samples[name]]
    norm = math.sqrt(sum(x * x for x in one) * sum(x * x for x in two))
    return share, sum(x * y for x, y in zip(one, two, strict=True)) / norm if norm else float(one == two)


def check_base(trained_on: Fingerprint, used_with: Fingerprint, name: str) -> None:
    """Refuses sync weights beside a base model that they were not trained on.

    Args:
        trained_on: From the file with the sync weights.
        used_with: Of the model at hand.
        name: The file, for the message.

    Raises:
        InputError: The fingerprints differ; says in what.
    """
    share, correlation = likeness(trained_on, used_with)
    if share >= SAME_SHAPES and correlation >= SAME_WEIGHTS:
        return
    what = (
        f"another architecture ({share:.0%} of its weight matrices have the same shapes)"
        if share < SAME_SHAPES
        else f"other weights (correlation {correlation:.2f})"
    )
    raise InputError(
        f"sync weights {name} were trained on a base model of {what}",
        "the base model they were trained on",
        "load that base model, choose the sync weights made for this one, or an untrained variant",
    )
