"""A clip that only zooms is told from one whose camera moves."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras, intrinsics_from_focal
from fourreal_core.geometry.bundle_adjustment import Observations
from fourreal_core.geometry.rotations import rotation_from_vector
from fourreal_core.geometry.structure_from_motion import ParallaxOptions, find_cameras, parallax_geometry
from fourreal_core.geometry.zoom import ZoomingCamera, fit_zoom

from .worlds import FOCAL_PX, SIZE, look, standing


def zoomed(zooms: list[float], forward: list[float] | None = None) -> Cameras:
    """Cameras that look straight ahead, each with a focal length of its own, and may step forward."""
    poses = standing(len(zooms)).world_to_cam.clone()
    poses[:, 2, 3] = -torch.tensor(forward or [0.0] * len(zooms))
    return Cameras(poses, torch.stack([intrinsics_from_focal(FOCAL_PX * z, SIZE) for z in zooms]), SIZE)


def test_focal_lengths_and_turns_from_exact_matches() -> None:
    rng = np.random.default_rng(0)
    true = ZoomingCamera(
        np.stack([rotation_from_vector(np.array(v)) for v in ([0.01, -0.05, 0.02], [0, 0, 0.0], [-0.02, 0.06, 0])]),
        np.array([100.0, 130.0, 170.0]),
    )
    pixels = rng.uniform(-40, 40, (60, 2))
    pairs = {}
    for i in range(3):
        for j in range(3):
            if i != j:
                seen = true.seen(pixels, (i, j))
                seen[:9] += rng.uniform(3, 8, (9, 2))  # what is matched wrongly
                pairs[i, j] = (np.arange(60) + 60 * i, seen, np.ones(60))
    obs = Observations(np.tile(pixels, (3, 1)), np.repeat(np.arange(3), 60), pairs)
    found = fit_zoom(obs, 3, 130.0)
    np.testing.assert_allclose(found.focal_px, true.focal_px, rtol=0.02)
    np.testing.assert_allclose(found.rotations, true.rotations, atol=4e-3)
    assert found.zoom == pytest.approx(1.7, rel=0.03) and found.median_error(obs) < 0.3


def test_a_clip_that_only_zooms_is_said_and_has_a_focal_length_a_view(caplog: pytest.LogCaptureFixture) -> None:
    zooms = [1.0, 1.1, 1.2, 1.3, 1.4]
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        found = parallax_geometry(look(zoomed(zooms)).clip)
    assert "next to no parallax (a camera that only zooms, by a factor 1.4" in caplog.text
    focal = found.intrinsics[:, 0, 0]
    torch.testing.assert_close(focal / focal[0], torch.tensor(zooms), rtol=0.01, atol=0)
    cameras = found.cameras
    assert float(cameras.world_to_cam[:, :3, 3].abs().max()) == 0
    # all views see one thing: points at distance 1 from where all cameras stand
    torch.testing.assert_close(found.points.norm(dim=-1), torch.ones(5, *SIZE))
    assert float(found.confidence.max()) == 0


def test_a_step_forward_is_no_zoom(caplog: pytest.LogCaptureFixture) -> None:
    """The wall grows by a sixth, the board before it by a third."""
    stepping = look(zoomed([1.0] * 5, [0.0, 0.15, 0.3, 0.45, 0.6]))
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        found = find_cameras(stepping.clip, options=ParallaxOptions(focal_px=FOCAL_PX))
    assert found.zooming is None and found.turning is None and found.no_parallax == ""


def test_a_camera_that_only_turns_is_no_zoom() -> None:
    cameras = standing(3)
    poses = cameras.world_to_cam.clone()
    poses[0, :3, :3] = torch.from_numpy(rotation_from_vector(np.array([0, 0.04, 0]))).float()
    found = find_cameras(look(Cameras(poses, cameras.intrinsics, SIZE)).clip)
    assert found.turning is not None and found.zooming is None and "only turns" in found.no_parallax
