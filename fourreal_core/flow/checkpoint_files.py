"""Weights that other projects publish: safetensors, or PyTorch's own format where torch can read that safely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import InputError

SAFE_SINCE = (2, 6)
"""Before this release a prepared file could run code although only weights were asked for (CVE-2025-32434)."""


def read_weights(path: Path, torch_version: str | None = None) -> dict[str, Any]:
    """What a weights file holds, on the CPU; nothing in it is run.

    This project writes safetensors alone; RAFT's and DELTA's authors publish ``.pth``.

    Args:
        path: A ``.safetensors`` file, or any other name for PyTorch's format.
        torch_version: The installed release when None.

    Raises:
        InputError: PyTorch's format under a torch that can't read it safely.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    release = tuple(int(x) for x in (torch_version or torch.__version__).split(".")[:2])
    if release < SAFE_SINCE:
        raise InputError(
            f"{path.name} under torch {release[0]}.{release[1]}",
            "a .safetensors file, or torch 2.6",
            "update torch, or convert the file on a machine that has it",
        )
    weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
