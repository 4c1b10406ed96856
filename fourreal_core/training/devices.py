"""Devices to reckon with: what their makers' data sheets say of dense bfloat16 and of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError

GIB = 2**30
SHARE = 0.4
"""Of the data sheet's FLOP that training reaches, taken as a rule of thumb: well-written training of transformers is
reported between 0.3 and 0.5."""


@dataclass(frozen=True)
class Device:
    """A device on paper.

    Attributes:
        name: What people call it.
        tflops: 10^12 floating-point operations a second, in bfloat16 without sparsity.
        memory_gb: In 10^9 bytes.
    """

    name: str
    tflops: float
    memory_gb: float

    def __post_init__(self) -> None:
        if self.tflops <= 0 or self.memory_gb <= 0:
            raise InputError(
                f"a device of {self.tflops:g} TFLOP/s and {self.memory_gb:g} GB", "more than 0 each", "change them"
            )

    def seconds(self, flop: float, share: float = SHARE) -> float:
        """Time for so many operations at a share of the data sheet's speed."""
        return flop / (self.tflops * 1e12 * share)

    def holds(self, needed: float) -> bool:
        """Whether so many bytes fit beside what the driver and the libraries take."""
        return needed <= self.memory_gb * 1e9 - GIB


DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        Device("h200", 989, 141),
        Device("h100", 989, 80),
        Device("a100-80", 312, 80),
        Device("a100-40", 312, 40),
        Device("l40s", 362, 48),
        Device("rtx-pro-6000", 252, 96),
        Device("a6000", 155, 48),
        Device("rtx-5090", 210, 32),
        Device("rtx-4090", 165, 24),
        Device("rtx-3090", 71, 24),
    )
}


def device_named(name: str | None, tflops: float | None = None, memory_gb: float | None = None) -> Device:
    """A device of the table, with other numbers where some are given; both alone make a device of one's own.

    Raises:
        InputError: Another name and not both numbers.
    """
    known = DEVICES.get((name or "h100").lower())
    if known is None and (tflops is None or memory_gb is None):
        raise InputError(
            f"the device {name!r}",
            "one of " + ", ".join(DEVICES),
            "name one of them, or give --tflops and --memory of your own",
        )
    like = known or Device(str(name), 1, 1)
    changed = known is not None and name is None and tflops is not None and memory_gb is not None
    return Device(
        "the given device" if changed else like.name,
        like.tflops if tflops is None else tflops,
        like.memory_gb if memory_gb is None else memory_gb,
    )
