"""What each mode of 'Render 4D Scene' looks at; the host's queue is rid of the rest, so that it renders nothing twice.

The host runs a node again when any of its inputs changed. The schema's dynamic inputs would leave out those that a mode
doesn't use, but they carry other names: workflows saved with the plain ones, and programs that queue them, would fail,
and older hosts don't have them. So what a mode doesn't use is set to its default, and not wired, as a prompt comes in.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

NODE = "FourRealRenderScene"
COMPLETE_GRID, CAMERA, PATH = "complete grid", "camera", "camera path"
USED: dict[str, tuple[str, ...]] = {
    COMPLETE_GRID: ("grid", "colors"),
    "bullet time": ("frames",),
    "freeze time": ("frames", "time"),
    "fixed view": ("frames", "view"),
    "orbit": ("frames", "time", "degrees"),
    CAMERA: ("frames", "camera_info"),
    PATH: ("camera_path",),
}
"""Inputs by mode, beside the scene and what every mode uses; ``web/render_inputs.js`` has the same."""

DEFAULTS: dict[str, Any] = {"frames": 48, "time": 0.0, "view": 0.0, "degrees": 10.0, "colors": "source"}
"""Of the inputs that are always there; the others are left away where they aren't used."""


def without_unused(request: dict[str, Any]) -> dict[str, Any]:
    """A request to the host's queue in which every 'Render 4D Scene' has what its mode uses, and defaults else.

    Args:
        request: The body of ``POST /prompt``; changed in place, as the host's handlers do it.
    """
    nodes = request.get("prompt")
    for node in nodes.values() if isinstance(nodes, dict) else ():
        inputs = node.get("inputs") if isinstance(node, dict) and node.get("class_type") == NODE else None
        mode = inputs.get("mode") if isinstance(inputs, dict) else None
        if not isinstance(mode, str) or mode not in USED:  # it comes over a wire, or the host will complain
            continue
        for name in {name for used in USED.values() for name in used} - set(USED[mode]):
            if name in DEFAULTS and name in inputs:
                inputs[name] = DEFAULTS[name]
            else:
                inputs.pop(name, None)
    return request


def watch_queue() -> None:
    """Has the host pass its prompts through ``without_unused``; without a server there is no queue."""
    try:
        from server import PromptServer

        PromptServer.instance.add_on_prompt_handler(without_unused)
    except (ImportError, AttributeError) as err:
        log.debug("prompts are taken as they come: %s", err)
