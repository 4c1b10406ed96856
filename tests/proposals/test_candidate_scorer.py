"""Features by hand, the network against a plain loop, its file, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_field import warp
from fourreal_core.proposals.candidate_features import OF_EACH, candidate_features
from fourreal_core.proposals.candidate_scorer import CandidateScorer, load_scorer
from fourreal_core.proposals.cell_candidates import KINDS, RENDER, SCENE, STATIC, CellCandidates
from fourreal_core.proposals.cell_evidence import CellEvidence
from fourreal_core.proposals.image_filters import gaussian_blur
from fourreal_core.training.scorer_training import (
    ScoredPixels,
    ScorerOptions,
    color_errors,
    scorer_loss,
    train_scorer,
)

from .evidence import EACH_INNER, INNER, MOTION, PARALLAX, SIZE, truth, wall_candidates, wall_evidence

COUNT = len(KINDS)


def feature(features: np.ndarray, name: str, kind: str) -> np.ndarray:
    return features[KINDS.index(kind)][INNER][..., OF_EACH.index(name)]


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return candidate_features([(wall_evidence(), wall_candidates())])


def test_the_right_flow_is_explained_by_the_row_and_the_wrong_one_not(features: np.ndarray) -> None:
    for name in ("photometric_fine", "photometric", "photometric_coarse"):
        assert feature(features, name, SCENE).max() < 0.2 and feature(features, name, STATIC).mean() > 2
    assert feature(features, "lead", STATIC).mean() < -2
    assert feature(features, "least_error", STATIC).max() < 0.2


def plain_features(evidence: CellEvidence, made: CellCandidates) -> dict[str, np.ndarray]:
    """The same, one name after the other, in double precision but for the windows and the readings."""
    scale = SIZE[1] / 512
    blur = lambda maps, px: np.stack([gaussian_blur(each, px * scale) for each in maps])  # noqa: E731
    gray = lambda x: 255 * np.abs(np.asarray(x, np.float64)).mean(-1)  # noqa: E731
    log = lambda x: np.log1p(np.minimum(x, 200.0))  # noqa: E731
    at = lambda values, ways: np.stack([warp(values.astype(np.float32), way) for way in ways])  # noqa: E731
    now, then = at(evidence.row_now, made.across), at(evidence.row_then, made.flows + made.across)
    off = gray(now - then)
    differs = evidence.source - warp(evidence.row_then, evidence.match)
    detail = differs - gaussian_blur(differs, 4 * scale)
    itself = gray(evidence.row_now - warp(evidence.row_then, evidence.back))

    def gradient(maps: np.ndarray) -> np.ndarray:
        down = np.abs(np.diff(maps, axis=1, append=maps[:, -1:])).sum(-1)
        return down + np.abs(np.diff(maps, axis=2, append=maps[:, :, -1:])).sum(-1)

    errors = np.minimum(blur(off, 4), 200).astype(np.float64)
    ordered = np.sort(errors, 0)
    others = np.where(errors <= ordered[:1], ordered[1:2], ordered[:1])
    colors, flows = made.colors.astype(np.float64), made.flows.astype(np.float64)
    apart = gray(colors[:, None] - colors[None])
    return {
        "photometric_fine": log(blur(off, 1.5)),
        "photometric": log(errors),
        "photometric_coarse": log(blur(off, 12)),
        "match_error": log(at(np.minimum(evidence.match_error, 20), made.flows) / 0.5),
        "view_mismatch": log(at(gaussian_blur(gray(detail), 2 * scale), made.flows)),
        "return_error": log(at(np.minimum(evidence.back_error, 20), made.across) / 0.5),
        "self_error": log(at(gaussian_blur(itself, 2 * scale), made.across)),
        "from_median": log(gray(colors - np.median(colors, 0))),
        "from_render": log(gray(colors - colors[-1])),
        "from_row": log(gray(colors - now)),
        "agreement": np.exp(-apart / 8).sum(0) - 1,
        "flow_from_median": log(np.linalg.norm(flows - np.median(flows, 0), axis=-1) / scale),
        "flow_gradient": log(blur(np.minimum(gradient(flows), 10), 2)),
        "color_gradient": log(blur(255 / 3 * gradient(colors), 2)),
        "flow_length": log(np.linalg.norm(flows, axis=-1) / scale),
        "across_length": log(np.linalg.norm(made.across, axis=-1) / scale),
        "least_error": log(ordered[:1]) + 0 * errors,
        "lead": np.sign(others - errors) * log(np.abs(others - errors)),
        "spread": log(255 * colors.std(0).mean(-1)) + 0 * errors,
        "view_phase": np.full(errors.shape, evidence.phases[0]),
        "time_phase": np.full(errors.shape, evidence.phases[1]),
        "alpha": made.alpha + 0 * errors,
        "seen": made.seen,
    }


def test_every_feature_is_as_the_plain_one_says() -> None:
    rng = np.random.default_rng(7)
    rough = lambda *shape: rng.normal(0, 1, (*SIZE, *shape)).astype(np.float32)  # noqa: E731
    base = wall_evidence()
    evidence = replace(
        base,
        phases=(0.25, 0.75),
        row_now=(base.row_now + 0.1 * rough(3)).clip(0, 1),
        match=base.match + rough(2),
        match_error=np.abs(rough()),
        back=base.back + rough(2),
        back_error=np.abs(rough()),
    )
    made = wall_candidates(evidence)
    made = replace(
        made, colors=rng.random(made.colors.shape).astype(np.float32), seen=rng.random(made.seen.shape) > 0.5
    )
    found, expected = candidate_features([(evidence, made)]), plain_features(evidence, made)
    assert tuple(expected) == OF_EACH
    for k, name in enumerate(OF_EACH):
        assert np.abs(found[..., k] - expected[name]).max() < 2e-4, name


def test_lengths_phases_and_distances_by_hand(features: np.ndarray) -> None:
    assert np.allclose(feature(features, "flow_length", SCENE), np.log1p(MOTION * 8), atol=1e-3)  # 512 / 64
    assert np.allclose(feature(features, "across_length", SCENE), np.log1p(PARALLAX * 8), atol=1e-3)
    for name, value in (("view_phase", 0.5), ("time_phase", 0.5), ("alpha", 0.7), ("seen", 1.0)):
        assert np.allclose(feature(features, name, SCENE), value)
    off = 255 * np.abs(wall_candidates().colors[0]).mean(-1)[INNER]  # the render is black
    assert np.allclose(feature(features, "from_render", SCENE), np.log1p(np.minimum(off, 200)), atol=1e-3)
    assert feature(features, "from_median", SCENE).max() < 0.5 < feature(features, "from_median", RENDER).min()
    assert feature(features, "agreement", SCENE).min() > 7 > feature(features, "agreement", RENDER).max() + 4
    for name in ("match_error", "view_mismatch", "return_error", "self_error", "flow_gradient"):
        assert feature(features, name, SCENE).max() < 0.35


@pytest.mark.parametrize(("change", "name"), [("match_error", "match_error"), ("back_error", "return_error")])
def test_errors_of_flows_are_told_apart(change: str, name: str) -> None:
    error = np.full(SIZE, 3.0, np.float32)
    seen = candidate_features([(wall_evidence(**{change: error}), wall_candidates())])
    assert np.allclose(feature(seen, name, SCENE), np.log1p(6), atol=1e-3)  # in pixels, at least half a pixel of 512


def test_views_that_differ_in_detail_and_rows_that_change_are_marked() -> None:
    rng = np.random.default_rng(0)
    noisy = wall_evidence()
    spoilt = wall_evidence(source=noisy.source + rng.normal(0, 0.1, noisy.source.shape).astype(np.float32))
    assert feature(candidate_features([(spoilt, wall_candidates())]), "view_mismatch", SCENE).mean() > 2
    changed = wall_evidence(row_now=noisy.row_now + 0.2)
    assert feature(candidate_features([(changed, wall_candidates())]), "self_error", SCENE).mean() > 3.5


def test_two_rows_that_say_the_same_count_as_one(features: np.ndarray) -> None:
    twice = candidate_features([(wall_evidence(), wall_candidates())] * 2)
    assert len(twice) == 2 * COUNT
    again = twice[:COUNT] - features
    assert np.abs(again[..., [k for k, name in enumerate(OF_EACH) if name not in ("agreement", "lead")]]).max() < 1e-3


def random_scorer(seed: int = 0) -> CandidateScorer:
    rng = np.random.default_rng(seed)
    sizes = (len(OF_EACH) + COUNT, 5, 4, 1)
    draw = lambda *shape: rng.normal(0, 0.5, shape).astype(np.float32)  # noqa: E731
    pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
    return CandidateScorer(
        draw(len(OF_EACH)),
        0.5 + draw(len(OF_EACH)) ** 2,
        tuple(draw(*p) for p in pairs),
        tuple(draw(p[1]) for p in pairs),
    )


def test_scores_are_as_a_plain_loop_says() -> None:
    scorer, rng = random_scorer(), np.random.default_rng(1)
    seen, kinds = rng.normal(size=(3, 2, 2, len(OF_EACH))).astype(np.float32), np.array([4, 0, 10])
    found = scorer.scores(seen, kinds)
    for k, y, x in np.ndindex(3, 2, 2):
        value = np.concatenate([(seen[k, y, x] - scorer.mean) / scorer.std, np.eye(COUNT)[kinds[k]]])
        for layer, (weight, bias) in enumerate(zip(scorer.weights, scorer.biases, strict=True)):
            value = value.astype(np.float64) @ weight + bias
            value = np.maximum(value, 0) if layer < 2 else value
        assert found[k, y, x] == pytest.approx(float(value[0]), abs=1e-4)


def test_the_file_brings_it_back_and_others_are_refused(tmp_path: Path) -> None:
    scorer, path = random_scorer(), tmp_path / "scorer.safetensors"
    scorer.save(path)
    back = load_scorer(path)
    assert all(np.array_equal(a, b) for a, b in zip(back.weights, scorer.weights, strict=True))
    assert np.array_equal(back.std, scorer.std)
    with pytest.raises(InputError, match="install the package again"):
        load_scorer(tmp_path / "none.safetensors")
    from safetensors.numpy import save_file

    save_file({"mean": scorer.mean}, tmp_path / "other.safetensors", {"features": "[]", "kinds": "[]"})
    with pytest.raises(InputError, match="other features"):
        load_scorer(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="layers"):
        CandidateScorer(scorer.mean, scorer.std, scorer.weights[:2], scorer.biases[:2])


def test_the_loss_by_hand() -> None:
    errors = torch.tensor([[4.0], [1.0]])
    loss = scorer_loss(torch.tensor([[0.0], [0.0]]), errors, calibration=0.5)
    assert float(loss) == pytest.approx(0.25 + 0.5 * (2 * np.log(4.0)) ** 2 / 2)


def test_it_learns_which_candidate_is_right_by_what_is_measured(features: np.ndarray) -> None:
    made = wall_candidates()
    errors = color_errors(made, truth())
    pixels = ScoredPixels(features[EACH_INNER].reshape(COUNT, -1, len(OF_EACH)), errors[EACH_INNER].reshape(COUNT, -1))
    scorer = train_scorer([pixels], ScorerOptions(hidden=8, steps=150, pixels=128))
    scores = scorer.scores(features, made.kinds)[EACH_INNER].mean((1, 2))
    assert scores[KINDS.index(SCENE)] > scores[KINDS.index(STATIC)] + 3
    expected = -2 * np.log(np.clip(errors[EACH_INNER], 0.5, None)).mean((1, 2))
    assert np.abs(scores - expected).max() < 3 and np.corrcoef(scores, expected)[0, 1] > 0.95
    again = train_scorer([pixels], ScorerOptions(hidden=8, steps=150, pixels=128))
    assert all(np.allclose(a, b) for a, b in zip(scorer.weights, again.weights, strict=True))


def test_wrong_samples_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="same cells"):
        ScoredPixels(np.zeros((3, 4, 5), np.float32), np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="defaults"):
        ScorerOptions(steps=0)
