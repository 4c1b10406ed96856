"""Moves scenes and tracks between devices."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch

from ..cameras import Cameras
from ..tracking.tracks import Tracks
from .deformation_field import DeformationField
from .gaussians import Splats
from .scene4d import Scene4D

_Data = TypeVar("_Data", Splats, Cameras, DeformationField, Tracks, Scene4D)


def _moved(data: _Data, device: torch.device) -> _Data:
    """The same with its own tensors on a device."""
    values: dict[str, Any] = {f.name: getattr(data, f.name) for f in fields(data)}
    changes: dict[str, Any] = {name: x.to(device) for name, x in values.items() if isinstance(x, torch.Tensor)}
    return replace(data, **changes)


def scene_to(scene: Scene4D, device: torch.device) -> Scene4D:
    """The scene on a device; the given one stays where it is."""
    field = scene.deformation
    return replace(
        _moved(scene, device),
        splats=_moved(scene.splats, device),
        cameras=_moved(scene.cameras, device),
        deformation=None if field is None else _moved(field, device),
    )


def tracks_to(tracks: Tracks, device: torch.device) -> Tracks:
    """The tracks on a device."""
    return _moved(tracks, device)
