"""The state of a run on disk: weights, average, optimizer and step; safetensors and JSON, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import InputError
from ..media.files import prepare_folder

_FILES = {"weights": "weights.safetensors", "average": "average.safetensors", "optimizer": "optimizer.safetensors"}
_STATE, _PREFIX = "state.json", "step-"


@dataclass(frozen=True)
class RunState:
    """Everything a run needs to go on to the same losses.

    Attributes:
        step: Steps done.
        weights: Of the whole model, by name.
        average: Running average of the trained weights; empty where none is kept.
        optimizer: ``{parameter}/{moment}`` to tensor.
        facts: JSON values: the configuration, the precision that was chosen, and so on.
    """

    step: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    facts: dict[str, Any]


def save_state(folder: Path, state: RunState, keep: int) -> Path:
    """Writes a checkpoint as a folder that appears whole, and removes all but the last ``keep``.

    Raises:
        InputError: The disk is full or the folder can't be written; earlier checkpoints stay.
    """
    prepare_folder(folder)
    path = folder / f"{_PREFIX}{state.step:08d}"
    part = folder / f".{path.name}-{os.getpid()}.part"
    try:
        part.mkdir()
        for name, file_name in _FILES.items():
            tensors = {k: v.detach().cpu().contiguous() for k, v in getattr(state, name).items()}
            save_file(tensors or {"none": torch.zeros(0)}, part / file_name)
        (part / _STATE).write_text(json.dumps({"step": state.step, "facts": state.facts}), encoding="utf-8")
        for file in part.iterdir():
            _to_disk(file)
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    except (OSError, SafetensorError) as err:  # safetensors reports a full disk as an error of its own
        shutil.rmtree(part, ignore_errors=True)
        raise InputError(
            f"the checkpoint {path} can't be written ({err})",
            "room for it",
            "free some space and start again: it goes on from the last checkpoint",
        ) from err
    for old in whole_states(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def whole_states(folder: Path) -> list[Path]:
    """Checkpoints of a run, the oldest first; what a killed write left is removed."""
    for part in folder.glob(f".{_PREFIX}*.part"):
        shutil.rmtree(part, ignore_errors=True)
    return sorted(p for p in folder.glob(f"{_PREFIX}*") if (p / _STATE).is_file())


def load_state(path: Path) -> RunState:
    """Reads a checkpoint.

    Raises:
        InputError: Damaged or incomplete.
    """
    try:
        header = json.loads((path / _STATE).read_text(encoding="utf-8"))
        parts = {name: load_file(path / file) for name, file in _FILES.items()}
        for tensors in parts.values():
            tensors.pop("none", None)
        return RunState(int(header["step"]), facts=dict(header["facts"]), **parts)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as err:
        raise InputError(
            f"the checkpoint {path} is damaged ({err})",
            "whole safetensors and JSON files",
            "remove that folder: training then goes on from the one before",
        ) from err


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments by ``{parameter}/{moment}``, gathered from all processes; the main one gets them."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=options)
    return {
        f"{name}/{moment}": value
        for name, moments in state.get("state", {}).items()
        for moment, value in _flat(moments).items()
    }


def _flat(moments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Moments by name; those that bitsandbytes keeps in a dictionary of their own by ``{its name}/{name}``."""
    flat: dict[str, Tensor] = {}
    for name, value in moments.items():
        if isinstance(value, Mapping):
            # clones, since all share one table there
            flat |= {f"{name}/{inner}": tensor.clone() for inner, tensor in _flat(value).items()}
        else:
            flat[name] = value if isinstance(value, Tensor) else torch.tensor(value)  # steps may be plain numbers
    return flat


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts moments back that ``optimizer_tensors`` returned.

    Raises:
        InputError: They belong to other parameters.
    """
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    options = StateDictOptions(full_state_dict=True)  # with offloading only the main process would get an answer
    state: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=options)
    named: dict[str, dict[str, Any]] = {}
    for key, value in tensors.items():
        name, *inner, moment = key.split("/")
        kept, own = named.setdefault(name, {}), state["state"].get(name, {})
        for part in inner:
            kept, own = kept.setdefault(part, {}), own.get(part, {})
        kept[moment] = int(value) if isinstance(own.get(moment), int) else value
    trained = {name for group in state["param_groups"] for name in group["params"]}
    if set(named) != trained:
        raise InputError(
            f"a checkpoint whose optimizer knows {len(named)} parameters",
            f"the {len(trained)} that are trained here",
            "go on with the settings that the run was started with",
        )
    restored: dict[str, Any] = {"state": named, "param_groups": state["param_groups"]}
    set_optimizer_state_dict(model, optimizer, restored, options=options)


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights by name of a model that may be spread over processes; the main one gets them, on the CPU."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=options)
    return weights


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
