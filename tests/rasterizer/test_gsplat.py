"""The gsplat back end: against the definition on CUDA; what can be checked without, everywhere."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.rasterizer import RasterOptions, available_backends, gsplat_backend
from fourreal_core.rasterizer.inputs import split_views

from .scenes import CAMERA, SIZE, assert_close, random_splats, render_and_gradients


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [0, 1, 3, 7])
def test_agrees_with_the_definition_on_cuda(channels: int) -> None:
    if (state := available_backends()["gsplat"]) != "ok":
        pytest.skip(f"gsplat: {state}")
    means, scales, opacities, colors = random_splats(300, channels)
    # under 0.9 nothing is clipped, neither at 0.99 nor at gsplat's 0.999
    splats = tuple(tensor.cuda() for tensor in (means, scales, 0.3 * opacities, colors))
    expected, expected_gradients = render_and_gradients(splats, "torch", CAMERA.cuda())
    got, gradients = render_and_gradients(splats, "gsplat", CAMERA.cuda())
    # gsplat's exp is a fast approximation, good to some 1e-6, and flips a contribution of 1/255 now and then
    assert_close(got.image, expected.image, 5e-3, lambda d: d.abs().max())
    assert_close(got.image, expected.image, 1e-4, lambda d: d.abs().mean())
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert_close(ours, theirs, 1e-2 * theirs.norm().item() + 1e-5, torch.linalg.norm)


def test_constants_that_are_compiled_into_gsplat_cannot_be_changed() -> None:
    views, _ = split_views(*random_splats(3), CAMERA, SIZE, None)
    with pytest.raises(ValueError, match="min_alpha is 0.1"):
        gsplat_backend.render(views, RasterOptions(min_alpha=0.1))


def test_a_view_of_nothing_needs_no_kernel() -> None:
    views, _ = split_views(*(tensor[:0] for tensor in random_splats(3)), CAMERA, SIZE, torch.ones(3))
    rendered = gsplat_backend.render(views, RasterOptions())
    assert bool((rendered.image == 1).all()) and not rendered.alpha.any()
