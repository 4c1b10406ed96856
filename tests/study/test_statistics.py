"""What answers say, against values worked out by hand or published."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import pytest

from fourreal_core.study.questions import QUESTIONS, Question
from fourreal_core.study.statistics import (
    Share,
    Vote,
    agreement,
    bradley_terry,
    evaluators,
    krippendorff_alpha,
    shares,
    votes,
)
from fourreal_core.study.store import AnswerStore
from fourreal_core.study.study_file import Pair, Study


def test_krippendorff_of_his_own_example() -> None:
    """Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", C: four observers, twelve units, nominal."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [[row.split()[k] for row in observers if row.split()[k] != "."] for k in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None and krippendorff_alpha([["a"]]) is None
    rng = random.Random(0)
    guesses = [[rng.choice("abc") for _ in range(10)] for _ in range(400)]
    assert krippendorff_alpha(guesses) == pytest.approx(0, abs=0.02)
    assert krippendorff_alpha([["a", "b"]] * 10) < 0


def two_methods(questions: tuple[Question, ...] = QUESTIONS, pairs: int = 3) -> Study:
    made = tuple(Pair(f"p{k}", f"s{k}", "A", "B", "a.mp4", "b.mp4") for k in range(pairs))
    return Study("t", made, questions)


def test_shares_by_hand() -> None:
    """Eight of ten preferences: 80 %, exactly 44.4 to 97.5; with five of junk 53.3, 33.3 and 13.3 % of fifteen."""
    study = two_methods()
    choices = ["A"] * 8 + ["B"] * 2 + [None] * 5
    found = [Vote(f"e{k}", "p0", "motion", choice, "left") for k, choice in enumerate(choices)]
    (share,) = shares(study, found)
    assert share == Share("A", "B", "motion", 8, 2, 5) and share.without_junk == 80
    assert share.interval == pytest.approx((44.39, 97.48), abs=0.01)
    assert share.with_junk == pytest.approx((53.333, 33.333, 13.333), abs=0.001)
    assert Share("A", "B", "motion", 0, 0, 3).without_junk == 50


def test_bradley_terry_of_two_methods_is_the_log_odds() -> None:
    """Three wins to one and half a win for each: log of 3.5 / 1.5, half of it each way."""
    study = two_methods()
    found = [Vote(f"e{k}", "p0", "motion", "A" if k < 3 else "B", "left") for k in range(4)]
    scores = bradley_terry(["A", "B"], found, study)
    assert scores["A"] - scores["B"] == pytest.approx(math.log(3.5 / 1.5)) and scores["A"] == pytest.approx(
        -scores["B"]
    )


def test_bradley_terry_finds_strengths() -> None:
    strengths = {"A": 0.9, "B": 0.0, "C": -0.9}
    pairs = tuple(Pair(a + b, "s", a, b, "x", "y") for a, b in (("A", "B"), ("A", "C"), ("B", "C")))
    study, rng = Study("t", pairs), random.Random(1)
    found = []
    for pair in pairs:
        odds = 1 / (1 + math.exp(strengths[pair.second] - strengths[pair.first]))
        found += [
            Vote(f"e{k}", pair.key, "motion", pair.first if rng.random() < odds else pair.second, "left")
            for k in range(3000)
        ]
    assert bradley_terry(study.methods, found, study) == pytest.approx(strengths, abs=0.06)
    always = [Vote(f"e{k}", "AB", "motion", "A", "left") for k in range(10)]
    assert math.isfinite(bradley_terry(study.methods, always, study)["A"])


def crowd(guessers: int = 2) -> list[Vote]:
    """Twelve evaluators who mostly prefer A on ten pairs, of whom some throw a coin and the last always says left."""
    rng, found = random.Random(3), []
    for k in range(12):
        for pair in range(10):
            side = rng.choice(["left", "right"])
            choice = "A" if rng.random() < 0.9 else "B"
            if k < guessers:
                choice = rng.choice("AB")
            elif k == 11:
                side = "left"
                choice = rng.choice("AB")
            found.append(Vote(f"e{k:02}", f"p{pair}", "motion", choice, side))
    return found


def test_who_guesses_is_named() -> None:
    people = evaluators(crowd(), [])
    named = {person.key: person.why for person in people if person.why}
    assert set(named) == {"e00", "e01", "e11"} and [p.key for p in people[:3]] == ["e00", "e01", "e11"]
    assert "100 % of one side" in named["e11"] and "agrees with the others in" in named["e00"]
    honest = next(person for person in people if person.key == "e05")
    assert honest.compared == 10 and honest.agreed >= 8 and not honest.why


def test_who_fails_the_checks_is_named() -> None:
    checks = [Vote("e05", "c0", q, "spoilt", "left") for q in ("foreground", "quality")]
    checks += [Vote("e06", "c0", q, "good", "left") for q in ("foreground", "quality")]
    checks += [Vote("e06", "c0", "dynamic", "spoilt", "left")]  # it may look more dynamic, blocks and all
    named = {person.key: person.why for person in evaluators(crowd(), checks) if person.why}
    assert "fails 2 of 2 questions" in named["e05"] and "e06" not in named


def test_answers_become_votes_by_method(tmp_path: Path) -> None:
    questions = (QUESTIONS[0], QUESTIONS[4])
    study = two_methods(questions)
    store = AnswerStore(study, tmp_path)
    for _ in range(4):  # always prefers A, wherever it stands; leaves the third page half done
        key = store.enter()
        for number in range(3):
            page = store.page(key)
            assert page is not None
            side = "right" if page.flipped else "left"
            for q in questions[: 1 if number == 2 else 2]:
                store.answer(key, page.pair.key, q.key, side)
    found = votes(study, store.rows())
    assert len(found) == 4 * 2 * 2 and {vote.choice for vote in found} == {"A"}
    assert {vote.side for vote in found} == {"left", "right"}
    assert agreement(found) == {"": None, "motion": None, "quality": None}


def test_the_report_and_its_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (study extra)")
    from fourreal_core.study.plots import COLORS
    from fourreal_core.study.report import write_report

    pairs = tuple(Pair(a + b, "s", a, b, "x", "y") for a, b in (("A", "=B"), ("A", "C"), ("=B", "C")))
    study = Study("Which <one>?", pairs, (QUESTIONS[0],), evaluators_a_pair=3)
    store = AnswerStore(study, tmp_path)
    for _ in range(3):
        key = store.enter()
        while (page := store.page(key)) is not None:
            best = min(page.pair.first, page.pair.second, key=lambda m: "A=BC".index(m[0]))
            store.answer(key, page.pair.key, "motion", "left" if (best == page.pair.first) != page.flipped else "right")
    report = write_report(study, tmp_path, tmp_path / "out")
    assert report["pairs_complete"] == 3 and report["answers"] == 9 and report["evaluators"] == 3
    assert report["bradley_terry"]["motion"]["A"] > report["bradley_terry"]["motion"]["=B"] > 0 - 0.5
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4 and "Which &lt;one&gt;?" in page and "Nobody" in page
    shown = [[c in plot.split("</svg>")[0] for c in COLORS[:3]] for plot in page.split("<svg")[1:4]]
    assert shown == [[True, True, False], [True, False, True], [False, True, True]], "a method keeps its colour"
    with (tmp_path / "out" / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and {row["preferred"] for row in rows} == {"A", "'=B"}, "no formula for a spreadsheet"
    with (tmp_path / "out" / "shares.csv").open(newline="") as file:
        assert [row["percent_without_junk"] for row in csv.DictReader(file)] == ["100.0"] * 3
