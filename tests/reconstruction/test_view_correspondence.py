"""Matches of views with view 0: by flow where it returns, by geometry where it does not and pictures look alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import pixel_grid
from fourreal_core.flow.flow_cache import MeasuredFlow
from fourreal_core.reconstruction.view_correspondence import ViewMatch, match_by_flow, match_by_geometry

from ..scene.scenes import SIZE, wall_scene


def flow_by(shift: tuple[float, float], error: float) -> MeasuredFlow:
    flow = np.broadcast_to(np.asarray(shift, np.float32), (*SIZE, 2)).copy()
    return MeasuredFlow(flow, np.full(SIZE, error, np.float32), (flow,))


def at(match: ViewMatch) -> torch.Tensor:
    return torch.stack([match.column, match.row], -1).view(*SIZE, 2)


def own_pixels() -> torch.Tensor:
    return pixel_grid(SIZE).long()


def test_geometry_leads_one_pixel_to_the_right_for_each_view() -> None:
    match = match_by_geometry(wall_scene(), 2)  # cameras step one pixel of the wall to the right
    assert torch.equal(at(match)[:, :-2], own_pixels()[:, :-2] + torch.tensor([2, 0]))
    assert match.confidence.view(SIZE)[:, :-2].all() and not match.confidence.view(SIZE)[:, -2:].any()


def test_flow_that_returns_is_followed_whatever_the_depth() -> None:
    scene, frames = wall_scene(), torch.rand(3, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    match = match_by_flow(scene, 1, flow_by((5, -2), 0.5), frames)
    inner = (slice(2, None), slice(0, -5))
    assert torch.equal(at(match)[inner], (own_pixels() + torch.tensor([5, -2]))[inner])
    assert match.confidence.view(SIZE)[inner].numpy() == pytest.approx(np.exp(-0.5), rel=1e-6)  # by hand: exp(-0.5 / 1)


@pytest.mark.parametrize(("alike", "trusted"), [(True, True), (False, False)])
def test_flow_that_is_lost_leaves_it_to_geometry_where_pictures_look_alike(alike: bool, trusted: bool) -> None:
    frames = torch.full((3, *SIZE, 3), 0.4)
    if not alike:
        frames[1] = 0.9
    match = match_by_flow(wall_scene(), 1, flow_by((5, -2), 20.0), frames)
    inner = (slice(None), slice(0, -1))
    assert torch.equal(at(match)[inner], (own_pixels() + torch.tensor([1, 0]))[inner])
    # alike: the trust in geometry itself; else half the range of greys apart, which is 32 times the fall
    expected = 0.05 if trusted else 0.05 * np.exp(-0.5 * 255 / 4)
    assert match.confidence.view(SIZE)[inner].numpy() == pytest.approx(expected, rel=1e-3)


def test_what_leaves_view_0_has_no_match_by_flow() -> None:
    frames = torch.full((3, *SIZE, 3), 0.5)
    frames[1] = 0.0  # nor one by geometry: pictures differ
    match = match_by_flow(wall_scene(), 1, flow_by((100, 0), 0.0), frames)
    assert float(match.confidence.max()) < 1e-12 and int(match.column.max()) < SIZE[1]


def textured() -> torch.Tensor:
    """Pictures of the wall with fine texture, each a pixel to the left of the one before."""
    columns = torch.arange(SIZE[1]) + torch.arange(3)[:, None]
    stripes = 0.5 + 0.3 * torch.sin(2.0 * columns)[:, None, :] * torch.cos(1.3 * torch.arange(SIZE[0]))[None, :, None]
    return stripes[..., None].repeat(1, 1, 1, 3)


def test_pictures_are_compared_where_geometry_leads() -> None:
    match = match_by_flow(wall_scene(), 1, flow_by((5, -2), 20.0), textured())
    inner = (slice(None), slice(0, -14))  # the window reaches so far from the right edge, where the border repeats
    assert match.confidence.view(SIZE)[inner].numpy() == pytest.approx(0.05, rel=1e-3)
    assert float(match.confidence.view(SIZE)[:, -1].max()) < 0.01  # there view 0 does not see the wall


def test_one_pixel_that_differs_is_forgiven() -> None:
    frames = textured()
    frames[1, 12, 12] += 0.2
    confidence = match_by_flow(wall_scene(), 1, flow_by((5, -2), 20.0), frames).confidence.view(SIZE)
    # 51 grey levels over a Gaussian window of 3 pixels are 0.9 at its middle; alone they would leave nothing
    assert float(confidence[12, 12]) == pytest.approx(0.05 * np.exp(-0.2 * 255 / (2 * np.pi * 9) / 4), rel=0.02)


def test_an_unsure_flow_is_kept_where_geometry_knows_nothing() -> None:
    match = match_by_flow(wall_scene(), 1, flow_by((-5, -2), 3.2), textured())
    last = torch.arange(SIZE[0] - 3) + 3, torch.full((SIZE[0] - 3,), SIZE[1] - 1)  # left of view 0's right edge by flow
    assert match.confidence.view(SIZE)[last].numpy() == pytest.approx(np.exp(-3.2), rel=1e-5)
    assert bool((match.column.view(SIZE)[last] == SIZE[1] - 6).all())


@pytest.mark.parametrize(("nearer", "seen"), [(0.97, True), (0.8, False)])
def test_what_something_nearer_hides_has_no_match(nearer: float, seen: bool) -> None:
    scene = wall_scene()
    depth = scene.view_depth.clone()
    depth[0, :, 10:14] *= nearer
    match = match_by_geometry(replace(scene, view_depth=depth), 1)
    assert bool((match.confidence.view(SIZE)[:, 9:13] == float(seen)).all())
