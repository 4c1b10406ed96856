"""Reads isotropic splats back from a ``.ply`` file, to check what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fourreal_core.scene.gaussians import Splats


def read_ply(path: Path) -> Splats:
    """Splats of a binary little-endian file whose properties are all float32."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in head.decode("ascii").splitlines()]
    assert lines[0] == ["ply"] and lines[1] == ["format", "binary_little_endian", "1.0"]
    count = next(int(line[2]) for line in lines if line[:2] == ["element", "vertex"])
    names = [line[2] for line in lines if line[:2] == ["property", "float"]]
    data = torch.from_numpy(np.frombuffer(body, "<f4").reshape(count, len(names)).copy())
    column = dict(zip(names, data.unbind(1), strict=True))
    for k in (1, 2):
        assert torch.equal(column[f"scale_{k}"], column["scale_0"])
    colors = torch.stack([column[f"f_dc_{k}"] for k in range(3)], 1) * 0.28209479177387814 + 0.5
    means = torch.stack([column[axis] for axis in "xyz"], 1)
    return Splats(means, column["scale_0"], column["opacity"], colors)
