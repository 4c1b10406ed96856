"""A key that identifies a MODEL across restarts of the host, patches included."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from ...fourreal_core.model.fingerprint import fingerprint
from .patch import streams_of

WEIGHTS = "diffusion_model."

log = logging.getLogger(__name__)


def identity(model: Any) -> dict[str, Any]:
    """Values that are the same for the same weights, LoRAs, sync layers and schedule; to be hashed.

    Args:
        model: The host's MODEL; weights that the host has patched in place are looked at as they were before.
    """
    network, kept = model.model.diffusion_model, getattr(model, "backup", {})
    weights = [
        kept[WEIGHTS + name].weight if WEIGHTS + name in kept else weight for name, weight in network.named_parameters()
    ]
    streams, sampling = streams_of(model), model.get_model_object("model_sampling")
    return {
        "class": type(network).__qualname__,
        "weights": _fingerprint_of(weights),
        "patches": {
            name: [_plain(patch) for patch in patches] for name, patches in getattr(model, "patches", {}).items()
        },
        "sampling": [type(sampling).__mro__[1].__qualname__, getattr(sampling, "sigmas", None)],
        "streams": None
        if streams is None
        else {
            "sync": asdict(streams.sync.spec),
            "weights": dict(streams.sync.state_dict()),
            "levels": [streams.lowest_level, streams.highest_level],
            "strength": streams.strength,
            "alternate": streams.alternate,
        },
    }


def _fingerprint_of(weights: list[Any]) -> Any:
    """A digest of the weights; of kinds that can't be read here (quantised, not yet loaded) of their shapes alone."""
    try:
        return fingerprint(weights).to_json()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as err:
        log.warning("this model's weights can't be read (%s): only its sizes distinguish it from others", err)
        return [list(weight.shape) for weight in weights]


def _plain(value: Any) -> Any:
    """A patch as values: LoRA adapters keep their tensors in ``weights``."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return [type(value).__qualname__, _plain(value.weights)] if hasattr(value, "weights") else value
