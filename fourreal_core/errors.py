"""The one shape in which bad input is reported: what was got, what was expected, what to do."""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class InputError(ValueError):
    """Input that cannot be used; its message is one sentence a person can act on.

    The command line prints it and exits with status 2; a node shows it in the host's error box.

    Args:
        got: What was found, with its numbers ("the clip has 1 frame").
        expected: What is needed ("at least 2").
        remedy: What the user can do about it ("choose a longer clip").
    """

    def __init__(self, got: str, expected: str, remedy: str) -> None:
        super().__init__(f"{got}; expected {expected}; {remedy}.")
        self.got, self.expected, self.remedy = got, expected, remedy

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return InputError, (self.got, self.expected, self.remedy)  # crosses to other processes whole


def one_line(error: BaseException) -> str:
    """An error's type and the first line of what it says, without a terminal's colours."""
    lines = _COLOURS.sub("", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
