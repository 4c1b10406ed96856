"""Networks that make point maps of two pictures: DUSt3R, MASt3R, Splatt3R, through installed packages.

DUSt3R: Wang et al., CVPR 2024; MASt3R: Leroy et al., ECCV 2024; Splatt3R: Smart et al. 2024. Their published weights
are for non-commercial use. Nothing is downloaded, and no file that could run code is opened.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..flow.checkpoint_files import read_weights

LONG_SIDE_PX, PATCH_PX = 512, 16
"""Longest side the published networks were trained with, and the multiple that both sides must be of."""


@dataclass(frozen=True)
class PairPoints:
    """What a network makes of two pictures.

    Attributes:
        first: ``(H, W, 3)`` the first picture's points in its own camera space, OpenCV axes, in the network's units.
        second: ``(H, W, 3)`` the second picture's points, in the first one's camera space.
        first_confidence: ``(H, W)`` of the first picture's points; DUSt3R's starts at 1.
        second_confidence: ``(H, W)`` of the second's.
    """

    first: Tensor
    second: Tensor
    first_confidence: Tensor
    second_confidence: Tensor


class PairModel(Protocol):
    """Anything that makes point maps of two pictures."""

    @property
    def name(self) -> str:
        """The network's own name, as figures carry it."""

    def __call__(self, first: Tensor, second: Tensor) -> PairPoints:
        """Point maps and confidence of two pictures ``(H, W, 3)`` in ``[0, 1]``."""


@dataclass(frozen=True)
class _Family:
    """Where a network comes from.

    Attributes:
        modules: That may hold it; the first one found counts.
        network: Its class there.
        remedy: How to get it.
        points: What the second picture's points are called, the first one found counts.
        prefix: Before the names of its tensors in a checkpoint of a larger model.
    """

    modules: tuple[str, ...]
    network: str
    remedy: str
    points: tuple[str, ...] = ("pts3d",)
    prefix: str = ""


FAMILIES = {
    "dust3r": _Family(
        ("mini_dust3r.model", "dust3r.model"), "AsymmetricCroCo3DStereo", "python -m pip install mini-dust3r"
    ),
    "mast3r": _Family(("mast3r.model",), "AsymmetricMASt3R", "install MASt3R as its authors say"),
    "splatt3r": _Family(
        ("mast3r.model",),
        "AsymmetricMASt3R",
        "put src/mast3r_src and src/mast3r_src/dust3r of Splatt3R's repository on PYTHONPATH",
        ("means", "pts3d"),
        "encoder.",
    ),
}


class PublishedPairModel:
    """A published network behind PairModel.

    Args:
        family: ``dust3r``, ``mast3r`` or ``splatt3r``.
        checkpoint: A folder with ``config.json`` and ``model.safetensors``, such a ``.safetensors`` file with
            ``config.json`` beside it, or DUSt3R's ``.pth``.
        device: Where it runs.

    Raises:
        InputError: No package, no checkpoint, or one of something else.
    """

    def __init__(self, family: str, checkpoint: str | Path, device: str = "cpu") -> None:
        self.family, self.device = FAMILIES[family], device
        self._name = family
        self.network = _load(self.family, family, Path(checkpoint)).eval().to(device)

    @property
    def name(self) -> str:
        """See PairModel."""
        return self._name

    def __call__(self, first: Tensor, second: Tensor) -> PairPoints:
        """See PairModel; pictures are brought to 512 pixels and whole patches, and maps back to the picture's size."""
        size = (int(first.shape[0]), int(first.shape[1]))
        views = [self._view(picture, k) for k, picture in enumerate((first, second))]
        with torch.inference_mode():
            one, two = self.network(*views)
        names = self.family.points
        points_one = next(one[name] for name in names if name in one)
        points_two = next(two[f"{name}_in_other_view"] for name in names if f"{name}_in_other_view" in two)
        maps = [_sized(x, size) for x in (points_one, points_two, one["conf"][..., None], two["conf"][..., None])]
        return PairPoints(maps[0], maps[1], maps[2][..., 0], maps[3][..., 0])

    def _view(self, picture: Tensor, index: int) -> dict[str, Any]:
        image = picture.permute(2, 0, 1)[None].float().to(self.device)
        h, w = network_size(int(picture.shape[0]), int(picture.shape[1]))
        image = nn.functional.interpolate(image, (h, w), mode="bicubic", antialias=True).clamp(0, 1)
        return {
            "img": image * 2 - 1,
            "original_img": image,
            "true_shape": torch.tensor([[h, w]]),
            "idx": index,
            "instance": [str(index)],
        }


def network_size(height: int, width: int) -> tuple[int, int]:
    """The size ``(height, width)`` a picture is shown in: 512 pixels long, sides of whole patches, nothing cut off."""
    scale = LONG_SIDE_PX / max(height, width)
    return tuple(max(PATCH_PX, round(side * scale / PATCH_PX) * PATCH_PX) for side in (height, width))  # type: ignore[return-value]


def pair_model(family: str, checkpoint: str, device: str = "cpu") -> PairModel:
    """The network that ``dust3r:CHECKPOINT``, ``mast3r:...`` or ``splatt3r:...`` names.

    Raises:
        InputError: See PublishedPairModel, or no checkpoint named.
    """
    if not checkpoint:
        raise InputError(f"{family!r} without a checkpoint", f"{family}:CHECKPOINT", "name the file of its weights")
    return PublishedPairModel(family, checkpoint, device)


def _sized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``(1, h, w, C)`` at the picture's size, ``(H, W, C)`` on the CPU."""
    image = maps.float().permute(0, 3, 1, 2)
    return (
        nn.functional.interpolate(image, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).cpu().clone()
    )


def _load(family: _Family, name: str, checkpoint: Path) -> nn.Module:
    network = _class(family, name)
    weights = checkpoint / "model.safetensors" if checkpoint.is_dir() else checkpoint
    if not weights.is_file():
        raise InputError(f"no file {weights}", f"the checkpoint of {name}", "check the name; it is not downloaded here")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = read_weights(weights)
        settings = _settings(state, weights)
        made: nn.Module = network(**settings)
        tensors = state.get("model", state.get("state_dict", state))
        tensors = {key.removeprefix(family.prefix): value for key, value in tensors.items()}
        missing = made.load_state_dict(tensors, strict=False).missing_keys
    except InputError:
        raise
    except Exception as err:  # whatever a file of another kind fails with
        why = (str(err).splitlines() or [type(err).__name__])[0].rstrip(".")
        raise InputError(
            f"{weights.name} can't be read as a checkpoint of {name} ({why})",
            "a folder of config.json and model.safetensors, or DUSt3R's .pth",
            "choose another file, or convert it",
        ) from err
    if missing:
        raise InputError(
            f"{weights.name} lacks {len(missing)} tensors of {name}, {missing[0]} among them",
            f"a checkpoint of {name}",
            "choose another file",
        )
    return made


def _class(family: _Family, name: str) -> Any:
    for module in family.modules:
        try:
            return getattr(importlib.import_module(module), family.network)
        except (ImportError, AttributeError) as err:
            why = err
    raise InputError(f"no package with {name} that works here ({why})", family.modules[0], family.remedy) from why


def _settings(state: dict[str, Any], weights: Path) -> dict[str, Any]:
    """What the network was made with: of ``config.json``, or of the call that DUSt3R's ``.pth`` keeps as text."""
    config = weights.with_name("config.json")
    if config.is_file():
        found = json.loads(config.read_text(encoding="utf-8"))
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    elif hasattr(state.get("args"), "model"):
        settings = _of_call(str(state["args"].model))
    else:
        raise InputError(
            f"{weights.name} without the network's settings",
            "config.json beside it",
            "copy it from where the weights are",
        )
    if settings.get("patch_embed_cls") == "ManyAR_PatchEmbed":
        settings["patch_embed_cls"] = "PatchEmbedDust3R"  # for batches of mixed shapes, in training alone
    return settings | {"landscape_only": False}


def _of_call(text: str) -> dict[str, Any]:
    """The keywords of a call that is written as text; it is parsed, not run."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call):
        raise ValueError(f"not a call: {text[:40]}")
    return {word.arg: _literal(word.value) for word in call.keywords if word.arg}


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id == "inf":
        return float("inf")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_literal(x) for x in node.elts)
    return ast.literal_eval(node)
