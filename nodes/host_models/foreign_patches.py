"""Other nodes' patches of a MODEL: checked before a grid is sampled, and in every call of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ...fourreal_core.errors import InputError
from .host_model import HostModel
from .patch_kinds import (
    CALLBACK,
    INJECTION,
    INSIDE,
    OBJECT,
    OPTION,
    REFUSED,
    REPLACED,
    SAMPLER,
    WRAPPER,
    Kind,
    kind_of,
)

OURS = "fourreal"
"""What the keys of this extension's own wrappers begin with."""

GRID = "fourreal_grid"
"""Transformer option: shape of the latent that is being sampled, ``(V, C, T, h, w)``."""

APPLY_MODEL = "apply_model"
NETWORK = "diffusion_model"
MULTIGPU = "multigpu"
CONTEXT = "context_handler"
SAMPLER_OPTIONS = ("model_function_wrapper", "multigpu_clones")
"""Options of the sampling that may be refused; the others see the whole grid."""

NODE_OF_KEY = {"easycache": "EasyCache", "multitalk": "WanInfiniteTalkToVideo"}
"""Nodes by the keys of their wrappers, where the function has no telling name."""


def prepare_options(options: dict[str, Any], key: str, shape: tuple[int, ...]) -> None:
    """Puts this extension's wrapper of the model call inside of all others, and notes the grid's shape.

    Args:
        options: The sampling's own ``model_options``; changed.
        key: Key of the wrapper.
        shape: Of the latent, ``(V, C, T, h, w)``.
    """
    network = options.setdefault("transformer_options", {})
    network[GRID] = shape
    calls = network.get("wrappers", {}).get(APPLY_MODEL, {})
    if key in calls:
        calls[key] = calls.pop(key)


def check_sampling(model: Any, options: Mapping[str, Any], family: HostModel, latent: Tensor) -> None:
    """Refuses patches that would see a part of the grid, before anything runs.

    Args:
        model: The host's ModelPatcher.
        options: The sampling's ``model_options``.
        family: The model's.
        latent: ``(V, C, T, h, w)``.

    Raises:
        InputError: Names the node, as far as it can be known, and what to do.
    """
    own, window = family.runs_grids, options.get(CONTEXT)
    if window is not None and _cuts(window, latent):
        raise _refused(kind_of(SAMPLER, CONTEXT), "'Context Windows'", own)
    for name in SAMPLER_OPTIONS:
        if name in options:
            _judge(SAMPLER, name, options[name], own)
    for name, value in model.object_patches.items():
        place = NETWORK if name == NETWORK or name.startswith(NETWORK + ".") else name
        _judge(OBJECT, place, value, own, name)
    for name, found in getattr(model, "injections", {}).items():
        if found:
            _judge(INJECTION, name, found, own)
    if getattr(model, "additional_models", {}).get(MULTIGPU):
        raise _refused(kind_of(SAMPLER, "multigpu_clones"), "copies on several devices", own)
    network = options.get("transformer_options", {})
    for kind, named in network.get("callbacks", {}).items():
        for _, function in _functions(named):
            _judge(CALLBACK, kind, function, own)
    check_call(network, own, family.skips_layers)


def check_call(options: Mapping[str, Any], own: bool, skips_layers: bool = False) -> None:
    """Refuses patches in the options of one call of the model, wherever they were added: by nodes, prompts or guiders.

    Args:
        options: The call's transformer options.
        own: Whether it is a 4Real model, which sees the whole grid.
        skips_layers: Whether the model can do without some of its layers.

    Raises:
        InputError: Names the node, as far as it can be known, and what to do.
    """
    for kind, named in options.get("wrappers", {}).items():
        for key, function in _functions(named):
            _judge(WRAPPER, kind, function, own, NODE_OF_KEY.get(str(key), ""))
    for name, functions in options.get("patches", {}).items():
        for function in functions:
            _judge(INSIDE, name, function, own)
    for name, replaced in options.get("patches_replace", {}).items():
        for place, function in replaced.items():
            if name == "dit" and skips_layers and skips_layer(function):
                continue
            _judge(REPLACED, name, function, own, f"{place[0]} {place[1]}" if isinstance(place, tuple) else "")
    if options.get("rope_options"):
        _judge(OPTION, "rope_options", options["rope_options"], own)


def check_whole(x: Tensor, chunks: int, options: Mapping[str, Any]) -> None:
    """Refuses a call of the model with anything but whole grids of the latent that is being sampled.

    Args:
        x: What the model is called with.
        chunks: Conditions in the batch.
        options: The call's transformer options.

    Raises:
        InputError: Something cut the grid, or split its batch.
    """
    shape = options.get(GRID)
    if shape is None or (x.shape[0] == chunks * shape[0] and tuple(x.shape[1:]) == tuple(shape[1:])):
        return
    raise InputError(
        f"a part of the grid, of shape {tuple(x.shape)} with {chunks} prompts, in a call of the model",
        f"whole grids of {tuple(shape)}",
        "remove the node between the sampler and the model that cuts latents (context windows, tiles, areas of a "
        "prompt); 'Extend 4D Grid' makes long and wide grids",
    )


def check_innermost(options: Mapping[str, Any], key: str) -> None:
    """Refuses wrappers of the model call that a prompt's hook has put inside of the two streams.

    Raises:
        InputError: Names the wrapper.
    """
    calls = options.get("wrappers", {}).get(APPLY_MODEL, {})
    if key in calls and (inner := list(calls)[list(calls).index(key) + 1 :]):
        function = next((f for k, f in _functions({k: calls[k] for k in inner})), None)
        what = f"{_name_of(function)}, a wrapper that a prompt's hook adds around each stream"
        raise _refused(kind_of(WRAPPER, ""), what)


def skips_layer(function: Any) -> bool:
    """Whether a replaced layer does nothing, whatever it is given, as the host's 'SkipLayerGuidanceDiT' has it."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    return str(module).rpartition(".")[2] == "nodes_slg" and name.rpartition(".")[2] == "skip"


def _cuts(window: Any, latent: Tensor) -> bool:
    length, axis = getattr(window, "context_length", None), getattr(window, "dim", None)
    if not isinstance(length, int) or not isinstance(axis, int):
        return True
    return axis >= latent.ndim or latent.shape[axis] > length


def _functions(named: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, functions in named.items():
        if not str(key).startswith(OURS):
            for function in functions:
                yield key, function


def _judge(place: str, name: str, value: Any, own: bool, called: str = "") -> None:
    kind = kind_of(place, name)
    if (kind.own if own else kind.native) == REFUSED:
        what = name if called in ("", name) else f"{name}, {called}"
        raise _refused(kind, f"{_name_of(value)}, a {place} ({what})", own)


def _refused(kind: Kind, what: str, own: bool = False) -> InputError:
    whole = "a 4Real model" if own else "a model in two streams"
    return InputError(f"{whole} with {what}: {kind.why}", "patches that go with a whole grid", kind.remedy)


def _name_of(value: Any) -> str:
    """The node class that a function was written in, and the extension, as far as its names tell."""
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    value = getattr(value, "func", value)  # of functools.partial
    known = value if hasattr(value, "__qualname__") else type(value)
    owner, module = known.__qualname__.split(".")[0], str(getattr(known, "__module__", ""))
    folder = module.replace("\\", "/").rpartition("custom_nodes")[2].strip("/.").replace("/", ".").split(".")[0]
    pack = f" of {folder}" if "custom_nodes" in module and folder else ""
    return f"'{owner}'{pack}"
