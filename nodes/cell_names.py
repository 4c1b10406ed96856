"""Grid cells as a user writes them: ``v3_t5, v7_t2``."""

from __future__ import annotations

import re

from ..fourreal_core.errors import InputError

_CELL = re.compile(r"v(\d+)_t(\d+)", re.IGNORECASE)


def parse_cells(text: str) -> list[tuple[int, int]]:
    """Cells ``(view, time)`` in the order in which they are named, separated by commas, spaces or new lines.

    Raises:
        InputError: A name that is no cell, or one named twice.
    """
    cells: list[tuple[int, int]] = []
    for word in re.split(r"[\s,;]+", text.strip()):
        match = _CELL.fullmatch(word)
        if word and match is None:
            raise InputError(
                f"the cell name {word!r}", "names such as v3_t5 (view 3, time 5)", "write v, the view, _t and the time"
            )
        if match is not None:
            cells.append((int(match[1]), int(match[2])))
    if len(set(cells)) != len(cells):
        raise InputError(
            f"{len(cells)} cell names of which {len(set(cells))} differ", "every cell once", "remove the repeated names"
        )
    return cells
