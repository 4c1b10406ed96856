"""Every kind of candidate shows a wall that slides where it should, and only its own faults."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.proposals.cell_candidates import (
    DENSE_ROW_COLOR,
    KINDS,
    OWN_CARRIED,
    RENDER,
    ROW_CARRIED,
    ROW_COLOR,
    SCENE,
    SCENE_ROW_COLOR,
    STATIC,
    cell_candidates,
)

from .evidence import EACH_INNER, INNER, MOTION, PARALLAX, SIZE, flow, truth, wall, wall_candidates, wall_evidence


def errors(made, light: float = 0.0) -> dict[str, float]:
    """Largest error of each kind's colours, away from the rim."""
    return dict(zip(KINDS, np.abs(made.colors - truth(light))[EACH_INNER].max((1, 2, 3)), strict=True))


def test_all_ways_lead_to_the_same_colours_where_all_is_known() -> None:
    made = wall_candidates()
    off = errors(made)
    assert off.pop(STATIC) > 0.2 and off.pop(RENDER) > 0.4
    assert max(off.values()) < 2e-3
    k = KINDS.index(ROW_CARRIED)
    assert np.allclose(made.flows[k][INNER], [-MOTION, 0]) and np.allclose(made.across[k][INNER], [PARALLAX, 0])
    assert made.seen[EACH_INNER].all() and (made.kinds == np.arange(len(KINDS))).all()


def test_a_wrong_scene_spoils_only_what_is_read_along_it() -> None:
    off = errors(wall_candidates(scene_dx=4.0))
    assert {kind for kind, value in off.items() if value > 0.1} == {SCENE, STATIC, RENDER}


def test_the_rows_colours_come_in_the_light_of_the_view() -> None:
    light = 0.1
    evidence = wall_evidence(source=wall(0, light))
    off = errors(wall_candidates(evidence), light)
    for kind in (ROW_COLOR, SCENE_ROW_COLOR, DENSE_ROW_COLOR):
        assert off[kind] < 5e-3
    darker = wall_evidence(source=wall(0) - 0.6)  # far more than any light: the match is wrong
    assert errors(wall_candidates(darker), -0.6)[ROW_COLOR] > 0.4


def test_what_came_since_is_shown_by_the_rows_colours_alone() -> None:
    now = wall(PARALLAX + MOTION)
    now[14:20, 30:38] = 1.0  # a sheet of paper that the source doesn't show
    made = wall_candidates(wall_evidence(row_now=now))
    paper = (slice(16, 18), slice(30, 32))
    for kind in KINDS:
        shows = float(made.colors[KINDS.index(kind)][paper].mean()) > 0.97
        assert shows == (kind in (ROW_COLOR, SCENE_ROW_COLOR, DENSE_ROW_COLOR)), kind


@pytest.mark.parametrize(("name", "kind"), [("match_back_error", ROW_CARRIED), ("forth_error", OWN_CARRIED)])
def test_pixels_without_a_sure_match_are_not_carried(name: str, kind: str) -> None:
    unsure = np.zeros(SIZE, np.float32)
    unsure[10:26, 20:44] = 9.0
    made = wall_candidates(wall_evidence(**{name: unsure}))
    seen = made.seen[KINDS.index(kind)]
    assert not seen[14:22, 27:40].any() and seen[4:8, 12:50].all()
    assert made.seen[KINDS.index(DENSE_ROW_COLOR)][INNER].all()


def test_unsure_pixels_take_the_parallax_of_their_surroundings() -> None:
    wrong, unsure = flow(-PARALLAX), np.zeros(SIZE, np.float32)
    wrong[14:20, 28:36] = [8, 0]
    unsure[13:21, 27:37] = 9.0
    evidence = wall_evidence(match_back=wrong, match_back_error=unsure)
    made = wall_candidates(evidence)
    k = KINDS.index(DENSE_ROW_COLOR)
    assert np.abs(made.across[k][INNER] - [PARALLAX, 0]).max() < 0.5


def test_without_corrections_the_scene_stands_for_them() -> None:
    flat = np.full((*SIZE, 3), 0.5, np.float32)
    made = cell_candidates(wall_evidence(), [flow(-MOTION)], np.ones(SIZE, bool), flat, flat[..., 0])
    assert len(made.flows) == len(KINDS) and np.allclose(made.flows[2:5], made.flows[0])


def test_captions_are_not_seen() -> None:
    valid = np.ones(SIZE, bool)
    valid[10:14, 20:40] = False
    made = wall_candidates(wall_evidence(valid=valid))
    assert not made.seen[KINDS.index(STATIC)][11:13, 22:38].any()
    assert made.seen[KINDS.index(STATIC)][16:30, 10:50].all()


def test_smaller_evidence_is_the_same_in_fewer_pixels() -> None:
    evidence = wall_evidence()
    small = evidence.smaller(2)
    assert small.source.shape == (18, 32, 3) and small.valid.all() and np.allclose(small.match, [PARALLAX / 2, 0])
    assert np.allclose(small.source[5, 9], evidence.source[10:12, 18:20].mean((0, 1)), atol=1e-6)
    assert evidence.smaller(1) is evidence
