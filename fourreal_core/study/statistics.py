"""What answers say: shares of preferences, agreement, scores of methods, and evaluators who seem to guess."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.intervals import share_interval
from .questions import JUNK, LEFT
from .store import chosen_method
from .study_file import Study

CHANCE_P = 0.1
"""An evaluator seems to guess where agreeing so often with the others by chance is at least so likely."""
LEAST_COMPARED = 10
"""Answers with a majority of others beside them, from which that can be said."""
ONE_SIDE = 0.9
"""Share of one side among an evaluator's preferences from which they are named."""
LEAST_SIDES = 10


@dataclass(frozen=True)
class Vote:
    """One answer, by method.

    Attributes:
        evaluator: Random key.
        pair: Key of the pair.
        question: Key of the question.
        choice: The method that was preferred; None for junk.
        side: ``left``, ``right`` or ``junk``, as it was seen.
    """

    evaluator: str
    pair: str
    question: str
    choice: str | None
    side: str


@dataclass(frozen=True)
class Share:
    """How often a method was preferred to another.

    Attributes:
        first: The method.
        second: The other.
        question: Key of the question.
        wins: Preferences of the first.
        losses: Of the second.
        junk: No significant difference.
    """

    first: str
    second: str
    question: str
    wins: int
    losses: int
    junk: int

    @property
    def without_junk(self) -> float:
        """Percent of the preferences, half of them where there is none."""
        decided = self.wins + self.losses
        return 100 * self.wins / decided if decided else 50.0

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of ``without_junk`` in percent, every answer taken as independent."""
        low, high = share_interval(self.wins, self.wins + self.losses)
        return 100 * low, 100 * high

    @property
    def with_junk(self) -> tuple[float, float, float]:
        """Percent of all answers: first, junk, second."""
        total = max(1, self.wins + self.losses + self.junk)
        return 100 * self.wins / total, 100 * self.junk / total, 100 * self.losses / total


def votes(study: Study, rows: Iterable[Mapping[str, object]], checks: bool = False) -> list[Vote]:
    """The finished pages' answers to pairs, or to attention checks, by method."""
    pairs = {pair.key: pair for pair in study.pairs if pair.check == checks}
    found = []
    for row in rows:
        pair = pairs.get(str(row["pair"]))
        if pair is not None and row["finished"]:
            side = str(row["answer"])
            choice = chosen_method(pair, bool(row["flipped"]), side)
            found.append(Vote(str(row["evaluator"]), pair.key, str(row["question"]), choice, side))
    return found


def shares(study: Study, found: Sequence[Vote]) -> list[Share]:
    """Of every two methods and every question."""
    pairs = {pair.key: (pair.first, pair.second) for pair in study.pairs if not pair.check}
    counts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for vote in found:
        first, second = pairs[vote.pair]
        kind = "junk" if vote.choice is None else "wins" if vote.choice == first else "losses"
        counts[first, second, vote.question][kind] += 1
    order = [q.key for q in study.questions]
    return [
        Share(a, b, q, counts[a, b, q]["wins"], counts[a, b, q]["losses"], counts[a, b, q]["junk"])
        for a, b in dict.fromkeys(pairs.values())
        for q in order
        if (a, b, q) in counts
    ]


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of nominal values; None where no two values can be compared, or all are one.

    Args:
        units: Of every unit (a pair and a question) the values that its evaluators gave, however many.
    """
    together: Counter[tuple[str, str]] = Counter()
    weight: dict[tuple[str, str], float] = defaultdict(float)
    for values in units:
        if len(values) < 2:
            continue
        together.clear()
        for i, a in enumerate(values):
            for j, b in enumerate(values):
                if i != j:
                    together[a, b] += 1
        for key, count in together.items():
            weight[key] += count / (len(values) - 1)
    total = sum(weight.values())
    marginal: dict[str, float] = defaultdict(float)
    for (a, _), value in weight.items():
        marginal[a] += value
    expected = total**2 - sum(n**2 for n in marginal.values())
    if total <= 1 or expected == 0:
        return None
    observed = sum(value for (a, b), value in weight.items() if a != b)
    return 1 - (total - 1) * observed / expected


def agreement(found: Sequence[Vote]) -> dict[str, float | None]:
    """Krippendorff's alpha by question, over which method was preferred or junk; ``""`` is all questions together."""
    units: dict[tuple[str, str], list[str]] = defaultdict(list)
    for vote in found:
        units[vote.question, vote.pair].append(vote.choice or JUNK)
    questions = list(dict.fromkeys(vote.question for vote in found))
    by_question: dict[str, float | None] = {
        q: krippendorff_alpha([values for (question, _), values in units.items() if question == q]) for q in questions
    }
    return {"": krippendorff_alpha(units.values()), **by_question}


def bradley_terry(methods: Sequence[str], found: Sequence[Vote], study: Study, rounds: int = 500) -> dict[str, float]:
    """Log strengths of methods, mean 0 (Bradley and Terry 1952), by Hunter's iteration (2004).

    Junk counts half for each. Half a win of each method over each keeps a method that never lost finite.

    Args:
        methods: Their names.
        found: The votes of one question, or of all.
        study: Whose methods each pair compares.
        rounds: Of the iteration.
    """
    place = {method: k for k, method in enumerate(methods)}
    pairs = {pair.key: (place[pair.first], place[pair.second]) for pair in study.pairs if not pair.check}
    n = len(methods)
    wins = np.full((n, n), 0.5)
    np.fill_diagonal(wins, 0.0)
    for vote in found:
        a, b = pairs[vote.pair]
        if vote.choice is None:
            wins[a, b] += 0.5
            wins[b, a] += 0.5
        else:
            winner = place[vote.choice]
            wins[winner, a if winner == b else b] += 1
    games, strength = wins + wins.T, np.ones(n)
    for _ in range(rounds):
        strength = wins.sum(1) / (games / (strength[:, None] + strength[None])).sum(1)
        strength /= np.exp(np.log(strength).mean())
    return {method: float(np.log(strength[k])) for method, k in place.items()}


@dataclass(frozen=True)
class Evaluator:
    """How an evaluator answered.

    Attributes:
        key: Random key.
        answers: How many.
        junk: How many of them were junk.
        compared: Preferences beside which the others had a majority.
        agreed: How many of those were the majority's.
        left: Share of the left side among the preferences.
        checks_failed: Attention checks whose plainly better side was not chosen.
        checks: Attention checks answered.
        why: Why the answers look like chance; empty where they don't.
    """

    key: str
    answers: int
    junk: int
    compared: int
    agreed: int
    left: float
    checks_failed: int
    checks: int
    why: str


CHECK_QUESTIONS = ("foreground", "background", "quality")
"""Questions of an attention check that the unspoilt video plainly wins."""


def evaluators(found: Sequence[Vote], checks: Sequence[Vote]) -> list[Evaluator]:
    """Every evaluator, those whose answers look like chance first.

    They look so where their preferences agree no more often with the majority of the others than a coin would, where
    nearly all are of one side, or where they failed most attention checks.
    """
    units: dict[tuple[str, str], dict[str, str | None]] = defaultdict(dict)
    for vote in found:
        units[vote.pair, vote.question][vote.evaluator] = vote.choice
    by_evaluator: dict[str, list[Vote]] = defaultdict(list)
    for vote in found:
        by_evaluator[vote.evaluator].append(vote)
    failed: dict[str, list[bool]] = defaultdict(list)
    for vote in checks:
        if vote.question in CHECK_QUESTIONS:
            failed[vote.evaluator].append(vote.choice != "good")
    people = [_judged(key, by_evaluator[key], units, failed[key]) for key in {*by_evaluator, *failed}]
    return sorted(people, key=lambda person: (not person.why, person.key))


def _judged(
    key: str, mine: Sequence[Vote], units: Mapping[tuple[str, str], Mapping[str, str | None]], failed: Sequence[bool]
) -> Evaluator:
    compared = agreed = 0
    for vote in mine:
        others = Counter(
            choice for other, choice in units[vote.pair, vote.question].items() if other != key and choice is not None
        )
        ranked = others.most_common(2)
        if vote.choice is None or not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            continue
        compared += 1
        agreed += vote.choice == ranked[0][0]
    preferred = [vote.side for vote in mine if vote.choice is not None]
    left = preferred.count(LEFT) / len(preferred) if preferred else 0.5
    why = []
    if compared >= LEAST_COMPARED and _at_least(agreed, compared) >= CHANCE_P:
        why.append(f"agrees with the others in {agreed} of {compared}")
    if len(preferred) >= LEAST_SIDES and max(left, 1 - left) >= ONE_SIDE:
        why.append(f"{100 * max(left, 1 - left):.0f} % of one side")
    if failed and sum(failed) * 2 > len(failed):
        why.append(f"fails {sum(failed)} of {len(failed)} questions of attention checks")
    junk = len(mine) - len(preferred)
    return Evaluator(key, len(mine), junk, compared, agreed, left, sum(failed), len(failed), "; ".join(why))


def _at_least(agreed: int, total: int) -> float:
    """How likely a coin shows heads at least so often."""
    return sum(math.comb(total, k) for k in range(agreed, total + 1)) / 2.0**total
