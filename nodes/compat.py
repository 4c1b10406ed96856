"""Where host versions differ: every such difference is handled here and nowhere else."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin

from comfy_api.latest import io

from ..fourreal_core.errors import InputError

LATER_SCHEMA_FIELDS = ("search_aliases",)
"""Schema fields that ComfyUI 0.3.64 does not have; it loads the nodes without them."""

SPLAT_SINCE = "0.27"
"""The ComfyUI version from which the host type ``SPLAT`` is certain to exist."""

Splat = getattr(io, "Splat", None) or io.Custom("SPLAT")
"""The host's wire type for splats; on an older host a wire of the same name with nothing behind it."""

AnyInput = TypeVar("AnyInput", bound=io.Input)


def schema(branch: str = "", **declared: Any) -> io.Schema:
    """``io.Schema`` with the fields that this host knows, in a branch of this extension's menu."""
    known = {field.name for field in fields(io.Schema)}
    kept = {name: value for name, value in declared.items() if name in known or name not in LATER_SCHEMA_FIELDS}
    return io.Schema(category="/".join(filter(None, ("4Real", branch))), **kept)


def advanced(declared: AnyInput) -> AnyInput:
    """Marks an input as one that newer front ends fold away; older ones show it as any other."""
    declared.extra_dict = {**(declared.extra_dict or {}), "advanced": True}
    return declared


def hidden(declared: AnyInput) -> AnyInput:
    """Marks an input that the front end keeps and saves, but does not show: something else writes it."""
    declared.extra_dict = {**(declared.extra_dict or {}), "hidden": True}
    return declared


def camera_lists() -> bool:
    """Whether this host's ``LOAD3D_CAMERA`` is a list of cameras; older ones take one."""
    declared = getattr(io.Load3DCamera, "Type", None)
    return any(get_origin(one) is list for one in (declared, *get_args(declared)))


def splat_class() -> type:
    """The host's ``SPLAT`` value class.

    Raises:
        InputError: This host is too old to have it.
    """
    try:
        from comfy_api.latest import Types

        return Types.SPLAT
    except (ImportError, AttributeError):
        raise InputError(
            "a ComfyUI without the SPLAT type",
            f"ComfyUI {SPLAT_SINCE} or newer",
            "update ComfyUI, or keep the scene with 'Save 4D scene'",
        ) from None


def block(reason: str) -> Any:
    """The value of an output that has none this time; nodes behind it stop with ``reason``."""
    try:
        from comfy_execution.graph import ExecutionBlocker
    except ImportError:  # runtimes that execute single nodes have no graph to block
        return None
    return ExecutionBlocker(reason)
