"""What two streams cost: the benchmark's count of memory by hand, and its ratio on a tiny grid."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fourreal_core.model.streams import run_two_streams, run_video

from .small import grid_inputs, tiny_model


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "two_stream.py"
    spec = importlib.util.spec_from_file_location("two_stream", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_peak_memory_by_hand(benchmark: ModuleType) -> None:
    before = torch.zeros(1000)  # made outside: not counted

    def run() -> torch.Tensor:
        a = before + 1  # 4000 bytes
        b = a * 2  # 8000
        del a
        view = b[:10]  # no bytes of its own
        c = torch.zeros(500)  # 6000
        b.add_(1)
        return view.sum() + c.sum()

    with benchmark.PeakMemory() as memory:
        out = run()
        assert memory.now == out.untyped_storage().nbytes()
    assert memory.peak == 8000


def test_two_streams_take_at_most_twice_the_memory_of_the_base(benchmark: ModuleType) -> None:
    inputs = grid_inputs(batch=1, views=6, times=6, size=16)
    model = tiny_model("soft_trained")
    tokens, drawing = model.dit.embed(inputs)
    columns, rows = (model.dit.condition(inputs, axis, drawing.size) for axis in ("view", "time"))

    def peak(run: Callable[[], object]) -> int:
        with torch.inference_mode():
            return benchmark.peak_bytes(run)

    base = peak(lambda: run_video(model.dit, tokens, rows, "time"))
    both = peak(lambda: run_two_streams(model.dit, model.sync, tokens, inputs.noise_level, columns, rows))
    assert base > 2 * tokens.nbytes  # something was counted
    assert both <= 2 * base


def test_the_paper_s_plan_by_hand(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    plan = benchmark.plan_paper()
    # 64 frames of 18 x 32 tokens, 30 blocks: 6 squares of the width around the attentions, 2 x 1536 x 8960 in the MLP
    tokens, width = 64 * 576, 1536
    block = 2 * (6 * width**2 + 2 * width * 8960) + 4 * width * (8 * 576 + 512)
    assert plan["planned_tflop"] == pytest.approx((2 * 30 * tokens * block + 30 * tokens * 2 * width**2) / 1e12)
    assert plan["planned_fused_tflop"] < 0.65 * plan["planned_tflop"]
    assert "12 GB GPU" in capsys.readouterr().out
