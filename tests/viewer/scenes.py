"""A small scene with everything a payload can hold: depth, motion of some, views that differ, colours of views."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fourreal_core.cameras import Cameras, intrinsics_from_focal, orbit
from fourreal_core.scene.deformation_field import DeformationSpec, random_field
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.scene4d import Scene4D

SIZE, FOCAL = (48, 64), 60.0


def lively_scene(count: int = 4000, views: int = 4, times: int = 5, moving: float = 0.4, seed: int = 0) -> Scene4D:
    """A painted relief at depth 1.5 to 2.5 before cameras that swing around it; a disc in the middle moves."""
    rng = torch.Generator().manual_seed(seed)
    flat = (torch.rand(count, 2, generator=rng) - 0.5) * torch.tensor([2.6, 2.0])
    depth = 2 + 0.3 * torch.sin(3 * flat[:, 0]) * torch.cos(2 * flat[:, 1]) + 0.05 * torch.randn(count, generator=rng)
    means = torch.cat([flat * depth[:, None] / 2, depth[:, None]], 1)
    waves = torch.tensor([[2.0, 3.0, 5.0], [4.0, 1.0, 2.0]])
    colors = 0.5 + 0.45 * torch.sin(flat @ waves + torch.tensor([0.0, 1.0, 2.0]))
    scale = 1.6 / count**0.5 * (0.6 + 0.8 * torch.rand(count, generator=rng))
    splats = Splats(means, scale.log(), 3 * torch.randn(count, generator=rng) + 1.5, colors)
    camera = Cameras(torch.eye(4)[None], intrinsics_from_focal(FOCAL, SIZE)[None], SIZE)
    swing = orbit(camera, torch.tensor([0.0, 0.0, 2.0]), 4 * views, 12.0)[torch.arange(views) * 2 + 1]
    poses = swing.world_to_cam.clone()
    poses[views // 2] = torch.eye(4)
    cameras = Cameras(poses, swing.intrinsics, SIZE)
    field = random_field(DeformationSpec(features=24, knots=max(times - 1, 1), frequencies=(0.5, 3.0)), rng)
    field = replace(field, weights=0.03 * torch.randn(field.weights.shape, generator=rng))
    weight = ((flat / torch.tensor([1.3, 1.0])).norm(dim=1) < moving**0.5).float()
    offsets = 0.01 * torch.randn(views, count, 3, generator=rng)
    view_colors = 0.05 * torch.randn(views, 1, 3, generator=rng).expand(views, count, 3)
    maps = torch.ones(views, *SIZE)
    residual = 0.004 * torch.randn(views, times, 3, 6, 8, generator=rng)
    residual[:, 0] = 0  # nothing has moved yet
    return Scene4D(
        splats,
        cameras,
        offsets,
        torch.ones(views, count, dtype=torch.bool),
        weight,
        2 * maps,
        maps,
        times,
        field,
        torch.tensor([0.2, 0.25, 0.3]),
        residual,
        view_colors,
    )


def mortal(scene: Scene4D, seed: int = 0) -> Scene4D:
    """The scene with half of its splats there for some time steps only."""
    rng = torch.Generator().manual_seed(seed)
    ends = torch.rand(len(scene.splats), 2, generator=rng) * (scene.times - 1)
    whole = torch.rand(len(scene.splats), generator=rng) < 0.5
    ends[whole] = torch.tensor([0.0, scene.times - 1.0])
    return replace(scene, lifetimes=ends.sort(1).values)


@dataclass(frozen=True)
class Unpacked:
    """A payload as a reader of docs/outputs.md would understand it, written apart from the viewer's own."""

    head: dict[str, Any]
    means: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    motion: np.ndarray  # (keys, moving, 3) world units
    offsets: dict[int, np.ndarray]
    view_colors: dict[int, np.ndarray]
    frames: dict[tuple[int, int], bytes]
    lifetimes: np.ndarray | None

    def at(self, time: float) -> np.ndarray:
        """World positions at a time step."""
        means = self.means.copy()
        for axis in range(3):
            for n in range(self.motion.shape[1]):
                means[n, axis] += np.interp(time, self.head["key_times"], self.motion[:, n, axis])
        return means


def unpack(payload: bytes) -> Unpacked:
    assert payload[:8] == b"FOURREAL"
    size = struct.unpack("<I", payload[8:12])[0]
    head = json.loads(payload[12 : 12 + size])
    n, m = head["splats"], head["moving"]
    at, bodies = 12 + size, []
    for section in head["sections"]:
        bodies.append((section, payload[at : at + section["bytes"]]))
        at += section["bytes"]
    assert at == len(payload)
    lifetimes = None
    if bodies[0][0]["kind"] == "lifetimes":
        shares = _numbers(zlib.decompress(bodies.pop(0)[1]), "<u2").reshape(2, n).T
        lifetimes = shares / 65535 * max(head["times"] - 1, 1)
    raw = zlib.decompress(bodies[0][1])
    means = _rounded_floats(raw[: 12 * n]).reshape(3, n).T
    low, high = head["log_scale_range"]
    scales = np.exp(low + (high - low) * _numbers(raw[12 * n : 14 * n], "<u2") / 65535)
    rgb = [np.cumsum(np.frombuffer(raw[k * n : (k + 1) * n], np.uint8), dtype=np.uint64) % 256 for k in range(14, 17)]
    opacities = np.frombuffer(raw[17 * n : 18 * n], np.uint8) / 255
    dark, bright = head["color_range"]
    units = _rounded_floats(raw[18 * n :])
    steps = np.zeros((len(head["key_times"]), m, 3), np.int16)
    offsets, view_colors, frames = {}, {}, {}
    for section, body in bodies[1:]:
        if section["kind"] == "motion":
            change = _sums(zlib.decompress(body), "<u2").astype(np.int16).reshape(3, m).T
            steps[section["key"]] = steps[section["key"] - 1] + change
        elif section["kind"] == "frame":
            frames[section["view"], section["time"]] = body
        else:
            raw, camera = zlib.decompress(body), head["cameras"][section["view"]]
            pose = np.array(camera["world_to_camera"])
            depth = np.maximum(means @ pose[2, :3] + pose[2, 3], head["raster"]["near"])
            unit = head["view_step_px"] * depth / camera["intrinsics"][0]
            offsets[section["view"]] = _sums(raw[: 6 * n], "<u2").astype(np.int16).reshape(3, n).T * unit[:, None]
            view_colors[section["view"]] = np.frombuffer(raw[6 * n :], np.int8).reshape(3, n).T / 255
    return Unpacked(
        head,
        means,
        scales,
        opacities,
        dark + (bright - dark) * np.stack(rgb, 1) / 255,
        steps * units[:, None],
        offsets,
        view_colors,
        frames,
        lifetimes,
    )


def _numbers(raw: bytes, kind: str) -> np.ndarray:
    size = np.dtype(kind).itemsize
    return np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(size, -1).T).reshape(-1).view(kind)


def _sums(raw: bytes, kind: str) -> np.ndarray:
    """Whole numbers that are stored as changes: even ones up by half, odd ones down by half and one."""
    changes = _numbers(raw, kind).astype(np.int64)
    return np.cumsum(np.where(changes % 2 == 0, changes // 2, -(changes // 2) - 1))


def _rounded_floats(raw: bytes) -> np.ndarray:
    bits = (_sums(raw, "<u4") % 2**32) * 2**7 % 2**32
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def as_version_1(payload: bytes) -> bytes:
    """The same scene as the first version of the format had it: numbers themselves in the place of their changes."""
    size = struct.unpack("<I", payload[8:12])[0]
    head = json.loads(payload[12 : 12 + size])
    n, at, bodies = head["splats"], 12 + size, []
    for section in head["sections"]:
        body, at = payload[at : at + section["bytes"]], at + section["bytes"]
        raw = b"" if section["kind"] == "frame" else zlib.decompress(body)
        if section["kind"] == "splats":
            floats = [_rounded_floats(part).astype("<f4") for part in (raw[: 12 * n], raw[18 * n :])]
            opacities = _changes(raw[17 * n : 18 * n])
            body = zlib.compress(_planes(floats[0]) + raw[12 * n : 17 * n] + opacities + _planes(floats[1]))
        elif section["kind"] == "motion":
            body = zlib.compress(_planes(_sums(raw, "<u2").astype("<i2")))
        elif section["kind"] == "difference":
            offsets = _sums(raw[: 6 * n], "<u2").astype("<i2")
            body = zlib.compress(_planes(offsets) + _changes(raw[6 * n :]))
        section["bytes"] = len(body)
        bodies.append(body)
    text = json.dumps({**head, "version": 1}).encode()
    return b"".join([payload[:8], struct.pack("<I", len(text)), text, *bodies])


def _changes(raw: bytes) -> bytes:
    return np.diff(np.frombuffer(raw, np.uint8), prepend=np.uint8(0)).tobytes()


def _planes(values: np.ndarray) -> bytes:
    return values.view(np.uint8).reshape(len(values), -1).T.tobytes()
