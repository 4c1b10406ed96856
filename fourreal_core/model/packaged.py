"""Models that come with this package, by name."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "weights"
_PREFIX, _SUFFIX = "fourreal_", ".safetensors"


def packaged_files(folder: Path = FOLDER) -> list[Path]:
    """The files of the models that are here, in order; other networks' weights may lie beside them."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def packaged_models(folder: Path = FOLDER) -> list[str]:
    """Names of the models that are here, such as ``small``."""
    return [path.name[len(_PREFIX) : -len(_SUFFIX)] for path in packaged_files(folder)]


def packaged_model(name: str, folder: Path = FOLDER) -> Path:
    """The file of a model, for model_file.load_model.

    Raises:
        InputError: There is none of that name.
    """
    names = packaged_models(folder)
    if name not in names:
        raise InputError(
            f"the model {name!r}",
            f"one that comes with this package: {', '.join(names) or 'none do'}",
            "check the name, or install the package again",
        )
    return folder / f"{_PREFIX}{name}{_SUFFIX}"
