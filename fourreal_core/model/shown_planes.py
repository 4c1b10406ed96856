"""What a model is shown of a cell beside its noisy latents: planes by name, as its spec lists them.

The model knows nothing of how planes are made. It reads from their names what it needs: which are candidates that its
chooser weighs, which maps hold their errors, and which are seen by the rest of the network. ``map(a,b,c)`` is a map
with a value a channel; a candidate has a ``/`` in its name, ``SOURCE/KIND``; its error is the channel
``SOURCE/KIND.error`` and the forward-backward error of its source's flow the channel ``SOURCE.return_error``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..errors import InputError

_MAP, _CANDIDATE = "map(", "/"
CHOICE = "choice"
"""What a chooser makes of the candidates."""
CHOICE_MAP = "map(choice.spread,choice.from_view,choice.blend)"
"""How sure the choice is: how far what it blends lies apart, the share of the first source, and of the first plane."""

_OLD_CHOICE = (
    *("inverted_direct", "inverted_started", "inverted_chained", "static", "back_unaligned"),
    *("subject_near", "subject_far", "subject_affine", "ground"),
)
_OLD_VERIFIED = ("blend", "from_view", "from_time")
_OLD_RELIABILITY = "map(from_view.error,from_time.error,return_error)"


def _old_candidates() -> tuple[str, ...]:
    clips = ("from_view", "from_time")
    pictures = [f"{clip}/{kind}" for clip in clips for kind in (*_OLD_CHOICE, "revealed")]
    channels = [x for clip in clips for x in (*(f"{clip}/{k}.error" for k in _OLD_CHOICE), f"{clip}.return_error")]
    maps = [f"map({','.join(channels[k : k + 3])})" for k in range(0, len(channels), 3)]
    return (*_OLD_VERIFIED, *pictures, _OLD_RELIABILITY, *maps)


PLANES_BY_COUNT = {
    0: (),
    1: ("from_view/inverted_best",),
    2: ("from_view/inverted_best", "from_time/flow_back"),
    3: _OLD_VERIFIED,
    4: (*_OLD_VERIFIED, _OLD_RELIABILITY),
    31: _old_candidates(),
}
"""What a number of proposals meant in files of version 1, which named none."""


def with_choice(names: tuple[str, ...]) -> tuple[str, ...]:
    """The planes of a network that sees a choice, all that it was made from, and how sure it is."""
    return (CHOICE, *names, CHOICE_MAP)


@dataclass(frozen=True)
class ShownPlanes:
    """The planes of a model's spec, read by name.

    Attributes:
        names: In the order of the channels.
    """

    names: tuple[str, ...]

    @cached_property
    def candidates(self) -> tuple[int, ...]:
        """Which planes are candidates to choose from."""
        return tuple(k for k, name in enumerate(self.names) if _CANDIDATE in name and not name.startswith(_MAP))

    @cached_property
    def beside_candidates(self) -> tuple[int, ...]:
        """Which planes are neither candidates nor maps of their errors: what a model with a chooser sees past that."""
        return tuple(k for k, name in enumerate(self.names) if _CANDIDATE not in name)

    @cached_property
    def pictures(self) -> tuple[int, ...]:
        """Which planes are pictures and no maps."""
        return tuple(k for k, name in enumerate(self.names) if not name.startswith(_MAP))

    @property
    def names_beside(self) -> tuple[str, ...]:
        """Names of ``beside_candidates``."""
        return tuple(self.names[k] for k in self.beside_candidates)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The known cells that candidates are read from."""
        return tuple(dict.fromkeys(self.names[k].partition(_CANDIDATE)[0] for k in self.candidates))

    @cached_property
    def channels(self) -> dict[str, tuple[int, int]]:
        """Plane and channel of every value that maps hold."""
        found: dict[str, tuple[int, int]] = {}
        for k, name in enumerate(self.names):
            if name.startswith(_MAP):
                found |= {c: (k, i) for i, c in enumerate(name.removeprefix(_MAP).removesuffix(")").split(","))}
        return found

    def source_of(self, candidate: int) -> int:
        """Which of ``sources`` a candidate, counted among the candidates, is read from."""
        return self.sources.index(self.names[self.candidates[candidate]].partition(_CANDIDATE)[0])

    def error_channel(self, candidate: int) -> tuple[int, int] | None:
        """Plane and channel of a candidate's error; None for one whose error isn't kept."""
        return self.channels.get(f"{self.names[self.candidates[candidate]]}.error")

    def return_channels(self) -> list[tuple[int, int]]:
        """Plane and channel of every source's forward-backward error.

        Raises:
            InputError: There is none for a source.
        """
        wanted = [f"{source}.return_error" for source in self.sources]
        missing = [name for name in wanted if name not in self.channels]
        if missing:
            raise InputError(
                f"candidates without {', '.join(missing)}", "a map that holds it", "show the whole set of candidates"
            )
        return [self.channels[name] for name in wanted]
