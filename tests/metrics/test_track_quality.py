"""3D track measures worked out by hand, and against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.metrics.track_quality import THRESHOLDS_PX, track_quality

SIZE, FOCAL = (512, 900), 400.0
PIXEL = 2.0 / (FOCAL / 2)
"""One pixel of the halved picture at depth 2."""


def at(x: list[list[float]]) -> torch.Tensor:
    """Points ``(F, N, 3)`` at depth 2, beside each other."""
    xs = torch.tensor(x, dtype=torch.float64)
    return torch.stack([xs, torch.zeros_like(xs), torch.full_like(xs, 2.0)], -1)


def test_by_hand() -> None:
    truth = at([[0.0, 1.0], [0.0, 1.0]])
    found = at([[0.5 * PIXEL, 1.0], [3 * PIXEL, 1.0 + 100 * PIXEL]])
    seen = torch.tensor([[True, True], [True, False]])
    truly = torch.tensor([[True, False], [True, True]])
    q = track_quality(found, seen, truth, truly, torch.full((2,), FOCAL), SIZE, rescale=False)
    # truly visible: half a pixel off, three off, a hundred off
    assert q.within == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3))
    assert q.apd == pytest.approx((1 / 3 * 2 + 2 / 3 * 3) / 5)
    # three truths; false positives: the one that is truly hidden, and until four pixels the one that is three off
    assert q.jaccard == pytest.approx((1 / 5, 1 / 5, 2 / 4, 2 / 4, 2 / 4))
    assert q.average_jaccard == pytest.approx((1 / 5 * 2 + 1 / 2 * 3) / 5)
    assert q.occlusion_accuracy == 0.5 and q.scale == 1.0


def test_perfect_tracks_in_another_scale() -> None:
    truth = torch.rand(3, 40, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 1.0])
    seen = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) > 0.3
    focal = torch.tensor([300.0, 310.0, 320.0])
    q = track_quality(truth * 7, seen, truth, seen, focal, SIZE)
    assert (q.average_jaccard, q.apd, q.occlusion_accuracy) == (1, 1, 1) and q.scale == pytest.approx(1 / 7)
    assert track_quality(truth * 7, seen, truth, seen, focal, SIZE, rescale=False).apd == 0


def test_the_definition_written_out() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (4, 50, 3)) + [0, 0, 3]
    found = truth + rng.normal(0, 0.01, truth.shape)
    truly, seen = rng.random((4, 50)) > 0.3, rng.random((4, 50)) > 0.3
    focal = rng.uniform(300, 500, 4)
    q = track_quality(
        torch.from_numpy(found),
        torch.from_numpy(seen),
        torch.from_numpy(truth),
        torch.from_numpy(truly),
        torch.from_numpy(focal),
        (256, 400),
        rescale=False,
    )
    jaccard, within = [], []
    for threshold in THRESHOLDS_PX:
        true_positive = false_positive = visible = near_visible = 0
        for f in range(4):
            for n in range(50):
                near = np.linalg.norm(found[f, n] - truth[f, n]) < threshold * truth[f, n, 2] / focal[f]
                visible += truly[f, n]
                near_visible += near and truly[f, n]
                true_positive += near and truly[f, n] and seen[f, n]
                false_positive += seen[f, n] and (not truly[f, n] or not near)
        jaccard.append(true_positive / (visible + false_positive))
        within.append(near_visible / visible)
    assert q.jaccard == pytest.approx(jaccard) and q.within == pytest.approx(within)
    assert 0.05 < q.within[0] < q.within[2] < 1  # the noise lies between the thresholds


def test_what_cannot_be_compared() -> None:
    truth, seen, focal = at([[0.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool), torch.tensor([FOCAL])
    for args in (
        (truth[:, :1], seen, truth, seen, focal),
        (truth, seen, truth, ~seen, focal),
        (truth, seen, truth, seen, focal[0]),
    ):
        with pytest.raises(InputError, match="compare tracks of the same points"):
            track_quality(*args, SIZE)
    with pytest.raises(InputError, match="NaN or infinite"):
        track_quality(truth * float("nan"), seen, truth, seen, focal, SIZE)
