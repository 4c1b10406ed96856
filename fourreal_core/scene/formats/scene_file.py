"""A 4D scene in one ``.safetensors`` file: versioned, strict, never pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...cameras import Cameras
from ...errors import InputError
from ...media.files import write_bytes
from ..deformation_field import DeformationField, DeformationSpec
from ..gaussians import Splats
from ..scene4d import Scene4D

FORMAT = "fourreal-scene"
VERSION = 4  # 2 added motion_residual, 3 view_colors and tracked_output, 4 lifetimes
_FIELD = {"deformation.waves": "frequencies", "deformation.phases": "phases", "deformation.out": "weights"}
"""Tensors of the deformation field by their name in a file."""
_OPTIONAL = {
    "motion_residual": "motion_residual",
    "tracked_output": "tracked_weights",
    "view_colors": "view_colors",
    "lifetimes": "lifetimes",
}
"""Tensors that a scene may lack, by their name in a file."""
_NAMES = {
    "means",
    "log_scales",
    "colors",
    "opacity_logits",
    "world_to_cam",
    "intrinsics",
    "view_offsets",
    "visible",
    "motion_weight",
    "view_depth",
    "view_motion",
    "background",
}


def scene_tensors(scene: Scene4D) -> dict[str, torch.Tensor]:
    """Everything of a scene that is numbers, by name."""
    tensors = {
        "means": scene.splats.means,
        "log_scales": scene.splats.log_scales,
        "colors": scene.splats.colors,
        "opacity_logits": scene.splats.opacity_logits,
        "world_to_cam": scene.cameras.world_to_cam,
        "intrinsics": scene.cameras.intrinsics,
        "view_offsets": scene.view_offsets,
        "visible": scene.visible,
        "motion_weight": scene.motion_weight,
        "view_depth": scene.view_depth,
        "view_motion": scene.view_motion,
        "background": scene.background,
    }
    tensors |= {name: getattr(scene, own) for name, own in _OPTIONAL.items() if getattr(scene, own) is not None}
    if scene.deformation is not None:
        tensors |= {name: getattr(scene.deformation, own) for name, own in _FIELD.items()}
    return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}


def save_scene(scene: Scene4D, path: str | Path) -> None:
    """Writes a scene; the file appears whole or not at all.

    Args:
        scene: What to save.
        path: File name, usually ending in ``.safetensors``.

    Raises:
        InputError: Values that are not finite, or a folder that cannot be written.
    """
    tensors = scene_tensors(scene)
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(
                f"a scene whose {name} holds NaN or infinite values",
                "finite numbers",
                "fit the scene again, with fewer steps or a lower rate",
            )
    spec = None if scene.deformation is None else asdict(scene.deformation.spec)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "times": str(scene.times),
        "size": json.dumps(list(scene.cameras.size)),
        "deformation": json.dumps(spec),
    }
    write_bytes(path, save(tensors, metadata))


def load_scene(path: str | Path) -> Scene4D:
    """Reads a scene that ``save_scene`` wrote.

    Raises:
        InputError: No such file, another kind of file, a newer version, or tensors missing, unexpected or misshapen.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}", "a scene saved as .safetensors", "check the name")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # copied out of the map of the file: aligned as in the scene that was saved, and the file is free again
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path.name} cannot be read as safetensors ({error})", "a 4D scene file", "save the scene again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path.name} is a safetensors file of another kind",
            f"one with format {FORMAT!r}",
            "choose a file that the 4D scene was saved to",
        )
    try:
        version, times = int(metadata["version"]), int(metadata["times"])
        height, width = (int(x) for x in json.loads(metadata["size"]))
        spec = _spec(json.loads(metadata["deformation"]))
    except InputError:
        raise
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path.name} has a header that says {error!r}",
            f"the header of a scene of version {VERSION}",
            "save the scene again, or update this extension",
        ) from error
    if version > VERSION:
        raise InputError(f"{path.name} is a scene of version {version}", f"at most {VERSION}", "update this extension")
    return _assemble(path.name, tensors, spec, times, (height, width))


def _spec(values: dict[str, Any] | None) -> DeformationSpec | None:
    return None if values is None else DeformationSpec(**{k: _tuple(v) for k, v in values.items()})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _assemble(
    name: str, tensors: dict[str, torch.Tensor], spec: DeformationSpec | None, times: int, size: tuple[int, int]
) -> Scene4D:
    expected = _NAMES | (set() if spec is None else set(_FIELD))
    missing, unexpected = sorted(expected - set(tensors)), sorted(set(tensors) - expected - set(_OPTIONAL))
    if missing or unexpected:
        raise InputError(
            f"{name} lacks {missing or 'nothing'} and has {unexpected or 'nothing'} beyond a scene",
            "exactly a scene's tensors",
            "save the scene again",
        )
    for key, value in tensors.items():
        dtype = torch.bool if key == "visible" else torch.float32
        if value.dtype != dtype:
            raise InputError(f"{name} holds {key} of type {value.dtype}", f"{dtype}", "save the scene again")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{name} holds NaN or infinite values in {key}", "finite numbers", "save the scene again")
    field = None if spec is None else DeformationField(spec, **{own: tensors[name] for name, own in _FIELD.items()})
    cameras = Cameras(tensors["world_to_cam"], tensors["intrinsics"], size)
    splats = Splats(tensors["means"], tensors["log_scales"], tensors["opacity_logits"], tensors["colors"])
    return Scene4D(
        splats,
        cameras,
        view_offsets=tensors["view_offsets"],
        visible=tensors["visible"],
        motion_weight=tensors["motion_weight"],
        view_depth=tensors["view_depth"],
        view_motion=tensors["view_motion"],
        times=times,
        deformation=field,
        background=tensors["background"],
        **{own: tensors.get(name) for name, own in _OPTIONAL.items()},
    )
