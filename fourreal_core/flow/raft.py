"""RAFT (Teed and Deng 2020) as torchvision ships it, where its weights are on disk."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InputError
from .checkpoint_files import read_weights
from .flow_field import Flow, Gray

if TYPE_CHECKING:
    from torch import nn

_PARTS = ("feature_encoder", "context_encoder", "update_block")

UPDATES = 12
"""Refinements a pair."""
_STRIDE, _LEAST_SIDE = 8, 128  # coarsest level of its correlation pyramid: 128 pixels at least


class RaftFlow:
    """RAFT as a flow engine; it sees the luma, and starts every pair from nothing.

    Args:
        weights: A file of torchvision's weights, ``.pth`` or ``.safetensors``; the ones that torchvision itself has
            downloaded before when None.
        device: Where it runs.

    Raises:
        InputError: No torchvision that works here, no weights on disk, or weights of something else.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, device: str = "cpu") -> None:
        self.device = device
        self._model = _load(Path(weights) if weights is not None else find_weights()).to(device)

    @classmethod
    def of_module(cls, model: nn.Module, device: str = "cpu") -> RaftFlow:
        """The engine of a network that somebody else has loaded; a copy of it is kept.

        Args:
            model: torchvision's RAFT, large or small.
            device: Where it runs.

        Raises:
            InputError: Another network.
        """
        if not all(hasattr(model, part) for part in _PARTS):
            raise InputError(
                f"an optical flow model of type {type(model).__name__}",
                "torchvision's RAFT",
                "load raft_large or _small",
            )
        engine = cls.__new__(cls)
        engine.device = device
        with torch.inference_mode(False):
            engine._model = copy.deepcopy(model).to(device, torch.float32).eval().requires_grad_(False)
        return engine

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine; ``init`` is not used."""
        h, w = a.shape
        pair = [self._prepared(x) for x in (a, b)]
        with torch.inference_mode():
            flow = self._model(*pair, num_flow_updates=UPDATES)[-1]
        measured: Flow = flow[0, :, :h, :w].permute(1, 2, 0).float().cpu().numpy().copy()
        return measured

    def _prepared(self, gray: Gray) -> Tensor:
        h, w = gray.shape
        bottom, right = (max(_LEAST_SIDE, -(-side // _STRIDE) * _STRIDE) - side for side in (h, w))
        x = torch.from_numpy(gray).float()[None, None] / 127.5 - 1
        x = torch.nn.functional.pad(x, (0, right, 0, bottom), mode="replicate")
        return x.expand(-1, 3, -1, -1).to(self.device)


def find_weights() -> Path:
    """The best of torchvision's RAFT weights that lie in torch's folder of downloads.

    Raises:
        InputError: None is there.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for pattern in ("raft_large_C_T_SKHT_V2*.pth", "raft_large_*.pth", "raft_small_*.pth"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[-1]
    raise InputError(
        f"no RAFT weights in {folder}",
        "raft_large_*.pth or raft_small_*.pth of torchvision there",
        "name a file of them, or use the built-in flow 'dis'",
    )


def _load(path: Path) -> nn.Module:
    try:
        from torchvision.models import optical_flow
    except (ImportError, RuntimeError, OSError) as err:  # torchvision may be built for another torch
        why = (str(err).splitlines() or [""])[0].rstrip(".")
        raise InputError(
            f"no torchvision that works here ({why})",
            "it, for RAFT",
            "install the one that belongs to this torch, or use the built-in flow 'dis'",
        ) from err
    if not path.is_file():
        raise InputError(f"no file {path}", "RAFT weights of torchvision", "check the name")
    try:
        state = read_weights(path)
        small = state["feature_encoder.convnormrelu.0.weight"].shape[0] == 32
        model: nn.Module = (optical_flow.raft_small if small else optical_flow.raft_large)(weights=None)
        model.load_state_dict(state)
    except InputError:
        raise
    except Exception as err:  # whatever a file of another kind fails with
        why = (str(err).splitlines() or [type(err).__name__])[0].rstrip(".")
        raise InputError(
            f"{path.name} holds no RAFT weights ({why})",
            "those of torchvision's RAFT, large or small",
            "choose another file",
        ) from err
    return model.eval()
