"""Names of the planes that a network may be shown of a cell; its spec lists them, in the order of its channels.

A plane has three channels. A picture is named by what made it: ``blend``; ``from_view``, the view's known frame moved
in time; ``from_time``, the known frame of that time seen from the view; and their candidates, such as
``from_view/inverted_direct``. A map holds a value a channel and lists what they are: ``map(a.error,b.error)``.
"""

from __future__ import annotations

from ..errors import InputError
from .flow_candidates import INVERTED, STATIC, UNALIGNED
from .motion_layers import LAYER_KINDS

BLEND, FROM_VIEW, FROM_TIME = "blend", "from_view", "from_time"
CLIPS = (FROM_VIEW, FROM_TIME)
"""Where colours come from: the freeze-time clip's frame of a cell's view, the fixed-view clip's frame of its time."""
REVEALED = "revealed"
"""The candidate that shows what the reference shows now, in the light of the source: what is disoccluded."""
FLOW_BACK = "flow_back"
"""The reference's flow back, unaligned, as the one candidate of an unverified proposal."""
CHOICE_KINDS = (*INVERTED[1:], STATIC, UNALIGNED, *LAYER_KINDS, REVEALED)
"""Candidates of a clip among which a network chooses. The best way of measuring is one of the others in every pixel,
and the flows back add next to nothing to these."""
ERROR, RETURN_ERROR = "error", "return_error"
CHOICE = "choice"
"""What a trained network chose among the candidates, see model.chooser; flow alone doesn't make it."""
CHOICE_MAP = "map(choice.spread,choice.from_view,choice.blend)"
"""How sure that choice is."""
_MAP = "map("


def map_name(channels: list[str]) -> str:
    """The name of a map of at most three channels."""
    return f"{_MAP}{','.join(channels)})"


def map_channels(name: str) -> list[str]:
    """What the channels of a map hold; empty for a picture."""
    return name.removeprefix(_MAP).removesuffix(")").split(",") if is_map(name) else []


def is_map(name: str) -> bool:
    """Whether a plane is a map and no picture: it isn't recoloured, and is 0 in known cells."""
    return name.startswith(_MAP)


def is_candidate(name: str) -> bool:
    """Whether a plane is one of the candidates of a clip."""
    return "/" in name and not is_map(name)


def _error_maps() -> tuple[str, ...]:
    channels = []
    for clip in CLIPS:
        channels += [f"{clip}/{kind}.{ERROR}" for kind in CHOICE_KINDS if kind != REVEALED]
        channels.append(f"{clip}.{RETURN_ERROR}")
    return tuple(map_name(channels[k : k + 3]) for k in range(0, len(channels), 3))


RELIABILITY = map_name([f"{FROM_VIEW}.{ERROR}", f"{FROM_TIME}.{ERROR}", RETURN_ERROR])
"""How far both verified pictures can be trusted."""
PLANE_SETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flow": (f"{FROM_VIEW}/{INVERTED[0]}", f"{FROM_TIME}/{FLOW_BACK}"),
    "verified": (BLEND, FROM_VIEW, FROM_TIME),
    "reliability": (BLEND, FROM_VIEW, FROM_TIME, RELIABILITY),
    "candidates": (
        *(BLEND, FROM_VIEW, FROM_TIME),
        *(f"{clip}/{kind}" for clip in CLIPS for kind in CHOICE_KINDS),
        RELIABILITY,
        *_error_maps(),
    ),
}
PLANE_SETS["chosen"] = (CHOICE, *PLANE_SETS["candidates"], CHOICE_MAP)
"""Sets that configurations name. ``flow``: each clip's answer, unverified. ``verified``: the same with every candidate
verified in the other clip, and their blend. ``reliability``: with a map of their errors. ``candidates``: with all that
was chosen among, for a network that chooses for itself. ``chosen``: the same behind what such a network chose."""

KNOWN_PLANES = frozenset(name for planes in PLANE_SETS.values() for name in planes) - {CHOICE, CHOICE_MAP}
"""Every plane that flow makes."""


def set_name(names: tuple[str, ...]) -> str | None:
    """The name of a set of planes; None for one that has none."""
    return next((name for name, planes in PLANE_SETS.items() if planes == tuple(names)), None)


def planes_named(name: str) -> tuple[str, ...]:
    """The planes of a set.

    Raises:
        InputError: There is no such set.
    """
    if name not in PLANE_SETS:
        raise InputError(f"proposals {name!r}", "one of " + ", ".join(PLANE_SETS), "choose one of them")
    return PLANE_SETS[name]
