"""The flow engines by name."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError
from .flow_field import DisFlow, FlowEngine


def _dis(argument: str, device: str) -> FlowEngine:
    if argument:
        raise InputError(f"the flow dis:{argument}", "'dis' alone", "leave the rest away")
    return DisFlow()


def _raft(argument: str, device: str) -> FlowEngine:
    from .raft import RaftFlow

    return RaftFlow(argument or None, device)


FLOW_ENGINES: dict[str, Callable[[str, str], FlowEngine]] = {"dis": _dis, "raft": _raft}
"""Makers by name; each gets what stands behind the colon and the device."""


def flow_engine(said: str, device: str = "cpu") -> FlowEngine:
    """The engine that ``dis``, ``raft`` or ``raft:WEIGHTS`` names.

    Raises:
        InputError: An unknown name, or an engine that cannot be had here.
    """
    name, _, argument = said.partition(":")
    if name not in FLOW_ENGINES:
        raise InputError(f"the flow {said!r}", f"one of {', '.join(FLOW_ENGINES)}", "say for example dis")
    return FLOW_ENGINES[name](argument, device)
