"""The numba back end against the definition, over the scenes that break rasterizers."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fourreal_core.rasterizer import RasterOptions, numba_backend, rasterize
from fourreal_core.rasterizer.inputs import Buffers, split_views

from .scenes import CAMERA, SIZE, Splats, assert_close, random_loss, random_splats, render_and_gradients

numba = pytest.importorskip("numba")
NEAR = 1 / 64  # float32 and float64 hold it exactly, so both draw what lies at it
NUMBA = RasterOptions(backend="numba")
IMAGE_TOLERANCE = 1e-4  # float32 positions of some 50 px are good to 4e-6 px, and alpha changes by at most 1 a pixel
GRADIENT_TOLERANCE = 1e-3  # of the gradient's norm: the remainder of the loss loses digits behind opaque splats


def _single() -> Splats:
    return tuple(tensor[:1] for tensor in random_splats(5))


def _none() -> Splats:
    return tuple(tensor[:0] for tensor in random_splats(5))


def _changed(change: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None], count: int = 80) -> Splats:
    means, scales, opacities, colors = random_splats(count, seed=5)
    change(means, scales, opacities)
    return means, scales, opacities, colors


def _behind(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    means[::2, 2] *= -1


def _near_plane(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    means[::3] = torch.tensor([0.0001, 0.0001, NEAR])
    means[1::3, 2] = 0.999 * NEAR
    means[2::9, 2] = 0.0
    scales[::3] = 1e-4


def _off_screen(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    means[:, 0] += 50


def _huge(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    scales[:10] = 30.0
    scales[10] = 1e9


def _equal_depths(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    means[:, 2] = 2.0


def _transparent(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    opacities[::2] = 0.0
    opacities[1::4] = 0.003  # less than 1 / 255


def _opaque(means: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor) -> None:
    opacities[:] = 1.0
    scales[:] = 0.5


SCENES = {
    "one splat": _single,
    "no splat": _none,
    "random": lambda: random_splats(300),
    "crowded": lambda: random_splats(4000),  # several buckets in every tile
    "behind the camera": lambda: _changed(_behind),
    "on the near plane": lambda: _changed(_near_plane),
    "off screen": lambda: _changed(_off_screen),
    "larger than the screen": lambda: _changed(_huge),
    "equal depths": lambda: _changed(_equal_depths, 1500),
    "zero opacity": lambda: _changed(_transparent),
    "opaque": lambda: _changed(_opaque, 500),
}


@pytest.mark.parametrize("name", SCENES)
def test_agrees_with_the_definition(name: str) -> None:
    _compare(SCENES[name]())


@pytest.mark.parametrize("channels", [0, 1, 2, 4, 11, 32])
def test_any_number_of_channels(channels: int) -> None:
    _compare(random_splats(200, channels))


def _compare(splats: Splats) -> None:
    background = torch.linspace(0, 1, splats[3].shape[1]) if splats[3].shape[1] else None
    exact = tuple(tensor.double() for tensor in splats)
    expected, expected_gradients = render_and_gradients(exact, "torch", CAMERA, background, NEAR)
    got, gradients = render_and_gradients(splats, "numba", CAMERA, background, NEAR)
    assert_close(got.image, expected.image, IMAGE_TOLERANCE, lambda d: d.abs().max())
    assert_close(got.alpha, expected.alpha, IMAGE_TOLERANCE, lambda d: d.abs().max())
    # a mean of depths: where coverage is 1/255, float32's 6e-8 of 1 - T is 1.5e-5 of it
    scale = max(1.0, expected.depth.max().item())
    assert_close(got.depth, expected.depth, IMAGE_TOLERANCE * scale, lambda d: d.abs().max())
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert ours.isfinite().all()
        assert_close(ours, theirs, GRADIENT_TOLERANCE * theirs.norm().item() + 1e-5, torch.linalg.norm)


def test_same_bits_with_one_and_with_many_threads() -> None:
    splats = random_splats(3000)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            rendered, gradients = render_and_gradients(splats, "numba")
            results.append([rendered.image, rendered.alpha, rendered.depth, *gradients])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_may_be_called_from_several_threads_at_once() -> None:
    splats = random_splats(2000)
    expected, _ = render_and_gradients(splats, "numba")
    images: list[torch.Tensor] = []

    def work() -> None:
        images.extend(render_and_gradients(splats, "numba")[0].image for _ in range(5))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(images) == 15 and all(torch.equal(image, expected.image) for image in images)


def test_non_contiguous_inputs() -> None:
    means, scales, opacities, colors = random_splats(50)
    strided = (means.T.contiguous().T, scales.repeat_interleave(2)[::2], torch.stack([opacities] * 2, 1)[:, 1])
    assert not any(tensor.is_contiguous() for tensor in strided)
    first, second = render_and_gradients((means, scales, opacities, colors), "numba")
    again, gradients = render_and_gradients((*strided, colors.T.contiguous().T), "numba")
    assert torch.equal(first.image, again.image)
    assert all(torch.equal(a, b) for a, b in zip(second, gradients, strict=True))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (0, 2), (1, 2, 3)])
def test_gradients_for_any_subset(wanted: tuple[int, ...]) -> None:
    splats = random_splats(50)
    _, full = render_and_gradients(splats, "numba")
    inputs = [tensor.clone().requires_grad_(index in wanted) for index, tensor in enumerate(splats)]
    random_loss(rasterize(*inputs, CAMERA, SIZE, options=NUMBA)).backward()
    for index, tensor in enumerate(inputs):
        assert (tensor.grad is not None) == (index in wanted)
        assert tensor.grad is None or torch.equal(tensor.grad, full[index])


@pytest.mark.parametrize("output", ["image", "alpha", "depth"])
def test_gradients_from_one_output_alone(output: str) -> None:
    gradients = []
    for backend, dtype in (("torch", torch.float64), ("numba", torch.float32)):
        inputs = [tensor.to(dtype).requires_grad_() for tensor in random_splats(60)]
        rendered = rasterize(*inputs, CAMERA, SIZE, options=RasterOptions(backend=backend))
        (getattr(rendered, output) ** 2).sum().backward()
        gradients.append([tensor.grad if tensor.grad is not None else torch.zeros_like(tensor) for tensor in inputs])
    for theirs, ours in zip(*gradients, strict=True):
        assert_close(ours, theirs, GRADIENT_TOLERANCE * theirs.norm().item() + 1e-5, torch.linalg.norm)


def test_inputs_stay_as_they_were() -> None:
    splats = random_splats(50)
    before = [tensor.clone() for tensor in splats]
    render_and_gradients(splats, "numba")
    assert all(torch.equal(a, b) for a, b in zip(before, splats, strict=True))


@pytest.mark.parametrize("count", [0, 1, 20, 300, 5000])
@pytest.mark.parametrize("spread", [0, 200, 1 << 29])
def test_keys_are_sorted_by_depth_and_then_by_index(count: int, spread: int) -> None:
    from fourreal_core.rasterizer.depth_order import MAX_DIGITS, sort_by_depth

    rng = np.random.default_rng(count)
    depths = 0x3F800000 + rng.integers(0, spread + 1, count)  # bits of depths from 1 on
    keys = (depths.astype(np.uint64) << np.uint64(32)) | np.arange(count, dtype=np.uint64)
    expected = np.sort(keys)
    sort_by_depth(keys, np.empty_like(keys), np.empty(MAX_DIGITS, np.uint32))
    assert np.array_equal(keys, expected)


def test_a_tile_with_one_depth_far_from_the_others() -> None:
    # the depths differ in all of their bits, but most of them only in the last ones
    means, scales, opacities, colors = random_splats(900, seed=2)
    means[:, 2] = 2 + 1e-3 * means[:, 2]
    means[0, 2] = 1e6
    _compare((means, scales, opacities, colors))


def test_other_constants() -> None:
    splats = random_splats(100)
    constants = {"near": 2.0, "low_pass": 1.5, "max_alpha": 0.7, "min_alpha": 0.05, "min_transmittance": 0.1}
    pictures = [
        rasterize(*splats, CAMERA, SIZE, options=RasterOptions(backend=backend, **constants)).image
        for backend in ("torch", "numba")
    ]
    assert_close(*pictures, IMAGE_TOLERANCE, lambda d: d.abs().max())


def test_a_compilation_is_announced_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from fourreal_core.rasterizer import compiling

    splats = [tensor.requires_grad_() for tensor in random_splats(2)]
    random_loss(rasterize(*splats, CAMERA, SIZE, options=NUMBA)).backward()  # from here on all the code is there
    for missing in (False, True):
        monkeypatch.setattr(compiling, "has_code", lambda kernel, missing=missing: not missing)
        with caplog.at_level(logging.INFO, logger="fourreal_core.rasterizer.numba_backend"):
            random_loss(rasterize(*splats, CAMERA, SIZE, options=NUMBA)).backward()
        messages = [record.getMessage() for record in caplog.records]
        assert [message.split(" (")[0] for message in messages] == (
            ["rasterizer: compiling the rasterizer once", "rasterizer: compiling its backward pass once"]
            if missing
            else []
        )


def test_code_is_missed_only_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fourreal_core.rasterizer import compiling

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def nothing() -> None:
        pass

    fresh = compiling.kernel(nothing)
    assert not compiling.has_code(fresh)
    fresh()
    assert compiling.has_code(fresh)
    assert compiling.has_code(numba.njit(cache=True)(nothing))  # on disk, but not loaded


def test_buffers_are_kept_from_view_to_view() -> None:
    buffers: Buffers = {}
    kept = []
    for count in (200, 150, 200):
        views, _ = split_views(*random_splats(count), CAMERA, SIZE, None)
        numba_backend.render(views, NUMBA, buffers)
        kept.append(dict(buffers))
    assert {"geometry", "boxes", "first_slot", "pairs"} <= set(kept[0])
    assert all(kept[0][name] is later[name] for later in kept[1:] for name in ("geometry", "boxes", "first_slot"))


def test_cached_kernels_are_tied_to_all_sources() -> None:
    from fourreal_core.rasterizer import compiling, gradients

    texts = {path.name: path.read_text(encoding="utf-8") for path in Path(compiling.__file__).parent.glob("*.py")}
    compiles = re.compile(r"from numba|from \.compiling import .*\b(inlined|kernel|part)\b")
    kernels = {name for name, text in texts.items() if compiles.search(text)}
    assert kernels == set(compiling._SOURCES)
    assert compiling._OWNER in gradients.replay_tiles._cache._cache_file._index_name
