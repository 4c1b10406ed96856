"""A 4D scene as the viewer takes it: a JSON head, then packed sections in the order in which they are wanted.

Eight bytes ``FOURREAL``, the length of the head as a little-endian uint32, the head as JSON, and the sections one after
the other. The head lists the sections with their kinds and lengths, so a reader can show the first time step as soon as
the first section is there. docs/outputs.md describes every field.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.scene4d import Scene4D
from .quantize import (
    compact_order,
    delta_coded,
    float_bits,
    quantized_differences,
    quantized_motion,
    rounded_floats,
    shuffled,
    stepwise,
)

MAGIC = b"FOURREAL"
FORMAT = "fourreal-viewer"
VERSION = 3
"""2 stores differences of numbers, 3 has lifetimes; a scene whose splats are always there is written as version 2."""


@dataclass(frozen=True)
class GivenFrame:
    """A known cell of the grid, to compare with.

    Attributes:
        view: Its view.
        time: Its time step.
        data: The picture as a file that browsers show.
        media_type: Of ``data``, such as ``image/webp``.
    """

    view: int
    time: int
    data: bytes
    media_type: str = "image/webp"


@dataclass(frozen=True)
class PayloadOptions:
    """What goes into a payload, and how finely.

    Attributes:
        title: Shown by the viewer and as the page's title.
        steps_per_second: How fast time runs at speed 1.
        differences: Take along by how much each view of the clip differs (eq. 3's view-dependent part, and colours).
        step_px: Step of the motion in pixels at the clip's own size.
        view_step_px: Step of the views' offsets in pixels at the clip's own size.
        compression: zlib's level.
    """

    title: str = "4D scene"
    steps_per_second: float = 8.0
    differences: bool = True
    step_px: float = 0.06
    view_step_px: float = 0.2
    compression: int = 9

    def __post_init__(self) -> None:
        steps = (self.step_px, self.view_step_px)
        if not (0 < min(steps) <= max(steps) <= 1 and self.steps_per_second > 0 and 0 <= self.compression <= 9):
            raise InputError(
                f"steps of {steps} px, {self.steps_per_second} steps a second and compression {self.compression}",
                "positive numbers, at most 1 px and 9",
                "leave them at their defaults",
            )


def viewer_payload(
    scene: Scene4D,
    frames: Sequence[GivenFrame] = (),
    options: PayloadOptions | None = None,
    on_step: OnStep = no_progress,
) -> bytes:
    """Packs a scene.

    Splats that can never be seen (less opaque than the rasterizer draws) are left out. Positions keep 17 bits of
    precision; the motion is rounded to steps of ``step_px`` at the nearest distance from which a view of the clip sees
    the splat, so it errs by less than a tenth of a pixel there.

    Args:
        scene: What to pack.
        frames: Known cells to compare with.
        options: See PayloadOptions.
        on_step: Progress, one step a time.

    Raises:
        InputError: A scene that is not finite.
    """
    options = options or PayloadOptions()
    with torch.no_grad():
        packed = _Packed.of(scene, options, on_step)
    return container(packed.head(), packed.sections(frames))


def container(head: dict[str, Any], sections: Iterable[tuple[dict[str, Any], bytes]]) -> bytes:
    """Head and sections in one piece.

    Args:
        head: What is said about the whole; a list of the sections is added to it.
        sections: What is said about each, and its body.
    """
    entries, bodies = [], []
    for entry, body in sections:
        entries.append({**entry, "bytes": len(body)})
        bodies.append(body)
    text = json.dumps({**head, "sections": entries}, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *bodies])


def key_times(scene: Scene4D) -> list[float]:
    """Times between which every splat moves evenly: the time steps, and the deformation's knots between them."""
    if scene.deformation is None or scene.times == 1:
        return [0.0]
    last = scene.times - 1
    knots = scene.deformation.spec.knots
    steps = [float(t) for t in range(scene.times)] if scene.motion_residual is not None else [0.0, float(last)]
    times = sorted([*steps, *(k * last / knots for k in range(knots + 1))])
    return [time for k, time in enumerate(times) if k == 0 or time - times[k - 1] > 1e-6]


@dataclass(frozen=True)
class _Packed:
    """A scene in numpy arrays, splats that move first, neighbours next to each other, quantised."""

    scene: Scene4D
    options: PayloadOptions
    means: NDArray[np.float32]
    steps: NDArray[np.int16]  # (keys, M, 3), zero at the first
    units: NDArray[np.float32]
    index: NDArray[np.int64]
    times: list[float]

    @classmethod
    def of(cls, scene: Scene4D, options: PayloadOptions, on_step: OnStep) -> _Packed:
        times = key_times(scene)
        places = []
        for k, time in enumerate(times):
            places.append(scene.deformed(time).detach().cpu().numpy().astype(np.float32))
            on_step(k + 1, len(times))
        drawn = scene.splats.opacities.detach().cpu().numpy() >= RasterOptions().min_alpha
        parts = (
            *places,
            scene.splats.log_scales.detach().cpu().numpy()[drawn],
            scene.splats.colors.detach().cpu().numpy()[drawn],
        )
        if not all(bool(np.isfinite(part).all()) for part in parts):
            raise InputError("a scene with NaN or infinite values", "finite numbers", "fit the scene again")
        means = rounded_floats(places[0])
        moves = np.zeros(len(means), bool)
        for later in places[1:]:
            moves |= (later != places[0]).any(1)
        candidates = np.nonzero(moves & drawn)[0]
        stacked = np.stack([place[candidates] for place in places]) if len(candidates) else np.zeros((1, 0, 3), "f4")
        steps, units = quantized_motion(stacked, means[candidates], scene.cameras, options.step_px)
        moved = (steps[1:] != 0).any(axis=(0, 2)) if len(steps) > 1 else np.zeros(len(candidates), bool)
        still = np.setdiff1d(np.nonzero(drawn)[0], candidates[moved])
        kept = np.nonzero(moved)[0]
        kept = kept[compact_order(means[candidates[kept]])]
        index = np.concatenate([candidates[kept], still[compact_order(means[still])]])
        return cls(scene, options, means[index], steps[:, kept], units[kept], index, times)

    def head(self) -> dict[str, Any]:
        """Everything about the scene but its arrays."""
        scene, raster = self.scene, RasterOptions()
        cameras = [
            {
                "world_to_camera": pose.tolist(),
                "intrinsics": [float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])],
                "size": list(scene.cameras.size),
            }
            for pose, k in zip(scene.cameras.world_to_cam.cpu(), scene.cameras.intrinsics.cpu(), strict=True)
        ]
        return {
            "format": FORMAT,
            "version": 2 if scene.lifetimes is None else VERSION,
            "title": self.options.title,
            "splats": len(self.index),
            "moving": self.steps.shape[1],
            "times": scene.times,
            "steps_per_second": self.options.steps_per_second,
            "key_times": [round(time, 6) for time in self.times],
            "background": [float(x) for x in scene.background.clamp(0, 1)],
            "color_range": list(self._color_range()),
            "log_scale_range": list(self._log_scale_range()),
            "view_step_px": self.options.view_step_px,
            "target": self._target(),
            "cameras": cameras,
            "raster": {
                name: value
                for name, value in asdict(raster).items()
                if name in ("near", "low_pass", "max_alpha", "min_alpha")
            },
        }

    def sections(self, frames: Iterable[GivenFrame]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Head entries and bodies: splats, motion by time, pictures, differences between views."""
        if self.scene.lifetimes is not None:  # before the splats, which are shown as soon as they are there
            yield {"kind": "lifetimes"}, self._pack(self._lifetimes(self.scene.lifetimes))
        yield {"kind": "splats"}, self._pack(*self._splats())
        for key in range(1, len(self.steps)):
            changes = self.steps[key] - self.steps[key - 1]  # wraps around, as does the reader's sum
            yield {"kind": "motion", "key": key}, self._pack(delta_coded(changes.T))
        for frame in frames:
            yield {"kind": "frame", "view": frame.view, "time": frame.time, "type": frame.media_type}, frame.data
        if self.options.differences:
            for view in range(self.scene.views):
                offsets, colors = quantized_differences(
                    self.scene, view, self.index, self.means, self.options.view_step_px
                )
                yield (
                    {"kind": "difference", "view": view},
                    self._pack(delta_coded(offsets.T), np.ascontiguousarray(colors.T).tobytes()),
                )

    def _splats(self) -> Iterator[bytes]:
        splats = self.scene.splats
        log_scales = splats.log_scales.detach().cpu().numpy()[self.index]
        low, high = self._log_scale_range()
        yield delta_coded(float_bits(self.means.T))
        yield shuffled(np.rint((log_scales - low) / max(high - low, 1e-12) * 65535).astype(np.uint16))
        dark, bright = self._color_range()
        colors = (splats.colors.detach().cpu().numpy()[self.index] - dark) / max(bright - dark, 1e-12)
        bytes_ = np.rint(np.concatenate([colors, splats.opacities.detach().cpu().numpy()[self.index, None]], 1) * 255)
        *channels, opacity = bytes_.clip(0, 255).astype(np.uint8).T
        for channel in channels:
            yield stepwise(channel)
        yield opacity.tobytes()
        yield delta_coded(float_bits(self.units))

    def _lifetimes(self, lifetimes: Tensor) -> bytes:
        """First and last time steps, all first ones and then all last ones, in 65535ths of the clip."""
        last = max(self.scene.times - 1, 1)
        shares = lifetimes.detach().cpu().numpy()[self.index].T.clip(0, last) / last
        return shuffled(np.rint(shares * 65535).astype(np.uint16))

    def _color_range(self) -> tuple[float, float]:
        colors = self.scene.splats.colors.detach().cpu().numpy()[self.index]
        if not colors.size:
            return 0.0, 1.0
        return min(0.0, max(float(colors.min()), -0.5)), max(1.0, min(float(colors.max()), 1.5))

    def _log_scale_range(self) -> tuple[float, float]:
        log_scales = self.scene.splats.log_scales.detach().cpu().numpy()[self.index]
        return (float(log_scales.min()), float(log_scales.max())) if log_scales.size else (0.0, 1.0)

    def _target(self) -> list[float]:
        """World point that an orbit turns about: straight ahead of the central camera, at its median depth."""
        camera = self.scene.cameras[self.scene.views // 2]
        pose = camera.world_to_cam[0].cpu().numpy()
        depth = (self.means @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        ahead = depth[depth > 0]
        middle = float(np.median(ahead)) if len(ahead) else 1.0
        point = (np.array([0, 0, middle], np.float32) - pose[:3, 3]) @ pose[:3, :3]
        return [float(x) for x in point]

    def _pack(self, *parts: bytes) -> bytes:
        return zlib.compress(b"".join(parts), self.options.compression)
