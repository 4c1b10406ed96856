"""What a study is: its pairs of videos, its questions and rules, in ``study.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..media import write_bytes
from .questions import INSTRUCTIONS, QUESTIONS, Question

STUDY_FILE, VIDEO_FOLDER, ANSWER_FILE = "study.json", "videos", "answers.sqlite"
FILE_VERSION = 1


@dataclass(frozen=True)
class Pair:
    """Two videos of one scene that are compared.

    Attributes:
        key: Its name in files; says nothing of methods.
        scene: Of which scene.
        first: One method.
        second: The other.
        first_video: File name of the first method's video, at random.
        second_video: Of the second's.
        text: Description that is shown, or empty.
        check: This is an attention check: the first video is plainly better in ``check_questions``.
    """

    key: str
    scene: str
    first: str
    second: str
    first_video: str
    second_video: str
    text: str = ""
    check: bool = False


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        title: Shown above the pages.
        pairs: In the order they were made.
        questions: Asked of every pair.
        instructions: Shown before the first page.
        evaluators_a_pair: Different evaluators that every pair gets.
        seed: Of sides and orders.
        reserve_minutes: How long a page that was opened but not answered keeps its place.
    """

    title: str
    pairs: tuple[Pair, ...]
    questions: tuple[Question, ...] = QUESTIONS
    instructions: str = INSTRUCTIONS
    evaluators_a_pair: int = 10
    seed: int = 0
    reserve_minutes: float = 60.0

    def __post_init__(self) -> None:
        keys, names = [pair.key for pair in self.pairs], [q.key for q in self.questions]
        if len(set(keys)) != len(keys) or len(set(names)) != len(names) or not self.questions:
            raise InputError(
                f"{len(keys)} pairs and {len(names)} questions with equal names or none",
                "names of their own",
                "make it anew",
            )
        if not any(not pair.check for pair in self.pairs):
            raise InputError("a study without a pair", "at least two methods of one scene", "give more videos")
        if self.evaluators_a_pair < 1 or not self.reserve_minutes > 0:
            raise InputError(
                f"{self.evaluators_a_pair} evaluators a pair, pages kept {self.reserve_minutes} minutes",
                "at least 1, and more than 0",
                "leave them at their defaults",
            )

    def pair(self, key: str) -> Pair:
        """The pair of a key."""
        return next(pair for pair in self.pairs if pair.key == key)

    def questions_of(self, pair: Pair) -> list[Question]:
        """What is asked of a pair; the question about the description only where there is one."""
        return [q for q in self.questions if pair.text or not q.needs_text]

    @property
    def methods(self) -> list[str]:
        """In the order they appear."""
        return list(dict.fromkeys(m for pair in self.pairs if not pair.check for m in (pair.first, pair.second)))


def write_study(study: Study, folder: Path) -> Path:
    """Writes ``study.json``."""
    found = {"version": FILE_VERSION, **asdict(study)}
    return write_bytes(folder / STUDY_FILE, json.dumps(found, indent=1, ensure_ascii=False).encode())


def read_study(folder: Path) -> Study:
    """Reads a study's folder, and looks that all its videos are there.

    Raises:
        InputError: No study there, one of a newer version, one that was changed by hand into nonsense, or a video that
            is missing.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise InputError(f"no {STUDY_FILE} in {folder}", "a folder that `fourreal study make` wrote", "check the path")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(found.pop("version"))
        if version > FILE_VERSION:
            raise InputError(
                f"{path} of version {version}", f"at most {FILE_VERSION}", "update this package, or make the study anew"
            )
        found["pairs"] = tuple(Pair(**pair) for pair in found["pairs"])
        found["questions"] = tuple(Question(**question) for question in found["questions"])
        study = Study(**found)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise InputError(f"{path} is no study ({err})", "the file as it was written", "make the study anew") from err
    missing = [
        name
        for pair in study.pairs
        for name in (pair.first_video, pair.second_video)
        if not (folder / VIDEO_FOLDER / name).is_file()
    ]
    if missing:
        raise InputError(
            f"{folder} without {len(missing)} of its videos, {missing[0]} among them",
            f"all of them in {VIDEO_FOLDER}",
            "copy the whole folder, or make the study anew",
        )
    return study
