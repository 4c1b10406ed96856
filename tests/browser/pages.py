"""Pages with the viewer, and what can be asked of them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fourreal_core.cameras import Cameras

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LOADED = "window.fourrealViewer?.frame.root.getAttribute('aria-busy') === 'false'"
TIMEOUT = 60_000

_STILL = """(shot) => {
  const image = fourrealViewer.still(...shot);
  let text = "";
  for (let k = 0; k < image.data.length; k += 8192) text += String.fromCharCode(...image.data.subarray(k, k + 8192));
  return btoa(text);
}"""


@contextmanager
def open_viewer(
    browser: Any,
    address: str,
    width: int = 700,
    height: int = 520,
    errors: bool = False,
    on_request: Callable[[Any], None] | None = None,
    **options: Any,
) -> Iterator[Any]:
    """A page at an address, when its viewer has loaded; errors of the page fail, unless ``errors`` are expected."""
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.set_default_timeout(TIMEOUT)
    if on_request is not None:
        page.on("request", on_request)
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_function(LOADED)
    try:
        yield page
    finally:
        page.close()
    assert errors or not said, said


def still(page: Any, cameras: Cameras, time: float, view: int = -1, enlarged: float = 1) -> Tensor:
    """The viewer's own exact picture ``(H, W, 3)`` in ``[0, 1]`` of one camera."""
    (height, width), k = cameras.size, cameras.intrinsics[0]
    camera = {
        "rotation": cameras.world_to_cam[0, :3, :3].flatten().tolist(),
        "translation": cameras.world_to_cam[0, :3, 3].tolist(),
        "fx": float(k[0, 0]),
        "fy": float(k[1, 1]),
        "cx": float(k[0, 2]),
        "cy": float(k[1, 2]),
        "width": width,
        "height": height,
    }
    raw = base64.b64decode(page.evaluate(_STILL, [camera, time, view, enlarged]))
    return torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(height, width, 4)[..., :3] / 255.0).float()


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels between two pictures."""
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp_min(1e-12)))


def shown(page: Any) -> np.ndarray:
    """What the stage shows, as a screenshot ``(H, W, 3)`` uint8."""
    import imageio.v3 as iio

    page.evaluate("fourrealViewer.stage.settled()")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return iio.imread(page.locator("canvas").first.screenshot(), extension=".png")[..., :3]
