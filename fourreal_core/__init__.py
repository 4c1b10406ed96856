"""4Real: 4D video from a freeze-time clip and a fixed-view clip, as a library on PyTorch.

The names below are the public interface; each is imported when it is first asked for, so that importing the package
costs nothing. Nothing in here knows ComfyUI; the nodes beside this package are one of its users, the ``fourreal``
command another.

Examples:
    >>> import fourreal_core as fr  # doctest: +SKIP
    >>> freeze_time, fixed_view = fr.read_clip_pair("around.mp4", "moving.mp4", views=8, times=8)  # doctest: +SKIP
    >>> result = fr.run_pipeline(fr.FrameGrid.from_clips(freeze_time, fixed_view))  # doctest: +SKIP
    >>> fr.write_video(fr.bullet_time(result.scene, 32), "bullet_time.mp4")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names as in _MODULES; a test compares them
    from .cameras import Cameras
    from .errors import InputError
    from .grid import FrameGrid
    from .media import read_clip, read_clip_pair, read_image, save_image, write_video
    from .metrics import psnr, ssim
    from .pipeline import PipelineOptions, PipelineResult, run_pipeline
    from .progress import OnStep, StageFactory
    from .scene.camera_paths import fixed_view_path, freeze_time_path, orbit_path
    from .scene.formats.ply import save_ply_sequence
    from .scene.formats.scene_file import load_scene, save_scene
    from .scene.render import bullet_time, render_along, render_camera, render_cell
    from .scene.scene4d import Scene4D

__version__ = "0.2.0"

__all__ = [
    "Cameras",
    "FrameGrid",
    "InputError",
    "OnStep",
    "PipelineOptions",
    "PipelineResult",
    "Scene4D",
    "StageFactory",
    "bullet_time",
    "fixed_view_path",
    "freeze_time_path",
    "load_scene",
    "orbit_path",
    "psnr",
    "read_clip",
    "read_clip_pair",
    "read_image",
    "render_along",
    "render_camera",
    "render_cell",
    "run_pipeline",
    "save_image",
    "save_ply_sequence",
    "save_scene",
    "ssim",
    "write_video",
]

_MODULES = {
    "cameras": ("Cameras",),
    "errors": ("InputError",),
    "grid": ("FrameGrid",),
    "media": ("read_clip", "read_clip_pair", "read_image", "save_image", "write_video"),
    "metrics": ("psnr", "ssim"),
    "pipeline": ("PipelineOptions", "PipelineResult", "run_pipeline"),
    "progress": ("OnStep", "StageFactory"),
    "scene.formats.ply": ("save_ply_sequence",),
    "scene.formats.scene_file": ("load_scene", "save_scene"),
    "scene.camera_paths": ("fixed_view_path", "freeze_time_path", "orbit_path"),
    "scene.render": ("bullet_time", "render_along", "render_camera", "render_cell"),
    "scene.scene4d": ("Scene4D",),
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for (PEP 562)."""
    import importlib

    for module, names in _MODULES.items():
        if name in names:
            value: object = getattr(importlib.import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
