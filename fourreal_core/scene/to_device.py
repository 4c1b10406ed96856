"""Moves scenes and tracks between devices."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from ..cameras import Cameras
from ..tracking.tracks import Tracks
from .deformation_field import DeformationField
from .gaussians import Splats
from .scene4d import Scene4D


def _tensors_to(
    data: Splats | Cameras | DeformationField | Tracks | Scene4D, device: torch.device
) -> dict[str, torch.Tensor]:
    values = {f.name: getattr(data, f.name) for f in fields(data)}
    return {name: value.to(device) for name, value in values.items() if isinstance(value, torch.Tensor)}


def scene_to(scene: Scene4D, device: torch.device) -> Scene4D:
    """The scene on a device; the given one stays where it is."""
    field = scene.deformation
    return replace(
        scene,
        splats=replace(scene.splats, **_tensors_to(scene.splats, device)),
        cameras=replace(scene.cameras, **_tensors_to(scene.cameras, device)),
        deformation=None if field is None else replace(field, **_tensors_to(field, device)),
        **_tensors_to(scene, device),
    )


def tracks_to(tracks: Tracks, device: torch.device) -> Tracks:
    """The tracks on a device."""
    return replace(tracks, **_tensors_to(tracks, device))
