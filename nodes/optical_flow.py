"""The host's optical flow models as flow engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .devices import compute_device

if TYPE_CHECKING:
    from ..fourreal_core.flow.engines import FlowEngine

OpticalFlowWire = io.Custom("OPTICAL_FLOW")
"""What the host's *Load Optical Flow Model* gives: its patcher around torchvision's RAFT; older hosts have none."""


def flow_engine_of(optical_flow: Any, *inputs: Any) -> FlowEngine:
    """The engine of a loaded optical flow model.

    The host may move its own copy of the weights away between two nodes, so the engine keeps one (20 MB).

    Args:
        optical_flow: The host's patcher, or the network itself.
        inputs: What will be measured.

    Raises:
        InputError: A network that is not torchvision's RAFT.
    """
    from ..fourreal_core.flow.raft import RaftFlow

    return RaftFlow.of_module(getattr(optical_flow, "model", optical_flow), str(compute_device(*inputs)))
