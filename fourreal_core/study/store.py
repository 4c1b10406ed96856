"""Answers in SQLite: who was shown what, and what they chose. Nothing here knows names, only random keys.

Every answer is its own transaction, in WAL mode and synced, so that what was acknowledged is there after a crash.
Places are given out in immediate transactions, one at a time, whoever asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .questions import ANSWERS, LEFT, RIGHT
from .study_file import ANSWER_FILE, Pair, Study

SCHEMA_VERSION = 1
_BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE evaluators (key TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
    evaluator TEXT NOT NULL REFERENCES evaluators(key) ON DELETE CASCADE,
    pair TEXT NOT NULL,
    number INTEGER NOT NULL,
    flipped INTEGER NOT NULL,
    touched REAL NOT NULL,
    finished REAL,
    PRIMARY KEY (evaluator, pair)
) WITHOUT ROWID;
CREATE INDEX places_of_pair ON places(pair);
CREATE TABLE answers (
    evaluator TEXT NOT NULL,
    pair TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ('left', 'right', 'junk')),
    at REAL NOT NULL,
    PRIMARY KEY (evaluator, pair, question),
    FOREIGN KEY (evaluator, pair) REFERENCES places(evaluator, pair) ON DELETE CASCADE
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Page:
    """What an evaluator is shown.

    Attributes:
        pair: The pair.
        flipped: Its second video is on the left.
        number: How many pages the evaluator has finished, this one not among them.
        answers: Given so far, by question.
    """

    pair: Pair
    flipped: bool
    number: int
    answers: dict[str, str]


class PlaceLost(Exception):
    """The page was left for so long that its place went to somebody else."""


class AnswerStore:
    """The answers of a study.

    Args:
        study: The study.
        folder: Where it lies; the answers lie beside it.

    Raises:
        InputError: A file that isn't one of answers, one of a newer version, or no room or right to write.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.path = study, folder / ANSWER_FILE
        self._turn = threading.Lock()  # writers of this process wait in line; those of others by SQLite's own lock
        with self._open() as base, self._at_once(base):
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise InputError(
                    f"{self.path} of version {version}", f"at most {SCHEMA_VERSION}", "update this package"
                )
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        base.execute(statement)
                base.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def enter(self) -> str:
        """The random key of a new evaluator."""
        key = secrets.token_urlsafe(12)
        with self._open() as base, self._at_once(base):
            base.execute("INSERT INTO evaluators VALUES (?, ?)", (key, time.time()))
        return key

    def knows(self, key: str) -> bool:
        """Whether an evaluator of this key is there."""
        with self._open() as base:
            return base.execute("SELECT 1 FROM evaluators WHERE key = ?", (key,)).fetchone() is not None

    def page(self, key: str) -> Page | None:
        """The page that an evaluator left unfinished, or else a new one; None when there is none left for them.

        A new page is of the pair with the fewest evaluators so far that this one hasn't seen; attention checks come
        where the seed puts them, and take nobody's place.
        """
        with self._open() as base, self._at_once(base):
            found = base.execute(
                "SELECT pair, flipped FROM places WHERE evaluator = ? AND finished IS NULL ORDER BY number", (key,)
            ).fetchall()
            number = base.execute(
                "SELECT COUNT(*) FROM places WHERE evaluator = ? AND finished IS NOT NULL", (key,)
            ).fetchone()[0]
            known = {pair.key for pair in self.study.pairs}
            open_pages = [(p, flipped) for p, flipped in found if p in known and self._has_room(base, p, key)]
            if open_pages:
                pair, flipped = open_pages[0]
                base.execute("UPDATE places SET touched = ? WHERE evaluator = ? AND pair = ?", (time.time(), key, pair))
            else:
                chosen = self._choose(base, key)
                if chosen is None:
                    return None
                pair, flipped = chosen
                base.execute(
                    "INSERT INTO places VALUES (?, ?, ?, ?, ?, NULL)", (key, pair, number, int(flipped), time.time())
                )
            answers = dict(
                base.execute("SELECT question, answer FROM answers WHERE evaluator = ? AND pair = ?", (key, pair))
            )
        return Page(self.study.pair(pair), bool(flipped), number, answers)

    def flipped(self, key: str, pair: str) -> bool | None:
        """Whether a pair's sides are exchanged for an evaluator; None where they don't have it."""
        with self._open() as base:
            found = base.execute("SELECT flipped FROM places WHERE evaluator = ? AND pair = ?", (key, pair)).fetchone()
        return None if found is None or all(p.key != pair for p in self.study.pairs) else bool(found[0])

    def answer(self, key: str, pair: str, question: str, answer: str) -> bool:
        """Writes one answer; the same one again changes nothing, and until the page is finished it may be changed.

        Returns:
            Whether the page is finished with it.

        Raises:
            InputError: A question or answer that isn't one, or a page that this evaluator doesn't have.
            PlaceLost: The place was given to somebody else.
        """
        wanted = {q.key for q in self.study.questions_of(self._pair(pair))}
        if question not in wanted or answer not in ANSWERS:
            raise InputError(f"the answer {answer!r} to {question!r}", f"{', '.join(ANSWERS)}", "reload the page")
        with self._open() as base, self._at_once(base):
            place = base.execute("SELECT finished FROM places WHERE evaluator = ? AND pair = ?", (key, pair)).fetchone()
            if place is None:
                if base.execute("SELECT 1 FROM evaluators WHERE key = ?", (key,)).fetchone() is None:
                    raise InputError("an answer of nobody", "an evaluator of this study", "start anew")
                raise PlaceLost
            if place[0] is not None:
                return True
            if not self._has_room(base, pair, key):
                raise PlaceLost
            base.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT (evaluator, pair, question) "
                "DO UPDATE SET answer = excluded.answer, at = excluded.at",
                (key, pair, question, answer, time.time()),
            )
            given = {
                row[0]
                for row in base.execute("SELECT question FROM answers WHERE evaluator = ? AND pair = ?", (key, pair))
            }
            done = wanted <= given
            base.execute(
                "UPDATE places SET touched = ?, finished = ? WHERE evaluator = ? AND pair = ?",
                (time.time(), time.time() if done else None, key, pair),
            )
        return done

    def delete(self, key: str) -> int:
        """Removes an evaluator with all answers, and says how many those were; their places are free again."""
        with self._open() as base, self._at_once(base):
            count: int = base.execute("SELECT COUNT(*) FROM answers WHERE evaluator = ?", (key,)).fetchone()[0]
            base.execute("DELETE FROM evaluators WHERE key = ?", (key,))
        return count

    def rows(self, key: str | None = None) -> list[dict[str, str | float | bool]]:
        """All answers, or one evaluator's, in the order they were given; sides are those that were seen."""
        with self._open() as base:
            found = base.execute(
                "SELECT a.evaluator, a.pair, a.question, a.answer, a.at, p.flipped, p.finished IS NOT NULL, p.touched "
                "FROM answers a JOIN places p USING (evaluator, pair) "
                "WHERE ?1 IS NULL OR a.evaluator = ?1 ORDER BY a.at",
                (key,),
            ).fetchall()
        names = ("evaluator", "pair", "question", "answer", "at", "flipped", "finished")
        return [
            {**dict(zip(names, row, strict=False)), "flipped": bool(row[5]), "finished": bool(row[6])} for row in found
        ]

    def progress(self) -> dict[str, int]:
        """Evaluators who finished each pair."""
        with self._open() as base:
            found = dict(base.execute("SELECT pair, COUNT(*) FROM places WHERE finished IS NOT NULL GROUP BY pair"))
        return {pair.key: found.get(pair.key, 0) for pair in self.study.pairs if not pair.check}

    def _choose(self, base: sqlite3.Connection, key: str) -> tuple[str, bool] | None:
        """A pair with a free place for an evaluator, and whether its sides are exchanged."""
        seen = {row[0] for row in base.execute("SELECT pair FROM places WHERE evaluator = ?", (key,))}
        taken = self._taken(base)
        checks = [pair for pair in self.study.pairs if pair.check and pair.key not in seen]
        free = [
            pair
            for pair in self.study.pairs
            if not pair.check and pair.key not in seen and taken.get(pair.key, 0) < self.study.evaluators_a_pair
        ]
        if not free:
            return None
        if checks and _number(self.study.seed, key, len(seen)) % len(free) < len(checks):
            chosen = min(checks, key=lambda pair: _number(self.study.seed, key, pair.key))
        else:
            chosen = min(free, key=lambda pair: (taken.get(pair.key, 0), _number(self.study.seed, key, pair.key)))
        sides = dict(
            base.execute("SELECT flipped, COUNT(*) FROM places WHERE pair = ? GROUP BY flipped", (chosen.key,))
        )
        kept, exchanged = sides.get(0, 0), sides.get(1, 0)
        flipped = exchanged < kept if exchanged != kept else bool(_number(self.study.seed, chosen.key, kept) % 2)
        return chosen.key, flipped

    def _taken(self, base: sqlite3.Connection, but: str = "") -> dict[str, int]:
        """Places by pair that are finished, or open and not left for too long; those of one evaluator don't count.

        A page that was left keeps its answers. Its place is free for others, and its evaluator's again while it is.
        """
        left = time.time() - 60 * self.study.reserve_minutes
        query = (
            "SELECT pair, COUNT(*) FROM places "
            "WHERE (finished IS NOT NULL OR touched >= ?) AND evaluator != ? GROUP BY pair"
        )
        return dict(base.execute(query, (left, but)))

    def _has_room(self, base: sqlite3.Connection, pair: str, key: str) -> bool:
        if self._pair(pair).check:
            return True
        return self._taken(base, key).get(pair, 0) < self.study.evaluators_a_pair

    def _pair(self, key: str) -> Pair:
        for pair in self.study.pairs:
            if pair.key == key:
                return pair
        raise InputError(f"the pair {key!r}", "one of this study", "reload the page")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, closed at the end; SQLite's errors become sentences."""
        try:
            base = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        except sqlite3.Error as err:
            raise _refused(self.path, err) from err
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")
            base.execute("PRAGMA foreign_keys = ON")
            yield base
        except sqlite3.Error as err:
            raise _refused(self.path, err) from err
        finally:
            base.close()

    @contextlib.contextmanager
    def _at_once(self, base: sqlite3.Connection) -> Iterator[None]:
        """One writing transaction, begun at once so that nobody else writes between its reads and its writes."""
        with self._turn:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:  # a full disk may have rolled it back already
                    base.execute("ROLLBACK")
                raise


def chosen_method(pair: Pair, flipped: bool, answer: str) -> str | None:
    """The method that an answer prefers; None for junk."""
    if answer not in (LEFT, RIGHT):
        return None
    return pair.first if (answer == LEFT) != flipped else pair.second


def _number(*parts: object) -> int:
    """A number that looks random and is the same for the same parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


def _refused(path: Path, err: sqlite3.Error) -> InputError:
    text = str(err)
    if "full" in text or "disk I/O" in text:
        return InputError(
            f"no space left to write {path}", "room for the answers", "free some space; every answer so far is kept"
        )
    if "not a database" in text or "malformed" in text:
        return InputError(f"{path} is no file of answers ({text})", "the one this study wrote", "move it away")
    return InputError(f"{path} can't be used ({text})", "a folder that this user may write to", "check the folder")
