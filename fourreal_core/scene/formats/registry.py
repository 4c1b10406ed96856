"""The formats that a scene can be exported to: a new one is a module here and a row in the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from .packages import FOURDGS, GAUSSFORGE, USD
from .scene_format import SceneFormat

_STILL, _MOVES = frozenset({"time", "view"}), frozenset({"fps"})


def _here(module: str) -> str:
    return f"{__package__}.{module}"


# fmt: off
FORMATS: tuple[SceneFormat, ...] = (
    SceneFormat("ply", (".ply",), "a file a time step", _here("ply"), _STILL | {"times"}, folder=True),
    SceneFormat("4dgs", (".4dgs",), "one file that moves", _here("fourdgs"), _MOVES, FOURDGS),
    SceneFormat("usd", (".usd", ".usdc", ".usda"), "one stage that moves, with cameras", _here("usd"), _MOVES, USD),
    SceneFormat("glb", (".glb",), "a moment, in glTF", _here("gltf"), _STILL, FOURDGS),
    SceneFormat("spz", (".spz",), "a moment, compressed", _here("compressed"), _STILL, GAUSSFORGE),
    SceneFormat("sog", (".sog",), "a moment, compressed as pictures", _here("compressed"), _STILL, GAUSSFORGE),
    SceneFormat("cameras", (".json",), "the clip's cameras, to render along", _here("camera_path_file")),
    SceneFormat("colmap", (), "cameras and points, a folder of text", _here("colmap"), folder=True),
    SceneFormat("nerfstudio", ("transforms.json",), "cameras, with the pictures of a run", _here("nerfstudio")),
    SceneFormat("blender", (".py",), "a script that sets up cameras", _here("blender"), _MOVES),
)
# fmt: on
"""In the order of menus; of two that fit a name the one with the longer ending is meant."""


def format_named(name: str, formats: Sequence[SceneFormat] = FORMATS) -> SceneFormat:
    """The format of a name.

    Raises:
        InputError: There is none.
    """
    for form in formats:
        if form.name == name:
            return form
    raise InputError(f"the format {name!r}", f"one of {', '.join(f.name for f in formats)}", "choose one of them")


def format_of(path: Path, formats: Sequence[SceneFormat] = FORMATS) -> SceneFormat:
    """The format that a path means by its ending; one without an ending is a folder of the first that is one.

    Raises:
        InputError: An ending that no format has.
    """
    fitting = [form for form in formats if form.fits(path)]
    if fitting:
        return max(fitting, key=lambda form: max(len(e) for e in form.endings if path.name.lower().endswith(e)))
    if _has_ending(path):
        raise InputError(
            f"the output {path.name}, whose ending {path.suffix} means no format",
            f"{', '.join(endings(formats))}, or a name without an ending for a folder",
            "choose one of these endings",
        )
    return next(form for form in formats if form.folder)


def check_path(form: SceneFormat, path: Path) -> None:
    """Raises InputError for a path that a format does not write."""
    if form.fits(path) or (form.folder and not _has_ending(path)):
        return
    folder = ["a folder's name without an ending"] if form.folder else []
    raise InputError(
        f"the output {path.name} for {form.name}",
        " or ".join([*(f"a name that ends in {e}" for e in form.endings), *folder]),
        "choose another -o",
    )


def endings(formats: Sequence[SceneFormat] = FORMATS) -> list[str]:
    """All endings, in the order of the table."""
    return list(dict.fromkeys(e for form in formats for e in form.endings))


def _has_ending(path: Path) -> bool:
    """Whether a name ends in what looks like a format; ``v1.5`` does not."""
    return not path.suffix[1:].isdigit() and path.suffix != ""
