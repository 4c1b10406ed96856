"""Where a clip's bytes are: a file of any name, or bytes in memory; and by its first bytes, what kind of file it is."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from .images import IMAGE_SUFFIXES, check_readable

_ANIMATIONS = frozenset({".gif", ".apng"})
_CONTAINERS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "), (0, b"\x00\x00\x01\xba"))
_PICTURES = ((0, b"GIF87a"), (0, b"GIF89a"), (0, b"\x89PNG\r\n\x1a\n"), (8, b"WEBP"))


@dataclass(frozen=True)
class ClipSource:
    """A clip in a file or in memory.

    Attributes:
        name: What to call it in a sentence.
        path: The file; None where the bytes are in memory.
        data: The bytes; None where there is a file.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, clip: Path | str | io.BytesIO, name: str | None = None) -> ClipSource:
        """A path or a stream of bytes as a source; the stream's own position is left as it is.

        Raises:
            InputError: Missing, not a file, or without a byte.
        """
        if isinstance(clip, io.BytesIO):
            data = clip.getvalue()
            if not data:
                raise InputError(f"{name or 'the clip'} has 0 bytes", "a complete file", "load it again")
            return cls(name or "the clip", data=data)
        check_readable(Path(clip))
        return cls(name or str(clip), path=Path(clip))

    def open(self) -> BinaryIO:
        """The bytes, from their start."""
        return io.BytesIO(self.data or b"") if self.path is None else self.path.open("rb")

    def for_av(self) -> str | io.BytesIO:
        """What PyAV opens: never a bare name, of which FFmpeg would take ``2024-05-01T10:20`` for a protocol."""
        return io.BytesIO(self.data or b"") if self.path is None else f"file:{os.path.abspath(self.path)}"

    def is_picture(self) -> bool:
        """Whether it is a picture or an animated one, by its first bytes, or by its ending where they tell nothing."""
        with self.open() as file:
            start = file.read(16)
        if any(start[at : at + len(sign)] == sign for at, sign in _CONTAINERS):
            return False
        if any(start[at : at + len(sign)] == sign for at, sign in _PICTURES):
            return True
        return self.path is not None and self.path.suffix.lower() in IMAGE_SUFFIXES | _ANIMATIONS
