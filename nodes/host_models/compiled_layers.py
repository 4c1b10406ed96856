"""A compiled model in two streams: its layers are compiled one by one, since the streams meet between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

COMPILED = "_orig_mod"
"""Where PyTorch keeps the module that it compiled."""

CONTEXT = "dynamo_ctx"
"""Where it keeps what compiles, with backend and options."""


def original(network: nn.Module) -> nn.Module:
    """The module that was compiled as a whole, or the given one."""
    return getattr(network, COMPILED, network)


@contextmanager
def layers_compiled(base: Any, layers: list[nn.Module]) -> Iterator[None]:
    """Where another node has compiled the network as a whole, runs it as it is, with each layer compiled instead.

    Hooks stay outside of the compiled code, and the two streams share it. Compiled code is kept by PyTorch from call to
    call.

    Args:
        base: The host's model around the network.
        layers: The network's, not compiled.
    """
    network = base.diffusion_model
    compile_function: Callable[..., Any] | None = getattr(network, CONTEXT, None)
    if original(network) is network or compile_function is None:
        yield
        return
    base.diffusion_model = original(network)
    try:
        for layer in layers:
            layer.forward = compile_function(layer.forward)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)
        base.diffusion_model = network
