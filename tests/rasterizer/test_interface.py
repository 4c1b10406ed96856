"""Shapes, errors, the choice of back end, and camera paths."""

from __future__ import annotations

import logging

import pytest
import torch

from fourreal_core import compiled
from fourreal_core.rasterizer import RasterOptions, Rendered, available_backends, backends, rasterize, render_path

from .scenes import CAMERA, SIZE, assert_close, random_splats

TORCH = RasterOptions(backend="torch")


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_a_batch_is_its_frames(backend: str) -> None:
    _skip_unless(backend)
    options = RasterOptions(backend=backend)
    first, second = random_splats(30, seed=1), random_splats(30, seed=2)
    cameras = torch.stack([CAMERA, CAMERA * torch.tensor([[1.1], [1.2], [1.0]])])
    stacked = [torch.stack(pair) for pair in zip(first, second, strict=True)]
    together = rasterize(*stacked, cameras, SIZE, options=options)
    assert together.image.shape == (2, *SIZE, 3) and together.alpha.shape == together.depth.shape == (2, *SIZE)
    for index, splats in enumerate((first, second)):
        alone = rasterize(*splats, cameras[index], SIZE, options=options)
        assert torch.equal(together.image[index], alone.image) and torch.equal(together.depth[index], alone.depth)


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_what_has_no_camera_axis_is_shared(backend: str) -> None:
    _skip_unless(backend)
    means, scales, opacities, colors = (tensor.requires_grad_() for tensor in random_splats(20))
    options = RasterOptions(backend=backend)
    moved = torch.stack([means, means + 0.1])
    got = rasterize(moved, scales, opacities, colors, CAMERA, SIZE, options=options)
    assert got.image.shape == (2, *SIZE, 3)
    shared = torch.autograd.grad(got.image.sum(), scales)[0]
    frames = [rasterize(m, scales, opacities, colors, CAMERA, SIZE, options=options) for m in (means, means + 0.1)]
    one_by_one = sum(torch.autograd.grad(frame.image.sum(), scales)[0] for frame in frames)
    torch.testing.assert_close(shared, one_by_one)  # two float32 terms, added by autograd either way


def _same_depth(one: torch.Tensor, other: torch.Tensor, backend: str) -> None:
    if backend == "torch":  # a matrix product: its order of summing depends on the columns and on the processor
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)
    else:
        assert torch.equal(one, other)


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_without_colours(backend: str) -> None:
    _skip_unless(backend)
    means, scales, opacities, colors = random_splats(30)
    options = RasterOptions(backend=backend)
    plain = rasterize(means, scales, opacities, None, CAMERA, SIZE, options=options)
    coloured = rasterize(means, scales, opacities, colors, CAMERA, SIZE, options=options)
    assert plain.image.shape == (*SIZE, 0)
    assert torch.equal(plain.alpha, coloured.alpha)
    _same_depth(plain.depth, coloured.depth, backend)


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_a_view_of_nothing_is_background_with_zero_gradients(backend: str) -> None:
    _skip_unless(backend)
    inputs = [tensor.requires_grad_() for tensor in random_splats(5)]
    camera, background = CAMERA.clone(), torch.tensor([0.1, 0.2, 0.3])
    camera[0, 2] = 1e5
    got = rasterize(*inputs, camera, SIZE, background, RasterOptions(backend=backend))
    assert torch.equal(got.image, background.expand(*SIZE, 3)) and not got.alpha.any() and not got.depth.any()
    (got.image.sum() + got.depth.sum()).backward()
    assert all(tensor.grad is None or not tensor.grad.any() for tensor in inputs) and inputs[0].grad is not None


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
@pytest.mark.parametrize("name", ["means", "scales", "opacities", "colors"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_non_finite_inputs_raise(backend: str, name: str, value: float) -> None:
    _skip_unless(backend)
    splats = dict(zip(("means", "scales", "opacities", "colors"), random_splats(21), strict=True))
    splats[name].view(-1)[-1] = value
    with pytest.raises(ValueError, match=f"^{name} holds a NaN or infinite value"):
        rasterize(**splats, intrinsics=CAMERA, size=SIZE, options=RasterOptions(backend=backend))


def test_wrong_arguments_say_what_is_wrong() -> None:
    means, scales, opacities, colors = random_splats(4)
    skewed = CAMERA.clone()
    skewed[0, 1] = 1.0
    wrong = {
        "means have shape": (means[:, :2], scales, opacities, colors, CAMERA, SIZE),
        "scales have shape": (means, scales[:2], opacities, colors, CAMERA, SIZE),
        "opacities are torch.float64": (means, scales, opacities.double(), colors, CAMERA, SIZE),
        "colors have 33 channels": (means, scales, opacities, torch.zeros(4, 33), CAMERA, SIZE),
        "intrinsics have shape": (means, scales, opacities, colors, CAMERA[:2], SIZE),
        "intrinsics have the rows": (means, scales, opacities, colors, skewed, SIZE),
        "intrinsics have fx": (means, scales, opacities, colors, CAMERA * torch.tensor([[-1.0], [1], [1]]), SIZE),
        "size is": (means, scales, opacities, colors, CAMERA, (0, 5)),
        "background has shape": (means, scales, opacities, colors, CAMERA, SIZE, torch.zeros(2)),
        "one number B": (means.expand(2, 4, 3), scales, opacities, colors, CAMERA.expand(3, 3, 3), SIZE),
    }
    for message, arguments in wrong.items():
        with pytest.raises(ValueError, match=message):
            rasterize(*arguments, options=TORCH)


@pytest.mark.parametrize(
    "wrong",
    [{"near": 0.0}, {"low_pass": -1.0}, {"max_alpha": 1.0}, {"min_alpha": 0.995}, {"min_transmittance": 1.0},
     {"backend": "cuda"}, {"near": float("nan")}],
)  # fmt: skip
def test_options_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RasterOptions(**wrong)


def test_rendered_checks_its_shapes() -> None:
    with pytest.raises(ValueError, match="shapes of image"):
        Rendered(torch.zeros(2, 3, 1), torch.zeros(2, 3), torch.zeros(3, 2))


def test_available_backends_gives_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    found = available_backends()
    assert list(found) == ["numba", "gsplat", "sparse", "torch"] and found["torch"] == "ok"
    if not torch.cuda.is_available():
        assert "CUDA" in found["gsplat"]
        with pytest.raises(ValueError, match="'gsplat' can't be used"):
            rasterize(*random_splats(2), CAMERA, SIZE, options=RasterOptions(backend="gsplat"))


def test_auto_falls_back_and_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(backends, "_unavailable", lambda name: "it isn't installed" if name == "numba" else None)
    backends._announce.cache_clear()
    compiled._warn.cache_clear()
    with caplog.at_level(logging.INFO, logger="fourreal_core"):
        for _ in range(2):
            rasterize(*random_splats(2), CAMERA, SIZE)
    said = [record.getMessage().split(";")[0] for record in caplog.records]
    assert said == [
        "rasterizer: auto took sparse (numba: it isn't installed)",
        "it isn't installed: plain NumPy and torch do its work, with the same result but more slowly",
    ]


def test_float64_is_rendered_in_float64() -> None:
    assert backends.choose_backend("cpu", torch.float64)[0] == "torch"
    assert rasterize(*random_splats(2, dtype=torch.float64), CAMERA, SIZE).image.dtype == torch.float64
    assert backends.choose_backend("mps", torch.float32)[0] == "torch"


def test_half_precision_is_rendered_in_float32() -> None:
    splats = random_splats(20, dtype=torch.float16)
    got = rasterize(*splats, CAMERA, SIZE, options=TORCH)
    expected = rasterize(*(tensor.float() for tensor in splats), CAMERA, SIZE, options=TORCH)
    assert got.image.dtype == torch.float32 and torch.equal(got.image, expected.image)


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_a_path_is_its_frames(backend: str) -> None:
    _skip_unless(backend)
    options = RasterOptions(backend=backend)
    means, scales, opacities, colors = random_splats(200)
    poses = torch.eye(4).repeat(3, 1, 1)
    poses[:, 0, 3] = torch.tensor([0.0, 0.2, 30.0])
    steps: list[tuple[int, int]] = []

    def on_step(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        assert preview is not None and preview.shape == (*SIZE, 3)
        steps.append((done, total))

    frames = list(render_path(means, scales, opacities, colors, poses, CAMERA, SIZE, options=options, on_step=on_step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for frame, pose in zip(frames, poses, strict=True):
        alone = rasterize(means + pose[:3, 3], scales, opacities, colors, CAMERA, SIZE, options=options)
        # identity times a vector, summed by a matrix product: float32 rounding of the positions at most
        assert_close(frame.image, alone.image, 1e-5, lambda d: d.abs().max())


@pytest.mark.parametrize("backend", ["torch", "sparse", "numba"])
def test_a_path_without_colours(backend: str) -> None:
    _skip_unless(backend)
    options = RasterOptions(backend=backend)
    means, scales, opacities, colors = random_splats(30)
    arguments = (torch.eye(4)[None], CAMERA, SIZE)
    (plain,) = render_path(means, scales, opacities, None, *arguments, options=options)
    (coloured,) = render_path(means, scales, opacities, colors, *arguments, options=options)
    assert plain.image.shape == (*SIZE, 0) and plain.alpha.any()
    assert torch.equal(plain.alpha, coloured.alpha)
    _same_depth(plain.depth, coloured.depth, backend)


def test_a_path_of_moving_splats_and_cancelling() -> None:
    means, scales, opacities, colors = random_splats(10)
    poses = torch.eye(4).repeat(4, 1, 1)
    moving = torch.stack([means + 0.1 * k for k in range(4)])
    arguments = (scales, opacities, colors, poses, CAMERA, SIZE)
    by_tensor = list(render_path(moving, *arguments, options=TORCH))
    by_function = list(render_path(lambda k: moving[k], *arguments, options=TORCH))
    assert all(torch.equal(a.image, b.image) for a, b in zip(by_tensor, by_function, strict=True))
    with pytest.raises(ValueError, match="means are for 3 frames"):
        next(render_path(moving[:3], *arguments, options=TORCH))

    def cancel(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(render_path(moving, *arguments, options=TORCH, on_step=cancel))


def _skip_unless(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
