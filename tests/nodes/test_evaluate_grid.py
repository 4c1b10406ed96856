"""The figures of a grid through the node."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from fourreal_core.metrics import psnr

Node = Any


def test_figures_of_a_grid_and_against_a_truth(run: Node) -> None:
    rough = torch.rand(4, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    frames = torch.nn.functional.interpolate(rough, (48, 72), mode="bilinear").permute(0, 2, 3, 1)
    (grid,) = run(
        "FourRealGridFromVideos", freeze_time=frames[:3], fixed_view=frames[[0, 3]], views=8, times=8, longest_side=0
    )
    made = grid.filled(grid.freeze_time[:, None].expand_as(grid.frames))
    truth = grid.filled((made.frames * 0.9).clamp(0, 1))
    (text,) = run("FourRealEvaluateGrid", grid=made)
    alone = json.loads(text)
    assert alone["sharpness"] == {"value": 1.0, "unit": "", "better": "one"} and "psnr" not in alone
    assert alone["warp_time"]["value"] == 0 and alone["warp_view"]["unit"] == "grey levels"
    (text,) = run("FourRealEvaluateGrid", grid=made, truth=truth, flow_width=64)
    by_hand = sum(psnr(made.frames[v, 1], truth.frames[v, 1]) for v in (1, 2)) / 2
    assert json.loads(text)["psnr"]["value"] == pytest.approx(by_hand)
