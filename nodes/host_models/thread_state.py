"""PyTorch's state of a thread, copied from one thread to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

AUTOCAST_DEVICES = ("cpu", "cuda", "xpu", "mps")


@dataclass(frozen=True)
class ThreadState:
    """PyTorch's state of a thread.

    Attributes:
        inference: Inference mode is on.
        gradients: Gradients are recorded.
        autocast: Device type to the type that autocast computes in; only where it is on.
        stream: The CUDA stream that work is queued on, which also names the device; None without CUDA.
    """

    inference: bool
    gradients: bool
    autocast: dict[str, torch.dtype]
    stream: torch.cuda.Stream | None

    @classmethod
    def here(cls) -> ThreadState:
        """The state of the calling thread."""
        stream = torch.cuda.current_stream() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
        return cls(torch.is_inference_mode_enabled(), torch.is_grad_enabled(), _autocast(), stream)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sets this state in the calling thread."""
        with ExitStack() as stack:
            if self.stream is not None:
                stack.enter_context(torch.cuda.device(self.stream.device))
                stack.enter_context(torch.cuda.stream(self.stream))
            for device, dtype in self.autocast.items():
                stack.enter_context(torch.autocast(device, dtype))
            stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(torch.set_grad_enabled(self.gradients))
            yield


def _autocast() -> dict[str, torch.dtype]:
    found = {}
    for device in AUTOCAST_DEVICES:
        try:
            if torch.is_autocast_enabled(device):
                found[device] = torch.get_autocast_dtype(device)
        except RuntimeError:  # a device that this build of PyTorch knows nothing of
            continue
    return found
