"""Optical flow engines: what one is, OpenCV's DIS, and the engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from ..errors import InputError
from ..needed import MissingPackage
from .flow_field import Flow, Gray

LEAST_SIDE_PX = 16
"""Shorter sides leave nothing of DIS's coarsest patches."""


class FlowEngine(Protocol):
    """Anything that measures the flow between two frames."""

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """Flow ``(H, W, 2)`` in pixels from grey frame ``a (H, W)`` to ``b``, started from ``init`` where it can be."""


class DisFlow:
    """Dense inverse search (Kroeger et al. 2016) of OpenCV: fast, no weights, good to about 20 pixels of motion."""

    def __init__(self) -> None:
        from ..needed.opencv import cv2

        # OpenCV's object remembers the last start it was given and uses it again when it is given none
        create = getattr(cv2, "DISOpticalFlow_create", None)  # OpenCV's own stubs lack it, and so do small builds
        if create is None:
            raise MissingPackage(
                f"an OpenCV {cv2.__version__} without DISOpticalFlow",
                "one that has it",
                "install it for this Python: python -m pip install -U opencv-python-headless, or use --flow raft",
            )
        self._free, self._started = (create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) for _ in range(2))
        for dis in (self._free, self._started):
            dis.setFinestScale(0)

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine.

        Raises:
            InputError: Frames smaller than the search's coarsest patches.
        """
        if min(a.shape) < LEAST_SIDE_PX:
            raise InputError(
                f"frames of {a.shape[1]} x {a.shape[0]} pixels",
                f"at least {LEAST_SIDE_PX} x {LEAST_SIDE_PX}",
                "use larger clips",
            )
        flow = self._free.calc(a, b, None) if init is None else self._started.calc(a, b, init.copy())
        return cast(Flow, flow)


def _dis(argument: str, device: str) -> FlowEngine:
    if argument:
        raise InputError(f"the flow dis:{argument}", "'dis' alone", "leave the rest away")
    return DisFlow()


def _raft(argument: str, device: str) -> FlowEngine:
    from .raft import RaftFlow

    return RaftFlow(argument or None, device)


FLOW_ENGINES: dict[str, Callable[[str, str], FlowEngine]] = {"dis": _dis, "raft": _raft}
"""Makers by name; each gets what stands behind the colon and the device."""


def flow_engine(spec: str, device: str = "cpu") -> FlowEngine:
    """The engine that ``dis``, ``raft`` or ``raft:WEIGHTS`` names.

    Raises:
        InputError: An unknown name, or an engine that cannot be had here.
    """
    name, _, argument = spec.partition(":")
    if name not in FLOW_ENGINES:
        raise InputError(f"the flow {spec!r}", f"one of {', '.join(FLOW_ENGINES)}", "for example dis")
    return FLOW_ENGINES[name](argument, device)
