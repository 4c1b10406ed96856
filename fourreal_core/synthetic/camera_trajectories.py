"""Camera trajectories of made scenes: orbits, dollies, slides, cranes and mixtures, smooth along the view axis."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..cameras import Cameras, intrinsics_from_focal
from .meshes import Floats, rotation, vector
from .random_choices import SceneRng


def random_trajectory(rng: SceneRng, phases: Floats, size: tuple[int, int], ground: float) -> Cameras:
    """Cameras that look at a subject of radius 1 at the origin and keep above the ground.

    Args:
        rng: Source of all choices.
        phases: ``(V,)`` from 0 to 1 along the path; beyond 1 it turns back.
        size: ``(height, width)`` of the frames in pixels.
        ground: Height of the ground; y points down.
    """
    kind = rng.choice(("orbit", "orbit", "orbit", "dolly", "slide", "crane", "mixture", "mixture"))
    there = 0.5 - 0.5 * np.cos(np.pi * phases) if rng.chance(0.5) else 1 - np.abs(phases % 2 - 1)
    focal, fill = rng.uniform(0.9, 1.5), rng.uniform(0.85, 1.3)
    distance = 2 * focal / fill
    orbit = rng.signed(8, 32) if kind in ("orbit", "mixture") else rng.uniform(-4, 4)
    climb = rng.signed(4, 18) if kind in ("crane", "mixture") else rng.uniform(-3, 3)
    closer = rng.choice((0.75, 0.85, 1.2, 1.3)) if kind in ("dolly", "mixture") else 1.0
    slide = rng.signed(0.25, 0.6) if kind == "slide" else 0.0
    azimuth = math.radians(rng.uniform(-20, 20)) + np.radians(orbit) * (there - 0.5)
    pitch = np.radians(rng.uniform(4, 26) + climb * (there - 0.5)).clip(0.0, 0.7)
    away = distance * (1 + (closer - 1) * (there - 0.5 * (kind == "mixture")))
    target = np.zeros((len(phases), 3)) + 0.15 * rng.normals(1, 3) * [1, 1, 0]
    target[:, 0] += slide * (there - 0.5)
    # a low camera would look through the ground, one too high at nothing else
    eye = target + away[:, None] * np.stack(
        [np.sin(azimuth) * np.cos(pitch), -np.sin(pitch), -np.cos(azimuth) * np.cos(pitch)], -1
    )
    eye[:, 1] = np.minimum(eye[:, 1], ground - 0.35)
    roll = math.radians(rng.uniform(-5, 5)) if rng.chance(0.3) else 0.0
    short = min(size) / size[1]
    lens = intrinsics_from_focal(focal * short * size[1], size)
    return Cameras(torch.from_numpy(look_at(eye, target, roll)), lens.expand(len(phases), 3, 3).clone(), size)


def arc(
    phases: Floats, size: tuple[int, int], eye: Floats, target: Floats, degrees: float = 24.0, rise: float = 0.12
) -> Cameras:
    """Cameras on an arc about the upright axis through what they look at, rising a little from left to right.

    Args:
        phases: ``(V,)`` from 0 to 1 along the arc.
        size: ``(height, width)`` of the frames in pixels; the focal length is the width.
        eye: ``(3,)`` middle of the arc, in world units.
        target: ``(3,)`` what they look at.
        degrees: Angle of the whole arc.
        rise: By which the last camera is higher than the first, in world units.
    """
    turn = rotation((0, 1, 0), np.radians(degrees) * (0.5 - phases))
    eyes = target + turn @ (eye - target) - np.outer(rise * phases, vector(0, 1, 0))
    lens = intrinsics_from_focal(float(size[1]), size).expand(len(phases), 3, 3).clone()
    return Cameras(torch.from_numpy(look_at(eyes, np.broadcast_to(target, eyes.shape))), lens, size)


def look_at(eye: Floats, target: Floats, roll: float = 0.0) -> Floats:
    """World-to-camera transforms ``(V, 4, 4)`` of cameras at ``eye (V, 3)`` that look at ``target (V, 3)``."""
    forward = target - eye
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    down = np.array([math.sin(roll), math.cos(roll), 0.0])
    right = np.cross(np.broadcast_to(down, forward.shape), forward)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    rot = np.stack([right, np.cross(forward, right), forward], 1)
    transform = np.zeros((len(eye), 4, 4), np.float32)
    transform[:, :3, :3], transform[:, 3, 3] = rot, 1
    transform[:, :3, 3] = -np.einsum("vij,vj->vi", rot, eye)
    return transform
