"""Cameras that other programs wrote: COLMAP's text model and nerfstudio's, or Blender's, ``transforms.json``.

COLMAP's axes are this project's. The poses of a ``transforms.json`` are camera to world with y up and the camera
looking down its -z; the turn of its world does not matter here. Lens distortion is left out, with a warning.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..cameras import Cameras, rotations_from_quats_wxyz
from ..errors import InputError
from ..media.images import natural_key
from ..media.view_clips import CELL_NAME

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

ASPECT_TOLERANCE = 0.05
"""Largest relative difference between the pixels of the cameras' pictures and square ones once they are resized."""
STANDS = 0.05
"""How far a view's camera may move over time, as a share of the distance between the views."""
_FOCALS = {
    "SIMPLE_PINHOLE": 1,
    "PINHOLE": 2,
    "SIMPLE_RADIAL": 1,
    "RADIAL": 1,
    "OPENCV": 2,
    "FULL_OPENCV": 2,
}
"""COLMAP's camera models and how many focal lengths each begins with; a centre follows, then distortion."""
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class PictureCamera:
    """The camera of one picture, whatever size the picture has.

    Attributes:
        name: Of the picture, as the file says it.
        world_to_cam: ``(4, 4)``.
        lens: Focal lengths and centre over the picture's width and height: ``(fx / w, fy / h, cx / w, cy / h)``; fy is
            NaN where pixels are square and the file does not say how large the picture is.
    """

    name: str
    world_to_cam: Array
    lens: tuple[float, float, float, float]


def read_camera_file(path: Path | str) -> list[PictureCamera]:
    """The cameras of a file or folder, in the natural order of their pictures' names.

    Args:
        path: A ``transforms.json``; or a folder with one, or with COLMAP's ``cameras.txt`` and ``images.txt``, there or
            in ``sparse`` or ``sparse/0``.

    Raises:
        InputError: Neither, or one that cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".json":
        found = _transforms(path)
    else:
        folder = path if path.is_dir() else path.parent
        found = []
        for place in (folder, folder / "sparse" / "0", folder / "sparse", folder / "0"):
            if (place / "images.txt").is_file() and (place / "cameras.txt").is_file():
                found = _colmap(place)
            elif (place / "transforms.json").is_file():
                found = _transforms(place / "transforms.json")
            elif (place / "images.bin").is_file():
                raise InputError(
                    f"COLMAP's binary model in {place}",
                    "the text model, cameras.txt and images.txt",
                    "write it with `colmap model_converter --output_type TXT`",
                )
            if found:
                break
    if not found:
        raise InputError(
            f"no cameras in {path}",
            "a transforms.json, or COLMAP's cameras.txt and images.txt, with at least one picture",
            "check the path",
        )
    return sorted(found, key=lambda camera: natural_key(Path(camera.name)))


def cameras_of_views(found: Sequence[PictureCamera], views: Sequence[str]) -> list[PictureCamera]:
    """One camera for every view, by name.

    A picture is a view's when a folder of its path, or its own name without the ending, is the view's name, or when it
    is called ``v{view}_t{time}`` and the view ``v{view}``. Where none is and there are as many cameras as views, they
    are taken in their natural order.

    Args:
        found: What a file holds.
        views: Names of the views.

    Raises:
        InputError: A view without a camera, or one whose camera moves.
    """
    of_view: dict[str, list[PictureCamera]] = {name: [] for name in views}
    for camera in found:
        for name in _view_names(camera.name):
            if name in of_view:
                of_view[name].append(camera)
                break
    if not any(of_view.values()) and len(found) == len(views):
        log.info("cameras: no name is a view's, so they are taken in their order, %s for %s", found[0].name, views[0])
        return list(found)
    without = [name for name, cameras in of_view.items() if not cameras]
    if without:
        raise InputError(
            f"no camera for the view {without[0]!r}" + (f" and {len(without) - 1} more" if without[1:] else ""),
            f"pictures named after the views, or as many cameras as views ({len(views)}); the file has {len(found)}, "
            f"such as {found[0].name!r}",
            "rename the views or the pictures",
        )
    centres = {name: np.stack([_centre(c) for c in cameras]) for name, cameras in of_view.items()}
    firsts = np.stack([c[0] for c in centres.values()])
    apart = float(np.linalg.norm(firsts - firsts.mean(0), axis=1).max())
    for name, places in centres.items():
        if np.linalg.norm(places - places[0], axis=1).max() > STANDS * max(apart, 1e-9):
            raise InputError(
                f"a camera of the view {name!r} that moves", "views that stand", "give videos of cameras that stand"
            )
    return [cameras[0] for cameras in of_view.values()]


def sized_cameras(found: Sequence[PictureCamera], size: tuple[int, int]) -> Cameras:
    """Cameras for pictures of ``(height, width)``.

    Raises:
        InputError: Pictures of another aspect ratio.
    """
    h, w = size
    intrinsics = torch.eye(3).repeat(len(found), 1, 1)
    for k, camera in enumerate(found):
        fx, fy, cx, cy = (x * side for x, side in zip(camera.lens, (w, h, w, h), strict=True))
        fy = fx if math.isnan(fy) else fy
        if abs(fy / fx - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"a camera of {camera.name!r} whose pixels would be {fy / fx:.3f} times as wide as high in frames of "
                f"{w} x {h}",
                "cameras of pictures with the frames' aspect ratio",
                "give the cameras of the pictures as they are, not of cropped ones",
            )
        intrinsics[k] = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    poses = torch.from_numpy(np.stack([camera.world_to_cam for camera in found])).float()
    return Cameras(poses, intrinsics, size)


def _view_names(picture: str) -> list[str]:
    """What a view may be called that a picture belongs to, the likeliest first."""
    path = PurePosixPath(picture.replace("\\", "/"))
    cell = CELL_NAME.fullmatch(path.name) or CELL_NAME.fullmatch(path.name + ".png")
    return ([f"v{int(cell[1])}"] if cell else []) + [path.stem, path.name, *reversed(path.parts[:-1])]


def _centre(camera: PictureCamera) -> Array:
    centre: Array = -camera.world_to_cam[:3, :3].T @ camera.world_to_cam[:3, 3]
    return centre


def _colmap(folder: Path) -> list[PictureCamera]:
    lenses: dict[str, tuple[float, float, float, float]] = {}
    for fields in _rows(folder / "cameras.txt"):
        number, model, numbers = fields[0], fields[1], [_number(x, folder / "cameras.txt") for x in fields[2:]]
        count = _FOCALS.get(model)
        if count is None or len(numbers) < 4 + count:
            raise InputError(
                f"a COLMAP camera of the model {model}",
                f"one of {', '.join(_FOCALS)}, with its numbers",
                "undistort the pictures with `colmap image_undistorter`",
            )
        (w, h), focals, rest = numbers[:2], numbers[2 : 2 + count], numbers[2 + count :]
        lenses[number] = (focals[0] / w, focals[-1] / h, rest[0] / w, rest[1] / h)
        _warn_of_distortion(rest[2:], folder)
    rows = _rows(folder / "images.txt", keep_empty=True)
    found = []
    for fields in rows[::2]:  # a line of points follows each picture
        if len(fields) < 10 or fields[8] not in lenses:
            raise InputError(
                f"a line of {folder / 'images.txt'} that is no picture of a camera in cameras.txt",
                "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME, and a line of points after each",
                "export the model again",
            )
        numbers = [_number(x, folder / "images.txt") for x in fields[1:8]]
        pose = np.eye(4)
        quat = torch.tensor([numbers[:4]], dtype=torch.float64)
        pose[:3, :3], pose[:3, 3] = rotations_from_quats_wxyz(quat / quat.norm())[0].numpy(), numbers[4:]
        found.append(PictureCamera(" ".join(fields[9:]), pose, lenses[fields[8]]))
    return found


def _rows(path: Path, keep_empty: bool = False) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#") and (keep_empty or line.strip())]
    while rows and not rows[0]:
        rows.pop(0)
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as err:
        raise InputError(f"{text!r} in {path}", "a number", "export the model again") from err


def _transforms(path: Path) -> list[PictureCamera]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        frames = data["frames"]
        found = [_transform(frame, {**data, **frame}) for frame in frames]
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise InputError(
            f"{path}, which is no file of cameras ({type(err).__name__}: {err})",
            'nerfstudio\'s or Blender\'s {"frames": [{"file_path": ..., "transform_matrix": ...}]}',
            "choose another file",
        ) from err
    _warn_of_distortion([float(one.get(k, 0)) for one in (data, *frames) for k in _DISTORTION], path)
    return found


def _transform(frame: dict[str, Any], values: dict[str, Any]) -> PictureCamera:
    pose = np.array(frame["transform_matrix"], np.float64)
    if pose.shape not in ((3, 4), (4, 4)) or not np.isfinite(pose).all():
        raise ValueError(f"a transform_matrix of shape {pose.shape}")
    axes = pose[:3, :3] / np.cbrt(np.linalg.det(pose[:3, :3]))  # some writers scale the world in them
    if not np.allclose(axes @ axes.T, np.eye(3), atol=1e-2):
        raise ValueError("a transform_matrix that is no rotation")
    u, _, vt = np.linalg.svd(axes)
    rotation = np.diag([1.0, -1.0, -1.0]) @ (u @ vt).T  # x right, y down, z forward
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3], world_to_cam[:3, 3] = rotation, -rotation @ pose[:3, 3]
    return PictureCamera(str(frame["file_path"]), world_to_cam, _lens(values))


def _lens(values: dict[str, Any]) -> tuple[float, float, float, float]:
    w, h = (float(values[k]) if k in values else math.nan for k in ("w", "h"))
    cx, cy = (float(values[k]) if k in values else side / 2 for k, side in (("cx", w), ("cy", h)))
    w, h = (2 * c if math.isnan(side) else side for side, c in ((w, cx), (h, cy)))  # no size: the centre is the middle
    if "fl_x" in values:
        fx = float(values["fl_x"])
        fy = float(values.get("fl_y", fx))
        if math.isnan(w) or math.isnan(h):
            raise ValueError("fl_x without w and h")
        return fx / w, fy / h, cx / w, cy / h
    fx_w = 0.5 / math.tan(float(values["camera_angle_x"]) / 2)
    fy_h = 0.5 / math.tan(float(values["camera_angle_y"]) / 2) if "camera_angle_y" in values else math.nan
    return fx_w, fy_h, 0.5 if math.isnan(w) else cx / w, 0.5 if math.isnan(h) else cy / h


def _warn_of_distortion(numbers: list[float], path: Path) -> None:
    if any(abs(x) > _NEGLIGIBLE for x in numbers):
        log.warning(
            "the lenses in %s distort (up to %.3g), which is left out here: undistort the pictures for a better scene",
            path.name,
            max(map(abs, numbers)),
        )
