"""Starts the deformation field from the fixed-view clip's tracks, in closed form: its read-out is linear."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..scene.deformation_field import DeformationField, knot_weights
from .scene_flow import SceneFlow

SAMPLES = 20_000
"""Track points in the solution, drawn at random where there are more."""
RIDGE = 1e-2
"""Penalty on the weights, relative to the data."""
ROUNDS = 4
"""Reweightings."""
UNSURE = 0.3
"""Weight of a track where it was not surely seen, relative to where it was."""
ROBUST_PX = 0.3
"""Error in pixels up to which a track counts fully."""


def fit_to_tracks(
    field: DeformationField, flow: SceneFlow, generator: torch.Generator, ridge: float = RIDGE, rounds: int = ROUNDS
) -> tuple[DeformationField, float]:
    """Weights with which the field follows measured displacements.

    Ridge regression by normal equations, reweighted towards the L1 norm, so that wrong tracks are outvoted. Where a
    track was not surely seen, its displacement is drawn towards what the last round's field gives there.

    Args:
        field: Its frequencies and phases stay as they are.
        flow: Displacements of points that move.
        generator: Of the random draw.
        ridge: Penalty on the weights, relative to the data.
        rounds: Reweightings.

    Returns:
        The field, and the mean error of the seen displacements in pixels.
    """
    spec, times = field.spec, flow.offsets.shape[0]
    if len(flow.points) > SAMPLES:
        pick = torch.randperm(len(flow.points), generator=generator)[:SAMPLES]
        flow = flow.select(pick.to(flow.points.device))
    basis = flow.points.new_zeros(times - 1, spec.knots)  # how much each time step after the first takes of each knot
    for t in range(1, times):
        for k, share in knot_weights(spec.knots, t / (times - 1)):
            basis[t - 1, k] = share
    to_knots = torch.linalg.pinv(basis)
    with torch.no_grad():
        phi, reach = field.encode(flow.points), field.reach(flow.points)
        measured, seen = flow.offsets[1:] / reach, flow.visible[1:]
        target = measured.clone()
        confidence = torch.where(seen, 1.0, UNSURE)
        weight = confidence.mean(0)
        solved, error_px = field.weights, torch.zeros_like(weight)
        for _ in range(rounds):
            knots = torch.einsum("kt,tmc->mkc", to_knots, target).reshape(len(phi), -1)
            weighted = phi * weight[:, None]
            gram = (weighted.T @ phi).double()
            gram.diagonal().add_(ridge * float(weight.sum()))
            solved = torch.linalg.solve(gram, (weighted.T @ knots).double()).to(phi.dtype)
            found = torch.einsum("tk,mkc->tmc", basis, (phi @ solved).view(len(phi), spec.knots, 3))
            residual = ((found - measured) * reach).norm(dim=-1) * flow.px_per_unit
            error_px = (residual * seen).sum(0) / seen.sum(0).clamp_min(1)
            weight = confidence.mean(0) / (error_px + ROBUST_PX)
            target = found + confidence[..., None] * (measured - found)
    return replace(field, weights=solved), float(error_px.mean())
