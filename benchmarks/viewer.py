"""Sizes and speeds of the viewer: payload bytes, seconds to the first picture, sorting, pictures a second.

    python benchmarks/viewer.py                      # sizes, and the viewer in Chromium
    python benchmarks/viewer.py --spark              # beside Spark on the same splats; npm brings it to a temp folder

Needs Chromium (``CHROMIUM_PATH`` or on the path) and playwright. Without a GPU, Chromium draws on the processor; say so
with the figures. Both viewers draw the same splats at one moment on a canvas of the same size while the camera turns.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fourreal_core.cameras import Cameras, intrinsics_from_focal, orbit
from fourreal_core.scene.deformation_field import DeformationSpec, random_field
from fourreal_core.scene.formats.ply import save_ply, splats_at
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.viewer import PayloadOptions, viewer_payload
from fourreal_core.viewer.html import write_viewer

SIZE, FOCAL, VIEWS = (288, 512), 500.0, 8
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run"]  # fmt: skip
GPU_FLAGS = ["--no-sandbox", "--enable-gpu", "--ignore-gpu-blocklist"]

OURS = """async (frames) => {
  const v = fourrealViewer, { gl } = v.stage.renderer, pixel = new Uint8Array(4);
  v.rig.viewWeight = 0;
  const seconds = [], sorts = [];
  for (let k = 0; k < frames; k++) {
    v.rig.turn(0.01, 0);
    const began = performance.now();
    v.stage.draw({ camera: v.camera, time: 0, view: -1, viewWeight: 0, sizeFactor: 1, background: [0, 0, 0] }, false);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    seconds.push((performance.now() - began) / 1000);
    await new Promise((done) => setTimeout(done, 30));
    sorts.push(v.stage.sortMilliseconds);
  }
  return { seconds, sorts, size: [v.frame.canvas.width, v.frame.canvas.height], drawn: v.stage.renderer.drawn };
}"""

SPARK_PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<script type="importmap">{"imports": {"three": "/node_modules/three/build/three.module.js",
"three/addons/": "/node_modules/three/examples/jsm/",
"@sparkjsdev/spark": "/node_modules/@sparkjsdev/spark/dist/spark.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";
const [width, height, fov, distance] = WHERE;
const renderer = new THREE.WebGLRenderer({ antialias: false });
renderer.setPixelRatio(1);
renderer.setSize(width, height);
document.body.append(renderer.domElement);
const scene = new THREE.Scene(), camera = new THREE.PerspectiveCamera(fov, width / height, 0.01, 100);
if (SparkRenderer) scene.add(new SparkRenderer({ renderer }));
const mesh = new SplatMesh({ url: "/splats.ply" });
mesh.quaternion.set(1, 0, 0, 0);
scene.add(mesh);
await mesh.initialized;
renderer.render(scene, camera);
const gl = renderer.getContext(), pixel = new Uint8Array(4);
window.first = performance.now() / 1000;
window.measure = async (frames) => {
  const seconds = [];
  for (let k = 0; k < frames; k++) {
    const angle = 0.01 * (k + 1);
    camera.position.set(-distance * Math.sin(angle), 0, distance * (Math.cos(angle) - 1));
    camera.lookAt(0, 0, -distance);
    const began = performance.now();
    renderer.render(scene, camera);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    seconds.push((performance.now() - began) / 1000);
    await new Promise((done) => setTimeout(done, 30));
  }
  return { seconds };
};
</script>"""


def painted_scene(count: int, times: int, moving: int, seed: int = 0) -> Scene4D:
    """A painted relief of ``count`` splats at depth 1.5 to 2.5, of which ``moving`` in the middle move."""
    rng = torch.Generator().manual_seed(seed)
    flat = (torch.rand(count, 2, generator=rng) - 0.5) * torch.tensor([2.3, 1.4])
    depth = 2 + 0.3 * torch.sin(3 * flat[:, 0]) * torch.cos(2 * flat[:, 1])
    means = torch.cat([flat * depth[:, None] / 2, depth[:, None]], 1)
    waves = torch.tensor([[12.0, 3.0, 5.0], [4.0, 11.0, 2.0]])
    colors = 0.5 + 0.45 * torch.sin(flat @ waves + torch.tensor([0.0, 1.0, 2.0]))
    scales = torch.full((count,), 0.7 * (2.3 * 1.4 / count) ** 0.5) * (0.8 + 0.4 * torch.rand(count, generator=rng))
    splats = Splats(means, scales.log(), 2 + torch.randn(count, generator=rng), colors)
    camera = Cameras(torch.eye(4)[None], intrinsics_from_focal(FOCAL, SIZE)[None], SIZE)
    cameras = orbit(camera, torch.tensor([0.0, 0.0, 2.0]), VIEWS, 10.0)
    spec = DeformationSpec(features=64, knots=min(max(times - 1, 1), 24), frequencies=(1.0, 8.0))
    field = random_field(spec, rng)
    field = replace(field, weights=0.01 * torch.randn(field.weights.shape, generator=rng))
    weight = torch.zeros(count)
    weight[flat.norm(dim=1).argsort()[:moving]] = 1
    offsets = 2e-3 * torch.randn(VIEWS, 1, 3, generator=rng).expand(VIEWS, count, 3)
    residual = 2e-3 * torch.randn(VIEWS, times, 3, 18, 32, generator=rng)
    residual[:, 0] = 0
    maps = torch.ones(VIEWS, *SIZE)
    seen = torch.ones(VIEWS, count, dtype=torch.bool)
    return Scene4D(splats, cameras, offsets, seen, weight, maps, maps, times, field, torch.zeros(3), residual)


def sizes() -> list[dict[str, Any]]:
    """Bytes of payloads of the sizes that runs have, and seconds to pack them."""
    rows = []
    for count, times, moving in ((130_000, 8, 30_000), (130_000, 8, 130_000), (130_000, 120, 30_000)):
        scene = painted_scene(count, times, moving)
        began = time.perf_counter()
        payload = viewer_payload(scene, options=PayloadOptions(differences=False))
        rows.append({"splats": count, "times": times, "moving": moving, "megabytes": round(len(payload) / 1e6, 2),
                     "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def ours(browser: Any, scene: Scene4D, folder: Path, frames: int, size: tuple[int, int]) -> dict[str, Any]:
    """The viewer, from a file of the disk."""
    page = browser.new_page(viewport={"width": size[1], "height": size[0]})
    page.add_init_script("""setInterval(() => {
      const stage = window.fourrealViewer?.stage;
      if (stage?.ordered && !window.first) window.first = performance.now() / 1000;
    }, 5)""")
    page.goto(write_viewer(viewer_payload(scene), "Benchmark", folder / "viewer.html").as_uri())
    page.wait_for_function("window.fourrealViewer?.frame.root.getAttribute('aria-busy') === 'false'", timeout=120_000)
    page.evaluate("fourrealViewer.frame.toggleControls()")
    page.evaluate("fourrealViewer.stage.settled()")
    found = page.evaluate(OURS, frames)
    first = page.evaluate("first")
    page.close()
    return {"first picture s": round(first, 2), "sort ms": round(min(found["sorts"]), 1), **speed(found["seconds"]),
            "canvas": found["size"], "drawn": found["drawn"]}  # fmt: skip


def spark(browser: Any, scene: Scene4D, folder: Path, frames: int, size: tuple[int, int]) -> dict[str, Any]:
    """Spark on the same splats, as a PLY."""
    command = [shutil.which("npm") or "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder),
               "@sparkjsdev/spark", "three"]  # fmt: skip
    subprocess.run(command, check=True)
    save_ply(splats_at(scene, 0.0), folder / "splats.ply")
    fov = 2 * torch.rad2deg(torch.atan(torch.tensor(SIZE[0] / 2 / FOCAL))).item()
    (folder / "index.html").write_text(SPARK_PAGE.replace("WHERE", json.dumps([size[1], size[0], fov, 2.0])))
    handler = functools.partial(QuietFiles, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": size[1], "height": size[0]})
        page.on("pageerror", lambda error: print(f"Spark's page: {error}", file=sys.stderr))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        page.wait_for_function("window.measure", timeout=120_000)
        page.evaluate("measure(3)")  # its first pictures build programs and sort
        found = page.evaluate("(frames) => measure(frames)", frames)
        first = page.evaluate("first")
        if shot := os.environ.get("SPARK_PICTURE"):
            page.screenshot(path=shot)
        page.close()
        server.shutdown()
    version = json.loads((folder / "node_modules/@sparkjsdev/spark/package.json").read_text())["version"]
    return {"first picture s": round(first, 2), **speed(found["seconds"]), "version": version}


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


def speed(seconds: list[float]) -> dict[str, float]:
    """Pictures a second: the median, and the best quarter's."""
    ordered = sorted(seconds)
    return {"fps median": round(1 / ordered[len(ordered) // 2], 2), "fps best quarter": round(
        1 / (sum(ordered[: max(len(ordered) // 4, 1)]) / max(len(ordered) // 4, 1)), 2)}  # fmt: skip


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splats", type=int, default=150_000)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--spark", action="store_true", help="measure Spark, too")
    parser.add_argument("--gpu", action="store_true", help="let Chromium use the GPU")
    parser.add_argument("--no-sizes", action="store_true")
    args = parser.parse_args()
    if not args.no_sizes:
        sizes()
    from playwright.sync_api import sync_playwright

    scene = painted_scene(args.splats, 8, args.splats // 4)
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=GPU_FLAGS if args.gpu else FLAGS)
        print("viewer", ours(browser, scene, Path(folder), args.frames, SIZE), flush=True)
        if args.spark:
            print("Spark ", spark(browser, scene, Path(folder), args.frames, SIZE), flush=True)
            print("viewer", ours(browser, scene, Path(folder), args.frames, SIZE), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
