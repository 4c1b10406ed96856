"""The native video models that can be patched, one line a family."""

from __future__ import annotations

from typing import Any

from ...fourreal_core.errors import InputError
from .cogvideox import CogVideoX
from .cosmos_predict2 import CosmosPredict2
from .fourreal import FourReal
from .host_model import HostModel
from .hunyuan_video import HunyuanVideo
from .kandinsky5 import Kandinsky5
from .ltxv import Ltx2, Ltxv
from .mochi import Mochi
from .wan import Wan, WanVace

FAMILIES: tuple[type[HostModel], ...] = (
    Wan,
    WanVace,
    Ltxv,
    Ltx2,
    HunyuanVideo,
    CosmosPredict2,
    CogVideoX,
    Mochi,
    Kandinsky5,
    FourReal,
)


def host_model(model: Any) -> HostModel:
    """The family of a MODEL.

    Args:
        model: The host's ModelPatcher.

    Raises:
        InputError: No family has this model's class, or its family refuses this very model.
    """
    module = model.get_model_object("diffusion_model")
    kind = type(module)
    full_name = f"{kind.__module__}.{kind.__qualname__}"
    possible = ", ".join(family.name for family in FAMILIES)
    for family in FAMILIES:
        if full_name in family.classes:
            found = family(module)
            reason = found.refusal()
            if reason is not None:
                raise InputError(
                    f"{found.name} of a kind that can't be patched ({reason})",
                    f"one of {possible}",
                    "load another model",
                )
            return found
    raise InputError(
        f"a model of class {kind.__name__} ({type(model.model).__name__})",
        f"one of {possible}",
        "load another model, or leave out the node that patches this one (compiled models can't be patched)",
    )
