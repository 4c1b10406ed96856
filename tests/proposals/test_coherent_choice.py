"""One picture from scored candidates: exact on small pictures, light from all, detail from one, none from nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fourreal_core.errors import InputError
from fourreal_core.proposals.coherent_choice import ChoiceOptions, choose, draw_choice
from fourreal_core.proposals.coherent_choice_kernel import pass_messages, seams_between

PLAIN = ChoiceOptions(detail_px=0)


def picture(colors, scores, options):
    """What is drawn of the choice."""
    return draw_choice(choose(colors, scores, options), colors.__getitem__, colors.shape[1:3], options)


def passed(costs, colors, weight):
    """Labels by message passing."""
    return pass_messages(costs, np.float32(weight) * seams_between(colors), 4)


def energy(labels, costs, colors, weight):
    """Costs of labels and of their seams, in double precision."""
    h, w = labels.shape
    total = sum(float(costs[y, x, labels[y, x]]) for y in range(h) for x in range(w))
    for y, x in product(range(h), range(w)):
        for other in ((y, x + 1), (y + 1, x)):
            if other[0] < h and other[1] < w:
                a, b = labels[y, x], labels[other]
                total += weight * float(
                    np.abs(colors[y, x, a] - colors[y, x, b]).sum() + np.abs(colors[other][a] - colors[other][b]).sum()
                )
    return total


@pytest.mark.parametrize("seed", range(4))
def test_on_a_chain_the_choice_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, colors = rng.random((1, 5, 3)).astype(np.float32), rng.random((1, 5, 3, 3)).astype(np.float32)
    found = energy(passed(costs, colors, 0.2), costs, colors, 0.2)
    best = min(energy(np.reshape(each, (1, 5)), costs, colors, 0.2) for each in product(range(3), repeat=5))
    assert found == pytest.approx(best, abs=1e-5)


def test_on_a_grid_it_is_near_the_best_and_better_than_single_pixels() -> None:
    rng = np.random.default_rng(3)
    costs, colors = rng.random((3, 3, 2)).astype(np.float32), 0.5 * rng.random((3, 3, 2, 3)).astype(np.float32)
    found = energy(passed(costs, colors, 0.3), costs, colors, 0.3)
    best = min(energy(np.reshape(each, (3, 3)), costs, colors, 0.3) for each in product(range(2), repeat=9))
    alone = energy(costs.argmin(-1), costs, colors, 0.3)
    assert best <= found + 1e-5 < alone and found < best + 0.1 * (alone - best)


def speckled(seed: int = 0):
    """Two candidates, black and white; the first scores a little better but for single pixels."""
    rng = np.random.default_rng(seed)
    colors = np.stack([np.zeros((24, 32, 3)), np.ones((24, 32, 3))]).astype(np.float32)
    scores = np.stack([np.full((24, 32), 0.5), np.where(rng.random((24, 32)) < 0.1, 1.5, 0.0)]).astype(np.float32)
    return colors, scores


def test_single_pixels_do_not_speckle_the_choice() -> None:
    colors, scores = speckled()
    fine = {"scores_px": 0.1, "detail_px": 1e4}  # all of the picture's detail, none of its light
    alone = picture(colors, scores, ChoiceOptions(**fine))
    coherent = picture(colors, scores, ChoiceOptions(rounds=4, **fine))
    assert alone.std() > 0.05 and coherent.std() < 1e-3


def test_light_is_that_of_the_weighted_mean() -> None:
    colors, scores = speckled()
    soft, mixed = (picture(colors, scores, options) for options in (PLAIN, ChoiceOptions(detail_px=200.0)))
    assert abs(float(soft.mean() - mixed.mean())) < 0.03 and 0.3 < soft.mean() < 0.5


def test_the_weighted_mean_by_hand() -> None:
    colors = np.stack([np.full((4, 4, 3), c, np.float32) for c in (0.2, 0.6)])
    scores = np.stack([np.full((4, 4), s, np.float32) for s in (0.0, np.log(3.0))])
    made = choose(colors, scores, PLAIN)
    assert np.allclose(picture(colors, scores, PLAIN), 0.25 * 0.2 + 0.75 * 0.6, atol=1e-6)
    assert np.allclose(made.error, np.exp(-0.5 * 0.75 * np.log(3.0)), atol=1e-5)
    assert np.allclose(made.shares[:, 0, 0], [0.25, 0.75])


@pytest.mark.parametrize("options", [PLAIN, ChoiceOptions(), ChoiceOptions(rounds=4)])
def test_what_shows_nothing_takes_no_part(options: ChoiceOptions) -> None:
    colors = np.stack([np.full((8, 16, 3), c, np.float32) for c in (0.2, 0.9)])
    scores = np.zeros((2, 8, 16), np.float32)
    scores[1, :, :8] = -np.inf
    made = choose(colors, scores, options)
    color = picture(colors, scores, options)
    assert np.allclose(color[:, :6], 0.2, atol=0.02) and np.isfinite(made.error).all()
    assert color[:, 12:].mean() > 0.5


def test_thin_writing_is_not_taken_to_save_its_seams() -> None:
    colors = np.stack([np.full((16, 32, 3), c, np.float32) for c in (0.5, 1.0)])
    scores = np.stack([np.full((16, 32), s, np.float32) for s in (6.0, 0.0)])
    scores[0, :, 10:12] = -np.inf  # the better one shows nothing in a line that costs less than the seams around it
    color = picture(colors, scores, ChoiceOptions(rounds=4, scores_px=0.1, detail_px=1e4))
    assert float(color[4:12, 10:12].mean() - color[4:12, 16:].mean()) > 0.25


def test_a_choice_may_be_drawn_larger_than_it_was_made() -> None:
    colors = np.stack([np.full((12, 16, 3), c, np.float32) for c in (0.0, 1.0, 0.5)])
    scores = np.zeros((3, 12, 16), np.float32)
    scores[0, :, :8], scores[1, :, 8:], scores[2] = 9, 9, -np.inf
    for options in (PLAIN, ChoiceOptions()):
        asked = []

        def shown(k: int, asked: list[int] = asked) -> np.ndarray:
            asked.append(k)
            return np.full((24, 32, 3), float(colors[k].mean()), np.float32)

        made = draw_choice(choose(colors, scores, options), shown, (24, 32), options)[..., 0]
        assert made.shape == (24, 32) and made[:, :14].max() < 0.05 and made[:, 18:].min() > 0.95
        assert asked == [0, 1]


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InputError, match="positive windows"):
        ChoiceOptions(scores_px=0)


def test_detail_is_the_best_of_a_window() -> None:
    colors, scores = speckled()
    alone, windowed = (picture(colors, scores, ChoiceOptions(scores_px=px, detail_px=1e4)).std() for px in (0.1, 40.0))
    assert windowed < 0.2 * alone
