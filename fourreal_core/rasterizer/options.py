"""What a caller may choose about a rendering, and what a rendering consists of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

BACKENDS = ("auto", "numba", "gsplat", "sparse", "torch")


@dataclass(frozen=True)
class RasterOptions:
    """The constants of the image formation and the choice of back end.

    Attributes:
        near: Splats whose depth is less than this are not drawn (scene units).
        low_pass: Added to every splat's projected variance (px^2), so that none falls between pixel centres.
        max_alpha: A splat's alpha at a pixel is clipped to this, in (0, 1).
        min_alpha: A splat adds nothing to a pixel where its alpha is less than this, in (0, 1).
        min_transmittance: A pixel takes splats, front to back, for as long as its transmittance is at least this.
        backend: "auto", "numba", "gsplat", "sparse" or "torch".

    Raises:
        ValueError: If a value is outside its range.
    """

    near: float = 0.01
    low_pass: float = 0.3
    max_alpha: float = 0.99
    min_alpha: float = 1.0 / 255.0
    min_transmittance: float = 1e-4
    backend: str = "auto"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.near) and self.near > 0):
            raise ValueError(f"near is {self.near}, expected a finite depth > 0; the default is 0.01")
        if not (math.isfinite(self.low_pass) and self.low_pass >= 0):
            raise ValueError(f"low_pass is {self.low_pass}, expected a finite variance >= 0 px^2; the default is 0.3")
        for name in ("max_alpha", "min_alpha"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}, expected a number between 0 and 1, both excluded")
        if self.min_alpha >= self.max_alpha:
            raise ValueError(
                f"min_alpha is {self.min_alpha}, expected less than max_alpha ({self.max_alpha}); lower min_alpha"
            )
        if not 0 <= self.min_transmittance < 1:
            raise ValueError(f"min_transmittance is {self.min_transmittance}, expected a number in [0, 1)")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}")


@dataclass(frozen=True)
class Rendered:
    """What the camera sees; without the leading B where the inputs were not batched.

    Attributes:
        image: ``(B, H, W, C)`` composited colours over the background, in the colours' own units; C is 0 where no
            colours were given.
        alpha: ``(B, H, W)`` coverage, 1 minus the final transmittance.
        depth: ``(B, H, W)`` expected depth, ``sum(w z) / alpha``, in scene units; 0 where alpha is 0.

    Raises:
        ValueError: If the three shapes don't belong together.
    """

    image: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor

    def __post_init__(self) -> None:
        if self.image.shape[:-1] != self.alpha.shape or self.alpha.shape != self.depth.shape:
            raise ValueError(
                f"shapes of image {tuple(self.image.shape)}, alpha {tuple(self.alpha.shape)} and depth "
                f"{tuple(self.depth.shape)} differ, expected (..., H, W, C), (..., H, W) and (..., H, W) of one frame"
            )
