"""A moment of a scene as ``.spz`` (version 4) or ``.sog``, the compressed files of web viewers, by ``gaussforge``.

Both hold upright axes: x right, y up, z to the viewer. What rounding costs is in docs/outputs.md.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...media.files import write_bytes
from ...progress import OnStep
from ..gaussians import Splats
from ..scene4d import Scene4D
from .axes import upright
from .packages import GAUSSFORGE
from .ply import ply_bytes, splats_at
from .scene_format import ExportOptions

_MOST_SPZ = 2.0**23 / 2**12  # positions are 24 bits in steps of 1 / 4096


def compressed_bytes(splats: Splats, kind: str) -> bytes:
    """The file of splats in this project's axes.

    Args:
        splats: What to write.
        kind: ``spz`` or ``sog``.

    Raises:
        InputError: No ``gaussforge`` package, no splats, values that are not finite, or splats farther away than the
            format reaches.
    """
    forge = GAUSSFORGE.load("gaussforge").GaussForge()
    if len(splats) == 0:
        raise InputError("a scene without splats", "at least one", "prune fewer floaters, or check the clip")
    data = ply_bytes(upright(splats))  # refuses what is not finite
    farthest = float(splats.means.detach().abs().max())
    if kind == "spz" and farthest >= _MOST_SPZ:
        raise InputError(
            f"a splat {farthest:g} units away",
            f"less than {_MOST_SPZ:g}, which .spz can hold",
            "export .sog or .ply, or prune floaters",
        )
    result = forge.convert(data, "ply", kind, spz_version=4)  # .sog makes nothing of it
    if "data" not in result:
        raise InputError(
            f"gaussforge, which cannot write .{kind} ({result.get('error')})", "a file", "export .ply instead"
        )
    return bytes(result["data"])


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    data = compressed_bytes(splats_at(scene, options.moment, options.view), path.suffix.lower()[1:])
    on_step(1, 1)
    return [write_bytes(path, data)]
