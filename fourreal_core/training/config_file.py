"""The TOML file of a training run: read, checked key by key, and made into a TrainingConfig before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model.spec import DiTSpec, Model4DSpec
from ..proposals.plane_names import planes_named
from .data.pseudo4d import WarpOptions
from .options import STAGES, BaseOptions, DataOptions, RunOptions, TrainingConfig, TrainOptions

_SECTIONS = ("model", "data", "train", "run", "base")


def read_config(path: Path | str, stage: str, changes: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Reads a TOML file with the sections ``model``, ``data``, ``train``, ``run`` and ``base``.

    Keys of ``[train.STAGE]`` take the place of those of ``[train]``, and ``[data.STAGE]`` likewise. Relative paths
    are taken from the current folder.

    Args:
        path: The file.
        stage: One of STAGES.
        changes: Further values by dotted name, such as ``{"train.steps": 10}``; they win.

    Raises:
        InputError: A file that can't be read, a key that is unknown (with the nearest known one), or a bad value.
    """
    if stage not in STAGES:
        raise InputError(f"a stage {stage!r}", "one of " + ", ".join(STAGES), "choose one of them")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"the configuration {path} can't be read ({err})", "a TOML file", "check its name") from err
    return parse_config(text, stage, str(path), changes)


def parse_config(
    text: str, stage: str, name: str = "the configuration", changes: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """As ``read_config``, from the text itself; ``stage`` is one of STAGES."""
    sections = parse_toml(text, name)
    _only(sections, _SECTIONS, name)
    for section in ("data", "train"):
        own = dict(sections.get(section, {}))
        stages = {s: own.pop(s, {}) for s in STAGES}
        sections[section] = own | stages[stage]
        for other, values in stages.items():
            if other != stage:
                _only(
                    values, _names(DataOptions if section == "data" else TrainOptions), f"[{section}.{other}] of {name}"
                )
    for dotted, value in (changes or {}).items():
        section, _, key = dotted.partition(".")
        if section not in _SECTIONS or not key:
            raise InputError(f"the setting {dotted!r}", "section.key, such as train.steps", "check its name")
        sections.setdefault(section, {})[key] = value
    model, data = dict(sections.get("model", {})), dict(sections.get("data", {}))
    outer = {key: model.pop(key) for key in ("variant", "dropped", "sync_rank") if key in model}
    if isinstance(model.get("proposals"), str):
        model["proposals"] = list(planes_named(model["proposals"]))
    dit = _build(DiTSpec, model, f"[model] of {name}", ("variant", "dropped", "sync_rank"))
    if "warp" in data:
        data["warp"] = _build(WarpOptions, data["warp"], f"[data.warp] of {name}")
    defaults = {"trains": "base"} if stage == "base" else {}
    return TrainingConfig(
        stage,
        Model4DSpec(dit=dit, **outer),
        _build(DataOptions, data, f"[data] of {name}"),
        _build(TrainOptions, defaults | sections.get("train", {}), f"[train] of {name}"),
        _build(RunOptions, sections.get("run", {}), f"[run] of {name}"),
        _build(BaseOptions, sections.get("base", {}), f"[base] of {name}"),
    )


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The sections of a TOML text; ``name`` is what messages call it.

    Raises:
        InputError: It is no TOML.
    """
    try:
        import tomllib
    except ImportError:  # before Python 3.11
        import tomli as tomllib  # type: ignore[no-redef]  # the same functions under another name
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise InputError(f"{name} is not TOML ({err})", "sections and key = value lines", "mend that line") from err


def _build(kind: type, values: Mapping[str, Any], where: str, also: tuple[str, ...] = ()) -> Any:
    """An options object from a section, with every key and type checked."""
    _only(values, (*_names(kind), *also), where)
    plain = {f.name: f for f in fields(kind)}
    defaults = None if kind is DataOptions else kind()
    kept = {}
    for key, value in values.items():
        kept[key] = _tuples(value)
        like = getattr(defaults, key, plain[key].default)
        fits = (
            isinstance(like, bool) == isinstance(value, bool) and isinstance(value, (int, float))
            if isinstance(like, (int, float))
            else isinstance(kept[key], type(like)) or not isinstance(like, (str, tuple))
        )
        if not fits or (isinstance(like, int) and isinstance(value, float)):
            raise InputError(f"{key} = {value!r} in {where}", f"something like {like!r}", "change it")
    return kind(**kept)


def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _only(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    if not isinstance(values, Mapping):
        raise InputError(f"{values!r} for {where}", "a section of keys", "write it as a section")
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise InputError(
                f"the unknown key {key!r} in {where}",
                "one of " + ", ".join(known),
                f"did you mean {near[0]!r}" if near else "remove it",
            )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
