"""The seven questions of the paper's user study (supplement, section 4), in its sense."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

LEFT, RIGHT, JUNK = "left", "right", "junk"
ANSWERS = (LEFT, RIGHT, JUNK)
"""``junk``: no significant difference."""


@dataclass(frozen=True)
class Question:
    """One question of a page.

    Attributes:
        key: Short name, in tables and files.
        text: What is asked.
        hint: What to look at.
        needs_text: Asked only where the pair has a description.
    """

    key: str
    text: str
    hint: str
    needs_text: bool = False

    def __post_init__(self) -> None:
        if not self.key.replace("_", "").isalnum() or not self.text.strip():
            raise InputError(
                f"a question {self.key!r} with the text {self.text!r}",
                "a key of letters and digits, and a text",
                "name the question",
            )


_SHOWN = (
    "Each shows several consecutive views of the same moving object, one after the other. Please answer every question "
    "as thoughtfully as you can. Where you see no significant difference, choose that."
)
INSTRUCTIONS = f"You see a description of a scene and two videos that were made of it. {_SHOWN}"
INSTRUCTIONS_WITHOUT_TEXT = f"You see two videos of a scene. {_SHOWN}"
"""Of a study in which no pair has a description."""

QUESTIONS = (
    Question(
        "motion",
        "Which video has more realistic motion?",
        "Consider how far, how smoothly and how consistently things move. Look out for deformed limbs of people and "
        "animals, and for unnatural deformation.",
    ),
    Question("foreground", "Which video has the better foreground?", "The quality of the main object's picture."),
    Question("background", "Which video has the better background?", "The quality of all around it."),
    Question(
        "shape",
        "In which video is the shape of the main object better and more realistic?",
        "The most natural shape; again, look out for deformed limbs and unnatural deformation.",
    ),
    Question("quality", "Which video looks better in general?", "Your overall impression."),
    Question(
        "dynamic",
        "Which video is more dynamic?",
        "The one with more motion of the object itself. The views play one after the other, so leave the movement of "
        "the camera out, and limbs that deform at random.",
    ),
    Question(
        "text",
        "Which video follows the description better?",
        "The one that shows everything that the description names.",
        needs_text=True,
    ),
)
