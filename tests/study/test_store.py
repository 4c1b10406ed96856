"""Places and answers: balance, order, what is kept, and what a full disk or a newer file says."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from fourreal_core.errors import InputError
from fourreal_core.study.questions import Question
from fourreal_core.study.store import AnswerStore, PlaceLost, chosen_method
from fourreal_core.study.study_file import Pair, Study


def little_study(pairs: int = 4, evaluators: int = 3, checks: int = 0, minutes: float = 60.0) -> Study:
    made = [Pair(f"p{k}", f"s{k}", "A", "B", "a.mp4", "b.mp4") for k in range(pairs)]
    made += [Pair(f"c{k}", "s0", "good", "spoilt", "a.mp4", "b.mp4", check=True) for k in range(checks)]
    questions = (Question("quality", "Which?", "Look."), Question("motion", "Which moves?", "Look."))
    return Study("t", tuple(made), questions, "Please.", evaluators, reserve_minutes=minutes)


def finish(store: AnswerStore, key: str, answer: str = "left") -> str | None:
    """Answers a page, and says which pair it was of."""
    page = store.page(key)
    if page is None:
        return None
    for q in store.study.questions_of(page.pair):
        done = store.answer(key, page.pair.key, q.key, answer)
    assert done
    return page.pair.key


def test_every_pair_gets_its_evaluators_and_nobody_a_pair_twice(tmp_path: Path) -> None:
    store = AnswerStore(little_study(), tmp_path)
    seen: dict[str, list[str]] = {}
    for _ in range(5):
        key = store.enter()
        seen[key] = [pair for pair in iter(lambda key=key: finish(store, key), None)]
    assert all(len(set(pairs)) == len(pairs) for pairs in seen.values())
    assert [len(pairs) for pairs in seen.values()] == [4, 4, 4, 0, 0]  # 4 pairs of 3 evaluators
    assert store.progress() == {f"p{k}": 3 for k in range(4)}
    assert len({tuple(pairs) for pairs in list(seen.values())[:3]}) > 1, "orders differ"


def test_balance_holds_while_it_fills(tmp_path: Path) -> None:
    """No pair gets ahead: by one while everybody may still see any pair, by two later. Sides are even too."""
    study = little_study(pairs=5, evaluators=8)
    store = AnswerStore(study, tmp_path)
    keys = [store.enter() for _ in range(8)]
    for turn in range(5):
        for key in keys:
            finish(store, key)
            counts = store.progress().values()
            assert max(counts) - min(counts) <= (1 if turn == 0 else 2)
    assert set(store.progress().values()) == {8}
    sides = Counter((row["pair"], row["flipped"]) for row in store.rows() if row["question"] == "motion")
    assert set(sides.values()) == {4} and len(sides) == 10


def test_who_returns_goes_on_where_they_were(tmp_path: Path) -> None:
    store = AnswerStore(little_study(), tmp_path)
    key = store.enter()
    page = store.page(key)
    assert page is not None and page.number == 0 and not store.answer(key, page.pair.key, "quality", "right")
    again = AnswerStore(little_study(), tmp_path).page(key)
    assert again is not None
    assert (again.pair, again.flipped, again.answers) == (page.pair, page.flipped, {"quality": "right"})
    assert not store.answer(key, page.pair.key, "quality", "junk")  # changed one's mind
    assert store.answer(key, page.pair.key, "motion", "left")
    assert store.answer(key, page.pair.key, "motion", "right")  # finished: nothing changes any more
    assert {row["question"]: row["answer"] for row in store.rows(key)} == {"quality": "junk", "motion": "left"}
    following = store.page(key)
    assert following is not None and following.number == 1 and following.pair != page.pair


def test_the_last_place_is_never_given_twice(tmp_path: Path) -> None:
    """Twenty at once ask for one pair with one place, through stores of their own as processes would."""
    study = little_study(pairs=1, evaluators=1)
    AnswerStore(study, tmp_path)
    got, start = [], threading.Barrier(20)

    def ask() -> None:
        store = AnswerStore(study, tmp_path)
        key = store.enter()
        start.wait()
        got.append(store.page(key))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 20 and sum(page is not None for page in got) == 1


def test_a_page_that_is_left_makes_room_and_keeps_its_answers(tmp_path: Path) -> None:
    study = little_study(pairs=1, evaluators=1)
    store = AnswerStore(study, tmp_path)
    slow, other, third = (store.enter() for _ in range(3))
    assert store.page(slow) is not None and not store.answer(slow, "p0", "quality", "left")
    assert store.page(other) is None
    with sqlite3.connect(store.path) as base:
        base.execute("UPDATE places SET touched = touched - 3601")
    assert store.page(other) is not None
    with pytest.raises(PlaceLost):
        store.answer(slow, "p0", "motion", "left")
    assert store.page(slow) is None and len(store.rows(slow)) == 1
    with sqlite3.connect(store.path) as base:  # the other one leaves as well: the first may finish
        base.execute("UPDATE places SET touched = touched - 3601 WHERE evaluator = ?", (other,))
    assert store.page(slow) is not None and store.answer(slow, "p0", "motion", "left")
    assert store.page(other) is None and store.page(third) is None and store.progress() == {"p0": 1}


def test_attention_checks_come_once_and_take_no_place(tmp_path: Path) -> None:
    study = little_study(pairs=3, evaluators=2, checks=1)
    store = AnswerStore(study, tmp_path)
    keys = [store.enter() for _ in range(2)]
    pages = [[p for p in iter(lambda key=key: finish(store, key), None)] for key in keys]
    assert all(sorted(p) == ["c0", "p0", "p1", "p2"] for p in pages)
    assert store.progress() == {"p0": 2, "p1": 2, "p2": 2}


def test_deletion_frees_the_place(tmp_path: Path) -> None:
    store = AnswerStore(little_study(pairs=1, evaluators=1), tmp_path)
    key, other = store.enter(), store.enter()
    finish(store, key)
    assert store.page(other) is None and store.delete(key) == 2
    assert not store.knows(key) and store.rows() == [] and store.page(other) is not None
    with pytest.raises(InputError, match="an answer of nobody"):
        store.answer(key, "p0", "motion", "left")


def test_sides_are_told_apart() -> None:
    pair = little_study().pairs[0]
    assert [chosen_method(pair, flipped, side) for flipped in (False, True) for side in ("left", "right", "junk")] == [
        "A",
        "B",
        None,
        "B",
        "A",
        None,
    ]


def test_what_is_no_answer(tmp_path: Path) -> None:
    store = AnswerStore(little_study(), tmp_path)
    key = store.enter()
    page = store.page(key)
    assert page is not None
    for pair, question, answer in (
        ("p9", "motion", "left"),
        (page.pair.key, "x", "left"),
        (page.pair.key, "motion", "up"),
    ):
        with pytest.raises(InputError):
            store.answer(key, pair, question, answer)
    unseen = next(p.key for p in store.study.pairs if p != page.pair)
    with pytest.raises(PlaceLost):
        store.answer(key, unseen, "motion", "left")
    assert store.rows() == []


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands for the disk."""
    study = little_study(pairs=40, evaluators=50)
    store = AnswerStore(study, tmp_path)
    kept, key = 0, store.enter()
    original = store._open

    import contextlib
    from collections.abc import Iterator

    @contextlib.contextmanager
    def small() -> Iterator[sqlite3.Connection]:
        with original() as base:
            base.execute("PRAGMA max_page_count = 12")
            yield base

    store._open = small
    with pytest.raises(InputError, match="no space left to write .* every answer so far is kept"):
        for _ in range(400):
            if finish(store, key) is None:
                key = store.enter()
                continue
            kept += 2
    assert kept > 0 and len(AnswerStore(study, tmp_path).rows()) in (kept, kept + 1)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    store = AnswerStore(little_study(), tmp_path)
    with sqlite3.connect(store.path) as base:
        base.execute("PRAGMA user_version = 2")
    with pytest.raises(InputError, match="answers.sqlite of version 2; expected at most 1"):
        AnswerStore(little_study(), tmp_path)
    store.path.write_bytes(b"no database at all, but long enough to be one" * 100)
    for extra in ("-wal", "-shm"):
        Path(f"{store.path}{extra}").unlink(missing_ok=True)
    with pytest.raises(InputError, match="is no file of answers"):
        AnswerStore(little_study(), tmp_path)
