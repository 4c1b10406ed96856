"""Captions of training data: a text file or a JSON beside a clip, a picture or an asset's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError

LIST = "captions.json"
"""One file for a whole folder: ``{"clip.mp4": "a caption", ...}``."""
KEY = "caption"


def caption_of(path: Path) -> str:
    """What a clip, a picture or a folder shows, in words; empty where nobody says.

    Looked for in this order: ``NAME.txt`` (or ``NAME.mp4.txt``) beside it, ``NAME.json`` beside it with a ``caption``,
    ``caption.txt`` inside of a folder, and ``captions.json`` beside it, by file name.

    Raises:
        InputError: A caption's file that can't be read.
    """
    for text in (path.with_suffix(".txt"), path.with_name(path.name + ".txt"), path / "caption.txt"):
        if text.is_file():
            return _clean(_read(text))
    described = path.with_suffix(".json")
    if described.is_file():
        return caption_in(_parsed(described), described)
    listed = path.with_name(LIST)
    if listed.is_file():
        known = _parsed(listed)
        name = next((name for name in (path.name, path.stem) if name in known), None)
        return "" if name is None else caption_in({KEY: known[name]}, listed)
    return ""


def caption_in(described: Mapping[str, Any], where: Path | str) -> str:
    """The ``caption`` of a JSON; empty where it has none.

    Raises:
        InputError: It is no text.
    """
    caption = described.get(KEY, "")
    if not isinstance(caption, str):
        raise InputError(f"the caption {caption!r} in {where}", "a text", "write it in quotes")
    return _clean(caption)


def _clean(caption: str) -> str:
    return " ".join(caption.split())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"the caption {path} can't be read ({err})", "a text in UTF-8", "save it again") from err


def _parsed(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(_read(path))
    except ValueError as err:
        raise InputError(f"{path} is not JSON ({err})", f'{{"{KEY}": "..."}}', "write it again") from err
    if not isinstance(described, dict):
        raise InputError(f"{path} holds a {type(described).__name__}", f'{{"{KEY}": "..."}}', "write it again")
    return described
