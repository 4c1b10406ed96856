"""Verifies a flow in a fully known view: what it takes for one point must look the same there at both times.

A cell ``[v, t]`` is made from a known cell ``[v, s]``; a flow says from where. A reference row r that is known at both
times can verify it: the match between ``[v, s]`` and ``[r, s]`` leads there, and the flow is right where ``[r, t]`` and
``[r, s]`` show the same colour at its two ends. Views and times may trade places: a reference column verifies what is
seen from another view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..flow.flow_field import Flow, warp
from .image_filters import Image, gaussian_blur

_MATCH_ERROR_PX, _LEAST_TRUST = 9.0, 1e-3


@dataclass(frozen=True)
class PhotometricCheck:
    """A reference row that is known at the time of a cell and at the time of its source.

    Attributes:
        match: ``(H, W, 2)`` in pixels, from the source to the reference at the source's time.
        now: ``(H, W, 3)`` the reference at the cell's time, in ``[0, 1]``.
        then: ``(H, W, 3)`` the reference at the source's time.
        match_error: ``(H, W)`` forward-backward error of the match in pixels; needed where several references vote.
    """

    match: Flow
    now: Image
    then: Image
    match_error: Image | None = None

    def photometric_error(self, flow: Flow) -> Image:
        """Colour difference ``(H, W)`` in the reference of what a flow takes for one point, in grey levels of 255."""
        across = warp(self.match, flow)
        return np.asarray(255 * np.abs(warp(self.now, across) - warp(self.then, flow + across)).mean(-1))

    def transfer_color(self, flow: Flow, color: Image, sigma_px: float) -> tuple[Image, Flow]:
        """What the reference shows at the cell's time, in the light of the view, and where in the reference that is.

        Args:
            flow: ``(H, W, 2)`` from the cell to the source.
            color: ``(H, W, 3)`` read from the source by it.
            sigma_px: Standard deviation of the window over which mean colours are compared.

        Returns:
            ``(H, W, 3)``, and the displacement ``(H, W, 2)`` from the cell's pixels to the reference.
        """
        across = warp(self.match, flow)
        return warp(self.now, across) + gaussian_blur(color - warp(self.then, flow + across), sigma_px), across

    def trust(self, flow: Flow) -> Image:
        """How surely ``(H, W)`` the match leads to the same point: it falls to 1/e with every pixel of its error."""
        assert self.match_error is not None
        return np.asarray(np.exp(-np.minimum(warp(self.match_error, flow), _MATCH_ERROR_PX)) + _LEAST_TRUST)


def mean_photometric_error(checks: Sequence[PhotometricCheck], flow: Flow, window_px: float) -> Image:
    """The photometric error ``(H, W)`` over a Gaussian window, averaged over references by how surely they match.

    Args:
        checks: At least one.
        flow: ``(H, W, 2)`` from the cell to the source.
        window_px: Standard deviation of the window.
    """
    if len(checks) == 1:
        return gaussian_blur(checks[0].photometric_error(flow), window_px)
    total, mass = np.zeros((2, *flow.shape[:2]), np.float32)
    for check in checks:
        trust = check.trust(flow)
        total, mass = total + trust * gaussian_blur(check.photometric_error(flow), window_px), mass + trust
    return np.asarray(total / mass)
