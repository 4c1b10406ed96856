"""Camera paths through a 4D scene: the usual ones, and those a user wrote down as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..cameras import Cameras, interpolate, interpolate_smoothly, orbit
from ..errors import InputError
from .scene4d import Scene4D

PLACES = ("view", "world_to_camera", "position")
"""Keys that give the camera of a frame of a written path; every frame has exactly one of them."""

INTERPOLATIONS = ("linear", "smooth")
"""How the frames between the keyframes of a written path are found."""


@dataclass(frozen=True)
class CameraPath:
    """Where the camera stands and what time it is, frame by frame.

    Attributes:
        cameras: F cameras.
        times: ``(F,)`` time steps, fractions allowed.
    """

    cameras: Cameras
    times: Tensor

    def __post_init__(self) -> None:
        if self.times.shape != (len(self.cameras),) or len(self.cameras) < 1:
            raise InputError(
                f"a path of {len(self.cameras)} cameras and times of shape {tuple(self.times.shape)}",
                "as many times as cameras, at least one",
                "give every frame a camera and a time",
            )

    def scaled(self, size: tuple[int, int]) -> CameraPath:
        """The same path for pictures of another ``(height, width)``."""
        return CameraPath(self.cameras.scaled(size), self.times)


def bullet_time_path(scene: Scene4D, frames: int) -> CameraPath:
    """Time and camera move together: the camera sways once along its path and back while the clip plays once."""
    phase = torch.linspace(0, 1, frames)
    place = (1 - (2 * phase - 1).abs()) * (scene.views - 1)
    return CameraPath(interpolate(scene.cameras, place), phase * (scene.times - 1))


def freeze_time_path(scene: Scene4D, time: float, frames: int) -> CameraPath:
    """Time stands at a step while the camera runs along its path."""
    check_place(scene, time=time)
    place = torch.linspace(0, scene.views - 1, frames)
    return CameraPath(interpolate(scene.cameras, place), torch.full((frames,), float(time)))


def fixed_view_path(scene: Scene4D, view: float, frames: int) -> CameraPath:
    """The camera stands at a place of its path while time runs."""
    check_place(scene, view=view)
    cameras = interpolate(scene.cameras, torch.full((frames,), float(view)))
    return CameraPath(cameras, torch.linspace(0, scene.times - 1, frames))


def orbit_path(scene: Scene4D, time: float, frames: int, degrees: float) -> CameraPath:
    """Time stands while the central camera sways about the middle of what it sees."""
    check_place(scene, time=time)
    middle = scene.views // 2
    camera = scene.cameras[middle]
    seen = scene.splats.means[scene.visible[middle]]
    here = camera.to_camera(seen if len(seen) else scene.splats.means)[0]
    ahead = here.new_tensor([0.0, 0.0, float(here[:, 2].median()) if len(here) else 1.0])
    centre = (ahead - camera.world_to_cam[0, :3, 3]) @ camera.world_to_cam[0, :3, :3]
    return CameraPath(orbit(camera, centre, frames, degrees), torch.full((frames,), float(time)))


def passing_path(scene: Scene4D, cameras: Cameras, frames: int) -> CameraPath:
    """Cameras, which need not be any of the clip's, are passed evenly while time runs; a single one stands."""
    places = torch.linspace(0, len(cameras) - 1, frames)
    return CameraPath(interpolate(cameras, places), torch.linspace(0, scene.times - 1, frames))


def check_place(scene: Scene4D, time: float | None = None, view: float | None = None) -> None:
    """Raises InputError for a time or a view that the scene doesn't have."""
    for name, value, count in (("time", time, scene.times), ("view", view, scene.views)):
        if value is not None and not 0 <= value <= count - 1:
            raise InputError(
                f"{name} {value:g}",
                f"0 to {count - 1}, since the scene has {count} {name}s",
                f"choose a smaller {name}",
            )


def path_from_json(text: str, scene: Scene4D) -> CameraPath:
    """A path that a user wrote down.

    A JSON object with ``frames``, each an object with the place of the camera: ``view``, a place on the scene's own
    camera path, fractions allowed; or ``world_to_camera``, 4 x 4 in OpenCV axes; or ``position`` and ``target``, two
    points of the world, upright. ``time`` is a time step, fractions allowed; left out everywhere, time runs once over
    the clip. ``focal_px`` is for pictures of the scene's size, the central camera's when left out. With ``count``, the
    frames are keyframes, evenly spaced, and so many frames are interpolated between them: straight from one to the
    next, or, with ``"interpolation": "smooth"``, without corners (see ``cameras.interpolate_smoothly``).

    Raises:
        InputError: Text of another form.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as err:
        raise InputError(
            f"a camera path that is not JSON ({err})",
            'an object such as {"frames": [{"view": 0}]}',
            "check commas and quotes",
        ) from err
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise InputError(
            "a camera path without frames", 'an object such as {"frames": [{"view": 0}]}', "list at least one frame"
        )
    timed = sum("time" in frame for frame in frames)
    if timed not in (0, len(frames)):
        raise InputError(
            f"a camera path with a time at {timed} of {len(frames)} frames",
            "a time at all or at none",
            "write the missing ones",
        )
    cameras = [_camera(frame, k, scene) for k, frame in enumerate(frames)]
    joined = Cameras(
        torch.cat([c.world_to_cam for c in cameras]), torch.cat([c.intrinsics for c in cameras]), scene.cameras.size
    )
    if timed:
        times = torch.tensor([_number(frame["time"], f"the time of frame {k}") for k, frame in enumerate(frames)])
        check_place(scene, time=float(times.min()))
        check_place(scene, time=float(times.max()))
    else:
        times = torch.linspace(0, scene.times - 1, len(frames))
    interpolation = data.get("interpolation", INTERPOLATIONS[0])
    if interpolation not in INTERPOLATIONS:
        raise InputError(
            f"a camera path with interpolation {interpolation!r}",
            f"one of {', '.join(INTERPOLATIONS)}",
            "correct it, or leave it out",
        )
    if "count" not in data:
        return CameraPath(joined, times)
    return _between(CameraPath(joined, times), data["count"], interpolation == "smooth")


def path_to_json(path: CameraPath) -> str:
    """A path as ``path_from_json`` reads it, to be changed by hand."""
    frames = [
        {
            "time": round(float(t), 6),
            "focal_px": round(float(k[0, 0]), 4),
            "world_to_camera": [[round(x, 7) for x in row] for row in pose.tolist()],
        }
        for t, k, pose in zip(path.times, path.cameras.intrinsics, path.cameras.world_to_cam, strict=True)
    ]
    return json.dumps({"frames": frames}, indent=1)


def _between(keys: CameraPath, count: Any, smooth: bool) -> CameraPath:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 100_000:
        raise InputError(
            f"a camera path with a count of {count!r}",
            "a number of frames from 1 to 100000",
            "write it without quotes, or leave it out",
        )
    last = len(keys.cameras) - 1
    place = torch.linspace(0, last, count)
    low = place.floor().long().clamp(max=max(last - 1, 0))
    part = place - low
    high = (low + 1).clamp(max=last)
    cameras = (interpolate_smoothly if smooth else interpolate)(keys.cameras, place)
    return CameraPath(cameras, keys.times[low] * (1 - part) + keys.times[high] * part)


def _camera(frame: dict[str, Any], index: int, scene: Scene4D) -> Cameras:
    name = f"frame {index} of the camera path"
    given = [place for place in PLACES if place in frame]
    if len(given) != 1:
        raise InputError(
            f"{name} with {' and '.join(given) or 'no place'}",
            f"one of {', '.join(PLACES)}",
            "say once where the camera stands",
        )
    if given[0] == "view":
        view = _number(frame["view"], f"the view of {name}")
        check_place(scene, view=view)
        camera = interpolate(scene.cameras, torch.tensor([view]))
    else:
        pose = _pose(frame, name) if given[0] == "world_to_camera" else _looking(frame, name)
        camera = Cameras(
            pose[None].to(scene.cameras.world_to_cam),
            scene.cameras.intrinsics[scene.views // 2][None],
            scene.cameras.size,
        )
    if "focal_px" not in frame:
        return camera
    focal = _number(frame["focal_px"], f"the focal length of {name}")
    if focal <= 0:
        raise InputError(f"{name} with a focal length of {focal:g} pixels", "a positive number", "leave it out")
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    return Cameras(camera.world_to_cam, intrinsics, camera.size)


def _pose(frame: dict[str, Any], name: str) -> Tensor:
    pose = _array(frame["world_to_camera"], (4, 4), f"the world_to_camera of {name}")
    rot = pose[:3, :3]
    rigid = torch.allclose(rot @ rot.T, torch.eye(3), atol=1e-3) and float(torch.linalg.det(rot)) > 0
    if not rigid or not torch.allclose(pose[3], torch.tensor([0.0, 0.0, 0.0, 1.0]), atol=1e-6):
        raise InputError(
            f"the world_to_camera of {name}, which is no rigid motion",
            "a rotation, a translation and a last row of 0 0 0 1",
            "write camera transforms without scale",
        )
    return pose


def _looking(frame: dict[str, Any], name: str) -> Tensor:
    """World to camera ``(4, 4)`` of a camera at ``position`` that looks at ``target``, its picture upright (-y)."""
    eye = _array(frame["position"], (3,), f"the position of {name}")
    ahead = _array(frame.get("target"), (3,), f"the target of {name}") - eye
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), ahead)
    if float(right.norm()) < 1e-6 * max(float(ahead.norm()), 1e-12):
        raise InputError(
            f"{name}, which looks straight up, down or nowhere",
            "a target before the camera",
            "move the target, or give world_to_camera",
        )
    forward, right = ahead / ahead.norm(), right / right.norm()
    pose = torch.eye(4)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return pose


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name}, {value!r}", "a finite number", "correct the camera path")
    return float(value)


def _array(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    try:
        found = torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):  # ragged, or no numbers at all
        found = torch.empty(0)
    if tuple(found.shape) != shape or not bool(torch.isfinite(found).all()):
        raise InputError(f"{name}, {value!r}", f"finite numbers of shape {shape}", "correct the camera path")
    return found
