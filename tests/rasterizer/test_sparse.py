"""The sparse back end against the definition, in float64, where both agree to rounding."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.rasterizer import RasterOptions, sparse_backend
from fourreal_core.rasterizer.inputs import split_views
from fourreal_core.rasterizer.projection import project

from .scenes import CAMERA, SIZE, Splats, assert_close, random_splats, render_and_gradients

NEAR = 1 / 64


def _double(count: int, channels: int = 3) -> list[torch.Tensor]:
    return [tensor.double() for tensor in random_splats(count, channels, seed=7)]


def _difficult() -> Splats:
    """Behind the camera, on the near plane, off screen, huge, transparent, opaque, and at equal depths."""
    means, scales, opacities, colors = _double(300)
    means[:20, 2] *= -1
    means[20:30, 2] = NEAR
    means[30:60, 0] += 50
    means[60:62, 0] += 1e12
    means[62:100, 2] = 2.0
    scales[100:104], scales[104], scales[105:130] = 30.0, 1e9, 1e-6
    opacities[130:150], opacities[150:160], opacities[160:200] = 0.0, 0.003, 1.0
    return means, scales, opacities, colors


SCENES = {
    "none": lambda: tuple(_double(3)[k][:0] for k in range(4)),
    "one": lambda: tuple(tensor[:1] for tensor in _double(3)),
    "random": lambda: tuple(_double(400)),
    "two channels": lambda: tuple(_double(100, 2)),
    "no channels": lambda: tuple(_double(100, 0)),
    "difficult": _difficult,
}


@pytest.mark.parametrize("most", [sparse_backend._MOST_PAIRS, 2000], ids=["whole", "in bands"])
@pytest.mark.parametrize("name", SCENES)
def test_agrees_with_the_definition(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    splats = SCENES[name]()
    background = torch.linspace(0, 1, splats[3].shape[1], dtype=torch.float64) if splats[3].shape[1] else None
    expected, expected_gradients = render_and_gradients(splats, "torch", CAMERA, background, NEAR)
    monkeypatch.setattr(sparse_backend, "_MOST_PAIRS", most)
    got, gradients = render_and_gradients(splats, "sparse", CAMERA, background, NEAR)
    for ours, theirs in zip((got.image, got.alpha, got.depth), vars(expected).values(), strict=True):
        scale = float(theirs.detach().abs().max()) if theirs.numel() else 0.0
        assert_close(ours, theirs, 1e-9 * max(1.0, scale), _largest)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert ours.isfinite().all()
        assert_close(ours, theirs, 1e-9 * theirs.norm().item() + 1e-12, torch.linalg.norm)


def _largest(difference: torch.Tensor) -> torch.Tensor:
    return difference.abs().max()


def test_float32_stays_float32() -> None:
    got, gradients = render_and_gradients(random_splats(50), "sparse")
    assert {tensor.dtype for tensor in (got.image, got.alpha, got.depth, *gradients)} == {torch.float32}


def test_a_picture_of_many_pairs_is_done_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    (view,), _ = split_views(*_double(64), CAMERA, SIZE, None)
    footprints = project(view, RasterOptions())
    assert sparse_backend._bands(footprints, 0, *SIZE) == [(0, SIZE[0])]
    monkeypatch.setattr(sparse_backend, "_MOST_PAIRS", 1000)
    bands = sparse_backend._bands(footprints, 0, *SIZE)
    assert len(bands) > 2 and [row for band in bands for row in range(*band)] == list(range(SIZE[0]))
