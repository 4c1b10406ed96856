"""Times two synced streams beside the base model, and plans what the paper's setting takes.

    python benchmarks/two_stream.py [--json FILE] [--rounds 3] [--bf16]

Ratios of one run belong together; they are medians over rounds of processor time (OMP_NUM_THREADS=1 keeps waiting
threads out of it). Memory is the peak of live tensors during a call, weights left out, counted tensor by tensor. The
model has the small model's sizes: 8 x 8 cells of 64 x 64 pixels.

    time_ratio        a synced call over the base model on V videos plus on T videos       at most 1.10
    memory_ratio      its peak memory over the base model's on the same grid               at most 2
    fused_time_ratio  a fused call over a synced one                                        at most 0.65
    extension_growth  peak memory of an extension to 120 frames over one to 16
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fourreal_core.model.dit import GridInputs  # noqa: E402
from fourreal_core.model.model4d import Model4D  # noqa: E402
from fourreal_core.model.spec import DiTSpec, Model4DSpec  # noqa: E402
from fourreal_core.sampling.chunks import ChunkOptions, plan_chunks  # noqa: E402
from fourreal_core.sampling.extend import StartClips, extend, model_completer  # noqa: E402
from fourreal_core.sampling.rectified_flow import SamplingOptions  # noqa: E402
from fourreal_core.sampling.stores import FolderStore  # noqa: E402

VIEWS = TIMES = 8
SIDE = 64
TARGETS = {"time_ratio": 1.10, "memory_ratio": 2.0, "fused_time_ratio": 0.65}


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of tensors that were made while it is on and are still alive; remembers the most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 - torch's own signature
        out = func(*args, **(kwargs or {}))
        inputs = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.seen and key not in inputs:
                    self.seen.add(key)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self.gone, key, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def gone(self, key: int, size: int) -> None:
        """A storage was freed."""
        self.seen.discard(key)
        self.now -= size


def grid(views: int, times: int, batch: int = 1) -> GridInputs:
    """A noisy grid with row 0 and column 0 known."""
    rng = torch.Generator().manual_seed(views * 1000 + times)
    known = torch.zeros(batch, views, times, dtype=torch.bool)
    known[:, 0] = known[:, :, 0] = True
    latents = torch.randn(batch, views, times, 3, SIDE, SIDE, generator=rng)
    return GridInputs(latents, torch.where(known, 0.0, 0.5), known)


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak bytes of live tensors during a call."""
    with PeakMemory() as memory:
        run()
    return memory.peak


def calls(base: Model4D, autocast: bool) -> dict[str, Callable[[], object]]:
    """The calls that are compared, by name."""
    synced, fused = base.with_variant("soft_trained"), base.with_variant("fused")
    with torch.no_grad():
        for parameter in synced.sync.parameters():  # as after training: nothing may be skipped because it is zero
            parameter.add_(0.01)
    whole, rows, columns = grid(VIEWS, TIMES), grid(1, TIMES, VIEWS), grid(VIEWS, 1, TIMES)

    def call(model: Model4D, inputs: GridInputs) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                return model(inputs)

        return run

    return {
        "base_rows": call(base, rows),
        "base_columns": call(base, columns),
        "synced": call(synced, whole),
        "hard": call(base.with_variant("hard"), whole),
        "unsynced": call(base.with_variant("identity"), whole),
        "fused": call(fused, whole),
    }


def ratios(base: Model4D, rounds: int, autocast: bool) -> dict[str, float]:
    """Time and memory ratios, each round's calls in turn so that a busy machine slows all of them."""
    runs = calls(base, autocast)
    for run in runs.values():
        run()
    times = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    median = {name: statistics.median(t[name] for t in times) for name in runs}
    print("seconds a call: " + ", ".join(f"{name} {value:.2f}" for name, value in median.items()))

    def over(top: str, *bottom: str) -> float:
        return statistics.median(t[top] / sum(t[name] for name in bottom) for t in times)

    base_peak, peak = peak_bytes(runs["base_rows"]), peak_bytes(runs["synced"])
    print(f"peak memory beside the weights: base {base_peak / 2**20:.0f} MiB, synced {peak / 2**20:.0f} MiB")
    return {
        "time_ratio": over("synced", "base_rows", "base_columns"),
        "memory_ratio": peak / base_peak,
        "fused_time_ratio": over("fused", "synced"),
        "sync_over_no_sync": over("synced", "unsynced"),
        "hard_time_ratio": over("hard", "base_rows", "base_columns"),
    }


def extension_growth() -> float:
    """Peak memory of an extension to 120 frames over one to 16."""
    model, peaks = Model4D(Model4DSpec(DiTSpec(width=32, layers=2, heads=2, conv_width=8), "soft")).eval(), {}
    for times in (16, 120):

        class Clips(StartClips):
            """Frames made when they are asked for, as a file is read."""

            @property
            def mask(self, times: int = times) -> Tensor:
                known = torch.zeros(VIEWS, times, dtype=torch.bool)
                known[0] = known[:, 0] = True
                return known

            def read(self, view: int, time: int) -> Tensor:
                rng = torch.Generator().manual_seed(view * 1000 + time)
                return torch.rand(3, SIDE, SIDE, generator=rng) * 2 - 1

        plan = plan_chunks(VIEWS, times, ChunkOptions())
        with tempfile.TemporaryDirectory() as folder:
            store, complete = FolderStore(folder, plan), model_completer(model, SamplingOptions(steps=1))
            given = Clips(torch.empty(0), torch.empty(0))
            peaks[times] = peak_bytes(lambda p=plan, g=given, c=complete, s=store: extend(p, g, c, s))
        print(f"extension to 8 x {times} in {len(plan.chunks)} chunks: peak {peaks[times] / 2**20:.1f} MiB")
    return peaks[120] / peaks[16]


def plan_paper() -> dict[str, float]:
    """What the paper's setting takes with the shapes of Wan 2.1 1.3B, on paper: 8 x 8 cells of 288 x 512."""
    width, layers, ffn, text = 1536, 30, 8960, 512
    frame = (288 // 16) * (512 // 16)  # a VAE of factor 8 and patches of 2
    cells, video = VIEWS * TIMES, TIMES * frame
    tokens = cells * frame
    linear = 2 * (4 * width**2 + 2 * width**2 + 2 * width * ffn)  # self-attention, text query and output, MLP
    keys = {"two streams": video, "fused": (VIEWS + TIMES - 1) * frame}
    flop = {name: layers * tokens * (linear + 4 * width * (seen + text)) for name, seen in keys.items()}
    flop["two streams"] *= 2
    sync = layers * tokens * 2 * width**2
    weights = 2 * layers * (8 * width**2 + 2 * width * ffn)
    stream = 2 * tokens * width  # bytes in bf16
    inner = stream * (1 + 4 + ffn / width)  # normed, query, key, value, output; the MLP's hidden layer
    two, fused = flop["two streams"], flop["fused"]
    print(f"\nplanned: {VIEWS} x {TIMES} cells of 288 x 512, Wan 2.1 1.3B shapes, bf16, {tokens} tokens of {width}")
    print(
        f"  a call: two streams {two / 1e12:.0f} TFLOP and trained sync {sync / 1e12:.1f} more, fused "
        f"{fused / 1e12:.0f} TFLOP ({fused / two:.2f} x)"
    )
    print(
        f"  weights {weights / 2**30:.1f} GiB, a stream {stream / 2**20:.0f} MiB, inside a block "
        f"{inner / 2**30:.1f} GiB"
    )
    need = weights + 2 * stream + inner
    part = weights + 2 * stream + inner / VIEWS
    total = 25 * 2 * (two + sync)
    for name, room, peak in (("80 GB GPU of 312 TFLOP/s", 80e9, 312e12), ("12 GB GPU of 51 TFLOP/s", 12e9, 51e12)):
        fits = "the whole grid at once" if need < 0.8 * room else f"a video at a time, {part / 2**30:.1f} GiB"
        print(
            f"  {name}: {need / 2**30:.1f} of {room / 2**30:.0f} GiB, {fits}; 25 steps with guidance "
            f"{total / peak / 0.4 / 60:.1f} min at 40 % of that rate"
        )
    return {
        "planned_tflop": (two + sync) / 1e12,
        "planned_fused_tflop": fused / 1e12,
        "planned_gib": need / 2**30,
        "planned_weights_gib": weights / 2**30,
    }


def main() -> None:
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="run the model under bf16 autocast")
    options = parser.parse_args()
    base = Model4D(Model4DSpec(DiTSpec(), "soft"), torch.Generator().manual_seed(0)).eval()
    print(f"{sum(p.numel() for p in base.dit.parameters()) / 1e6:.1f} M parameters, {torch.get_num_threads()} threads")
    found = ratios(base, options.rounds, options.bf16)
    found["extension_growth"] = extension_growth()
    for name, value in found.items():
        target = f"  (at most {TARGETS[name]})" if name in TARGETS else ""
        print(f"{name:18} {value:.3f}{target}")
    found |= plan_paper()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
