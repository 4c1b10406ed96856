"""Native video models made to run a grid in two synchronized streams."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from .compat import advanced, schema
from .error_context import naming
from .sync_files import NONE, file_path, list_files

AUTO = "auto"
ALTERNATE, IDENTITY = "alternate", "identity"
VARIANTS = (AUTO, "soft", "hard", IDENTITY, ALTERNATE)


@dataclass(frozen=True)
class SyncSettings:
    """What a user chooses of the sync.

    Attributes:
        variant: ``soft``, ``hard``, ``identity`` (two separate predictions, averaged), ``alternate`` (rows in one step,
            columns in the next, at half the cost), or ``auto``: what the weights or the model itself were trained with,
            else soft.
        weights: File in ``models/fourreal``, or ``none``.
        first_layer: First layer after which the streams are mixed.
        last_layer: Last one; negative numbers count from the end.
        highest_noise: Steps at a higher noise level are not mixed.
        lowest_noise: Nor are those at a lower one.
        strength: How much of the mixing is done, in ``[0, 1]``: 1 is the rule, 0 separate streams.
    """

    variant: str = AUTO
    weights: str = NONE
    first_layer: int = 0
    last_layer: int = -1
    highest_noise: float = 1.0
    lowest_noise: float = 0.0
    strength: float = 1.0


def sync_inputs() -> list[io.Input]:
    """The inputs of SyncSettings, for the nodes that have them."""
    defaults = SyncSettings()
    return [
        io.Combo.Input(
            "variant",
            options=list(VARIANTS),
            default=defaults.variant,
            tooltip="soft: each stream takes a share of the other, more in later layers; hard: both go on with their "
            "mean; identity: no mixing, both predictions are averaged; alternate: rows in one step, columns in the "
            "next, at half the cost (native models); auto: what the sync weights, or a 4Real model itself, were "
            "trained with, and soft for others.",
        ),
        io.Combo.Input(
            "sync_weights",
            options=list_files(),
            default=NONE,
            optional=True,
            tooltip="Trained sync layers for this very model, from models/fourreal; none: the untrained rule.",
        ),
        *_range_inputs(defaults),
    ]


def strength_input() -> io.Input:
    """The input for the strength of the mixing; it stands at the end of its nodes."""
    return io.Float.Input(
        "strength",
        default=SyncSettings().strength,
        min=0.0,
        max=1.0,
        step=0.01,
        optional=True,
        tooltip="How much of the mixing in the layers is done: 1 is the rule itself, 0 leaves the streams apart. A "
        "native model has never seen mixed tokens: where an untrained rule blurs, a quarter of it is gentler.",
    )


def _range_inputs(defaults: SyncSettings) -> list[io.Input]:
    """The layers and the noise levels at which the streams are mixed."""
    return [
        advanced(
            io.Int.Input(
                "first_layer",
                default=defaults.first_layer,
                min=0,
                max=999,
                optional=True,
                tooltip="First layer after which the streams are mixed.",
            )
        ),
        advanced(
            io.Int.Input(
                "last_layer",
                default=defaults.last_layer,
                min=-999,
                max=999,
                optional=True,
                tooltip="Last layer after which the streams are mixed; -1 is the model's last.",
            )
        ),
        advanced(
            io.Float.Input(
                "highest_noise",
                default=defaults.highest_noise,
                min=0.0,
                max=1.0,
                step=0.01,
                optional=True,
                tooltip="Steps at a higher noise level than this are not mixed; 1 is pure noise.",
            )
        ),
        advanced(
            io.Float.Input(
                "lowest_noise",
                default=defaults.lowest_noise,
                min=0.0,
                max=1.0,
                step=0.01,
                optional=True,
                tooltip="Steps at a lower noise level than this are not mixed.",
            )
        ),
    ]


class ApplyParallelSync(io.ComfyNode):
    """A MODEL that runs a grid in two streams."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealApplyParallelSync",
            display_name="Apply Parallel Sync",
            branch="model",
            search_aliases=[
                "4real",
                "4d video",
                "multi view",
                "two streams",
                "patch model",
                "multi view video",
                "wan multi view",
            ],
            description="Makes a native video model run a grid of views and times: every layer attends along time in "
            "one stream and along the views in another, and the two are mixed after each layer. Works "
            "with the usual samplers and guiders.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Wan 2.1 / 2.2, LTXV, LTX-2, HunyuanVideo, Cosmos Predict2, "
                    "CogVideoX 1.0, Mochi or Kandinsky 5; or a 4Real model, to run it in another way "
                    "than it was trained in.",
                ),
                *sync_inputs(),
                strength_input(),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        variant: str,
        sync_weights: str = NONE,
        first_layer: int = 0,
        last_layer: int = -1,
        highest_noise: float = 1.0,
        lowest_noise: float = 0.0,
        strength: float = 1.0,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        return io.NodeOutput(
            synchronized(
                model,
                SyncSettings(variant, sync_weights, first_layer, last_layer, highest_noise, lowest_noise, strength),
            )
        )


def synchronized(model: Any, settings: SyncSettings) -> Any:
    """A clone of a MODEL that runs two streams.

    Raises:
        InputError: A model that can't be patched, layers that it does not have, or weights of another model or rule.
    """
    from .host_models.patch import patched, unpatched
    from .host_models.registry import host_model
    from .host_models.two_streams import TwoStreams

    family = host_model(model)
    own_way = settings.variant == AUTO and file_path(settings.weights) is None
    if own_way and family.runs_grids and family.own_sync() is None:
        return unpatched(model)  # fused or sequential: there is nothing between two streams to set
    sync = _sync(settings, family, *_range(settings, len(family.layers())))
    return patched(
        model,
        TwoStreams(
            family,
            sync,
            settings.lowest_noise,
            settings.highest_noise,
            strength=settings.strength,
            alternate=settings.variant == ALTERNATE,
        ),
    )


def _sync(settings: SyncSettings, family: Any, first: int, end: int) -> Any:
    """The sync layers that settings ask for, from layer ``first`` to before ``end``."""
    from ..fourreal_core.model.sync import Sync, SyncSpec

    path, layers = file_path(settings.weights), len(family.layers())
    if settings.variant in (ALTERNATE, IDENTITY):
        _check_plain(settings, family, path)
        return Sync(SyncSpec("identity", layers))
    own = family.own_sync() if settings.variant == AUTO else None
    if path is None and own is None:
        variant = "soft" if settings.variant == AUTO else settings.variant
        return Sync(SyncSpec(variant, layers, first=first, end=end))
    sync = copy.copy(own) if path is None else _trained(path, family.base_weights(), settings.variant, layers)
    spec = sync.spec
    start = min(max(first, spec.first), spec.stop)
    sync.spec = replace(spec, first=start, end=max(start, min(end, spec.stop)))  # of the copy alone; weights are shared
    return sync


def _check_plain(settings: SyncSettings, family: Any, path: Any) -> None:
    """Raises InputError where a variant that mixes nothing is combined with what mixes."""
    if path is not None:
        raise InputError(
            f"sync weights {path.name} with the variant {settings.variant!r}, which mixes no tokens",
            "weights 'none', or a variant that mixes",
            "set sync_weights to 'none', or the variant to 'auto'",
        )
    if settings.variant == ALTERNATE and family.runs_grids:
        raise InputError(
            "the variant 'alternate' for a 4Real model, which runs whole grids",
            "auto, soft, hard or identity",
            "choose another variant in 'Apply Parallel Sync'",
        )


def _range(settings: SyncSettings, layers: int) -> tuple[int, int]:
    end = settings.last_layer + 1 + (layers if settings.last_layer < 0 else 0)
    if not 0 <= settings.first_layer < end <= layers:
        raise InputError(
            f"sync from layer {settings.first_layer} to {settings.last_layer}",
            f"layers of 0 to {layers - 1}, the first before the last (-1 is {layers - 1})",
            "choose other layers in 'Apply Parallel Sync'",
        )
    return settings.first_layer, end


def _trained(path: Any, base: Iterable[Any], variant: str, layers: int) -> Any:
    from ..fourreal_core.model.fingerprint import fingerprint
    from ..fourreal_core.model.sync_file import load_sync

    with naming("sync_weights, or the node that loads the model"):
        sync = load_sync(path, fingerprint(base))
    if sync.spec.layers != layers or variant not in (AUTO, sync.spec.variant.removesuffix("_trained")):
        raise InputError(
            f"sync weights {path.name} of the variant {sync.spec.variant.split('_')[0]!r} for "
            f"{sync.spec.layers} layers",
            f"the variant {variant!r} for {layers} layers",
            "choose the variant that the weights were trained for, or other weights",
        )
    return sync.requires_grad_(False).eval()
