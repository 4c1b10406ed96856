"""Times the rasterizer on the CPU, beside its torch definition and ComfyUI's own splat renderer.

    python benchmarks/rasterizer.py [--json FILE] [--scenes A20k B] [--no-torch]

All figures of a run belong together; on a busy machine compare ratios within one run, best those of processor time
(OMP_NUM_THREADS=1 keeps waiting threads out of it). Medians, warm, 512 x 288. With
COMFYUI_PATH naming a ComfyUI that has `RenderSplat` (0.27 or newer), and COMFYUI_PYTHON its interpreter if that isn't
this one, the host's renderer is timed on the same splats.

Scenes: A20k and A100k, random splats in a cube; B, one splat for every pixel of one frame of a wavy surface (147,456);
C, the same for eight frames, 1.18 million.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fourreal_core.rasterizer import RasterOptions, numba_backend, rasterize  # noqa: E402

HEIGHT, WIDTH, FOCAL = 288, 512, 400.0
SCENES = ("A20k", "A100k", "B", "C")
KEYS = ("forward_ms", "forward_backward_ms", "torch_forward_ms", "host_forward_ms", "peak_mb")
Splats = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

# Runs in the host's interpreter: argv is the file with the splats, the field of view and the number of repetitions.
HOST_SCRIPT = """
import json, sys, time
path, fov, repeats, sys.argv = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), [sys.argv[0], "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import torch
from comfy_api.latest import Types
from comfy_extras.nodes_gaussian_splat import _C0, RenderSplat
from safetensors.torch import load_file
means, scales, opacities, colors = (load_file(path)[k] for k in ("means", "scales", "opacities", "colors"))
rotations = torch.zeros(1, len(means), 4)
rotations[..., 0] = 1
splat = Types.SPLAT(
    positions=means[None], scales=scales[None, :, None].expand(-1, -1, 3).contiguous(), rotations=rotations,
    opacities=opacities[None, :, None], sh=((colors - 0.5) / _C0)[None, :, None],
)
camera = {"position": {"x": 0, "y": 0, "z": 0}, "target": {"x": 0, "y": 0, "z": -1}, "fov": fov}
wall, processor = [], []
with torch.inference_mode():
    for _ in range(repeats + 1):
        begin, begin_processor = time.perf_counter(), time.process_time()
        out = RenderSplat.execute(splat, 512, 288, 1, 1.0, 1.0, 0.0, 0.0, "#000000", "color", camera_info=camera)
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
print(json.dumps({"wall": wall[1:], "processor": processor[1:], "coverage": float(out.result[1].mean())}))
"""


def random_cube(count: int) -> Splats:
    """Splats of 0.7 to 2 px all over a cube that fills the picture's middle."""
    rng = torch.Generator().manual_seed(count)
    means = torch.rand(count, 3, generator=rng) * 2 - 1
    means[:, 2] += 3
    scales = 0.005 + 0.01 * torch.rand(count, generator=rng)
    return means, scales, 0.1 + 0.8 * torch.rand(count, generator=rng), torch.rand(count, 3, generator=rng)


def pixel_frames(frames: int) -> Splats:
    """A splat for every pixel of each frame, 0.7 px wide, on wavy surfaces that almost coincide."""
    rng = torch.Generator().manual_seed(frames)
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    means = []
    for k in range(frames):
        z = 2.5 + 0.4 * torch.sin(x / 37 + 0.3 * k) + 0.3 * torch.cos(y / 29)
        z = z + 0.01 * torch.rand(HEIGHT, WIDTH, generator=rng)
        u, v = x + 1.3 * k - WIDTH / 2, y + 0.7 * k - HEIGHT / 2
        means.append(torch.stack([u * z / FOCAL, v * z / FOCAL, z], -1).reshape(-1, 3))
    merged = torch.cat(means)
    count = len(merged)
    opacities = 0.75 + 0.2 * torch.rand(count, generator=rng)
    return merged, 0.7 * merged[:, 2] / FOCAL, opacities, torch.rand(count, 3, generator=rng)


def scene(name: str) -> Splats:
    """The splats of one of SCENES, in camera space."""
    cubes, frames = {"A20k": 20_000, "A100k": 100_000}, {"B": 1, "C": 8}
    return random_cube(cubes[name]) if name in cubes else pixel_frames(frames[name])


def intrinsics() -> torch.Tensor:
    """The camera of all scenes."""
    return torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])


def render(splats: Splats, backend: str) -> None:
    """One forward pass."""
    with torch.no_grad():
        rasterize(*splats, intrinsics(), (HEIGHT, WIDTH), options=RasterOptions(backend=backend))


@functools.cache
def _loss_gradients() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(HEIGHT, WIDTH, *more, generator=rng) for more in ((3,), (), ())]


def fit_step(splats: Splats) -> None:
    """One forward and backward pass through all inputs and outputs."""
    inputs = [tensor.detach().requires_grad_() for tensor in splats]
    rendered = rasterize(*inputs, intrinsics(), (HEIGHT, WIDTH), options=RasterOptions(backend="numba"))
    torch.autograd.backward([rendered.image, rendered.alpha, rendered.depth], _loss_gradients())


def median_ms(run: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Median wall and median processor milliseconds of a call, after one that doesn't count."""
    run()
    wall, processor = [], []
    for _ in range(repeats):
        begin, begin_processor = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    return 1e3 * statistics.median(wall), 1e3 * statistics.median(processor)


@contextmanager
def stages() -> Iterator[dict[str, float]]:
    """Collects the wall milliseconds of every kernel that the numba back end runs."""
    spent: dict[str, float] = defaultdict(float)
    run_on_workers = numba_backend.run_on_workers

    def timed(kernel: Callable[..., None], *arguments: object) -> None:
        begin = time.perf_counter()
        run_on_workers(kernel, *arguments)
        spent[kernel.__name__] += 1e3 * (time.perf_counter() - begin)

    numba_backend.run_on_workers = timed
    try:
        yield spent
    finally:
        numba_backend.run_on_workers = run_on_workers


def gsplat_projection_ms(splats: Splats, repeats: int) -> float | str:
    """Median milliseconds of gsplat's own torch projection, or why it doesn't run.

    Of gsplat's torch code only this is run: its compositing asks a CUDA kernel for the pairs, and nerfacc for the sums.
    """
    try:
        from gsplat.cuda._torch_impl import _fully_fused_projection
    except Exception as error:  # not installed, or not for this torch
        return f"{type(error).__name__}: {error}"
    means, scales, _, _ = splats
    covariances = scales.square()[:, None, None] * torch.eye(3)
    world_to_camera, camera = torch.eye(4)[None], intrinsics()[None]
    with torch.no_grad():
        run = functools.partial(_fully_fused_projection, means, covariances, world_to_camera, camera, WIDTH, HEIGHT)
        return median_ms(run, repeats)[0]


def peak_mb(name: str) -> float | None:
    """How far a fit step raises the peak of a fresh process's memory, MiB; None where that can't be asked."""
    code = (
        "import resource, sys; sys.path.insert(0, 'benchmarks'); import rasterizer as b\n"
        "b.fit_step(tuple(t[:64] for t in b.scene('A20k'))); splats = b.scene(sys.argv[1])\n"
        "now = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20\n"
        "open('/proc/self/clear_refs', 'w').write('5'); b.fit_step(splats)\n"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0]\n"
        "print(int(peak.split()[1]) / 2**10 - now)"
    )
    done = subprocess.run([sys.executable, "-c", code, name], cwd=ROOT, capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def host_ms(name: str, repeats: int) -> tuple[float, float] | None:
    """Median wall and processor milliseconds of the host's renderer, or None where there is none.

    If it fails, the last line of its error is printed.
    """
    host = os.environ.get("COMFYUI_PATH")
    if not host:
        return None
    fov = 2 * torch.atan(torch.tensor(HEIGHT / 2 / FOCAL)).rad2deg().item()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "splats.safetensors")
        splats = dict(zip(("means", "scales", "opacities", "colors"), scene(name), strict=True))
        save_file({k: v.contiguous() for k, v in splats.items()}, path)
        python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        command = [python, "-c", HOST_SCRIPT, path, str(fov), str(repeats)]
        environment = {**os.environ, "PYTHONPATH": host}
        done = subprocess.run(command, cwd=host, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        print(f"  the host's renderer failed: {done.stderr.strip().splitlines()[-1:]}")
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return 1e3 * statistics.median(found["wall"]), 1e3 * statistics.median(found["processor"])


def first_image_s() -> tuple[float, float]:
    """Seconds that a fresh process needs for its first image, after torch is there, and for a first gradient."""
    code = (
        "import sys, time, torch; sys.path.insert(0, 'benchmarks'); begin = time.perf_counter()\n"
        "import rasterizer as b; splats = tuple(t[:1000] for t in b.scene('A20k')); b.render(splats, 'numba')\n"
        "image = time.perf_counter() - begin; b.fit_step(splats); print(image, time.perf_counter() - begin - image)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    image, gradient = (float(word) for word in done.stdout.split())
    return image, gradient


def measure(name: str, with_torch: bool) -> dict[str, float | None]:
    """Times one scene and prints what the JSON has no room for."""
    splats = scene(name)
    repeats = 7 if name == "C" else 15
    render(splats, "numba")
    with stages() as spent:
        forward, forward_cpu = median_ms(lambda: render(splats, "numba"), repeats)
    binning = spent["project_splats"] + spent["place_pairs"]
    share = binning / (binning + spent["composite_tiles"])
    with stages() as spent:
        both, both_cpu = median_ms(lambda: fit_step(splats), repeats)
    replaying = spent["replay_tiles"] / (spent["replay_tiles"] + spent["gather_gradients"])
    projection = gsplat_projection_ms(splats, 3)
    host = host_ms(name, 2 if name == "C" else 5)
    by_torch = median_ms(lambda: render(splats, "torch"), 1)[0] if with_torch else None
    memory = peak_mb(name)
    shown = f"{name:6s} forward {forward:.1f} ms ({forward_cpu:.1f} ms processor), "
    shown += f"with backward {both:.1f} ms ({both_cpu:.1f} ms processor)\n"
    shown += f"       binning {share:.0%}, sorting and compositing {1 - share:.0%} of the forward pass"
    ratios = f"{both / forward - 1:.2f} ({both_cpu / forward_cpu - 1:.2f} in processor time)"
    shown += f"\n       backward / forward {ratios}"
    shown += f", replaying {replaying:.0%}, summing up {1 - replaying:.0%} of the backward pass\n       "
    shown += f"torch {by_torch:.0f} ms ({by_torch / forward:.0f} x)" if by_torch else "torch not run"
    if isinstance(projection, float):
        shown += f"; gsplat's torch projection alone {projection:.0f} ms"
    else:
        shown += f"; gsplat's torch projection not run ({projection})"
    if host:
        shown += f"; host {host[0]:.0f} ms ({host[0] / forward:.1f} x; {host[1] / forward_cpu:.1f} x in processor time)"
    else:
        shown += "; host not run"
    shown += f"; peak +{memory:.0f} MiB" if memory else ""
    print(shown, flush=True)
    return dict(zip(KEYS, (forward, both, by_torch, host[0] if host else None, memory), strict=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    parser.add_argument("--no-torch", action="store_true", help="leave the torch definition out; it takes minutes")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {WIDTH} x {HEIGHT}")
    print("of gsplat's own torch code the projection is timed; its compositing needs CUDA and nerfacc")
    scenes = {name: measure(name, not arguments.no_torch) for name in arguments.scenes}
    image, gradient = first_image_s()
    print(f"a fresh process: {image:.2f} s to its first image (torch loaded), {gradient:.2f} s more to a gradient")
    if arguments.json:
        arguments.json.write_text(json.dumps({"scenes": scenes}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
