"""A 4D scene as a USD stage, through OpenUSD: one ``ParticleField3DGaussianSplat`` that moves, and the clip's cameras.

The axes are upright (y up, z to the viewer). Only positions have time samples, one a time step at time codes 0, 1, ...,
between which USD interpolates evenly, and opacities where splats come and go; everything else is constant and stored
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...cameras import Cameras
from ...errors import InputError
from ...media.files import whole_file
from ...progress import OnStep, no_progress
from ..scene4d import Scene4D
from .axes import Y_UP, opengl_poses
from .packages import USD
from .ply import SH_C0
from .scene_format import ExportOptions

_APERTURE = 36.0  # mm, the width of a full-frame sensor; only ratios to the focal length matter
_CLIPPING = (0.001, 10_000.0)  # scene units; USD's own would cut off what is nearer than 1


def save_usd(scene: Scene4D, path: str | Path, fps: float = 8.0, on_step: OnStep = no_progress) -> None:
    """Writes a scene with its motion and cameras; the file appears whole or not at all.

    Args:
        scene: What to write.
        path: File name in ``.usdc`` or ``.usd`` (binary), or ``.usda`` (text).
        fps: Time steps a second.
        on_step: Progress, one step a time step and one for writing.

    Raises:
        InputError: No OpenUSD of version 26.03 or later, values that are not finite, or a folder that cannot be
            written.
    """
    vol = USD.load("pxr.UsdVol")
    if not hasattr(vol, "ParticleField3DGaussianSplat"):
        raise InputError(
            "a usd-core without Gaussian splats",
            "version 26.3 or later",
            "update it with `python -m pip install -U usd-core`",
        )
    usd, geom = USD.load("pxr.Usd"), USD.load("pxr.UsdGeom")
    stage = usd.Stage.CreateInMemory()
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(scene.times - 1)
    stage.SetDefaultPrim(geom.Xform.Define(stage, "/Scene").GetPrim())
    _add_splats(stage, scene, on_step)
    geom.Scope.Define(stage, "/Scene/Cameras")
    for view in range(scene.views):
        _add_camera(stage, f"/Scene/Cameras/view_{view:02}", scene.cameras[view])
    with whole_file(path) as part:
        stage.GetRootLayer().Export(str(part))
    on_step(scene.times + 1, scene.times + 1)


def _add_splats(stage: Any, scene: Scene4D, on_step: OnStep) -> None:
    vt, usd = USD.load("pxr.Vt"), USD.load("pxr.Usd")
    splats, n = scene.splats, len(scene.splats)
    scales = splats.scales.detach().cpu().numpy()
    colors = splats.colors.detach().cpu().numpy()
    turned = np.zeros((n, 4), np.float32)
    turned[:, 3] = 1  # the layout of OpenUSD's quaternions is x, y, z, w
    prim = USD.load("pxr.UsdVol").ParticleField3DGaussianSplat.Define(stage, "/Scene/Splats")
    constant = {
        "Scales": vt.Vec3fArray.FromNumpy(np.repeat(scales[:, None], 3, 1)),
        "Orientations": vt.QuatfArray.FromNumpy(turned),
        "Opacities": vt.FloatArray.FromNumpy(scene.opacities_at(0).detach().cpu().numpy()),
        "RadianceSphericalHarmonicsDegree": 0,
        "RadianceSphericalHarmonicsCoefficients": vt.Vec3fArray.FromNumpy((colors - 0.5) / np.float32(SH_C0)),
    }
    positions, reach, corners = prim.CreatePositionsAttr(), 3 * scales[:, None], []
    turn = torch.as_tensor(Y_UP, dtype=torch.float32)
    for t in range(scene.times):
        with torch.no_grad():
            at = (scene.deformed(t).cpu() @ turn).numpy()
        if not (np.isfinite(at).all() and np.isfinite(scales).all() and np.isfinite(colors).all()):
            raise InputError("splats with NaN or infinite values", "finite numbers", "fit the scene again")
        if t == 0:
            positions.Set(vt.Vec3fArray.FromNumpy(at))  # for readers that ask for no time
        positions.Set(vt.Vec3fArray.FromNumpy(at), usd.TimeCode(t))
        corners += [(at - reach).min(0), (at + reach).max(0)] if n else []
        on_step(t + 1, scene.times + 1)
    if n:
        constant["Extent"] = vt.Vec3fArray.FromNumpy(np.stack([np.min(corners, 0), np.max(corners, 0)]))
    for name, value in constant.items():
        getattr(prim, f"Create{name}Attr")().Set(value)
    for t in range(scene.times if scene.lifetimes is not None else 0):
        opacities = vt.FloatArray.FromNumpy(scene.opacities_at(t).detach().cpu().numpy())
        prim.GetOpacitiesAttr().Set(opacities, usd.TimeCode(t))


def _add_camera(stage: Any, name: str, camera: Cameras) -> None:
    """One pinhole camera; apertures and focal length are those of a sensor 36 mm wide."""
    gf = USD.load("pxr.Gf")
    prim = USD.load("pxr.UsdGeom").Camera.Define(stage, name)
    pose = opengl_poses(camera, Y_UP)[0]
    prim.AddTransformOp().Set(gf.Matrix4d(*pose.T.reshape(-1).tolist()))  # row vectors there
    (height, width), k = camera.size, camera.intrinsics[0].cpu().double().numpy()
    focal = _APERTURE * k[0, 0] / width
    prim.CreateFocalLengthAttr(focal)
    prim.CreateHorizontalApertureAttr(_APERTURE)
    prim.CreateVerticalApertureAttr(height * focal / k[1, 1])
    prim.CreateHorizontalApertureOffsetAttr((width / 2 - k[0, 2]) * focal / k[0, 0])
    prim.CreateVerticalApertureOffsetAttr((k[1, 2] - height / 2) * focal / k[1, 1])
    prim.CreateClippingRangeAttr(gf.Vec2f(*_CLIPPING))


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    save_usd(scene, path, options.steps_per_second, on_step)
    return [path]
