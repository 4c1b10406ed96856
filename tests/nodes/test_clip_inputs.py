"""The host's clips at the border: videos by their own source, batches and lists, and values that the host lets pass."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fourreal_core.media import read_clip

from ..media.encoding import encode, numbered, numbers
from .test_grid_nodes import TO_GRID, clips, inputs

Node = Any


class HostVideo:
    """What the host's base class of videos does: a source is made by encoding, unless a class has one of its own."""

    def get_components(self) -> Any:
        raise NotImplementedError

    def get_stream_source(self) -> Any:
        raise AssertionError("a video that holds its frames was encoded to be read")

    def as_trimmed(self, start: float, duration: float) -> Any:
        raise NotImplementedError

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0


class FromFile(HostVideo):
    """A video in a file or in memory that must not be decoded as a whole."""

    def __init__(self, file: str | io.BytesIO, start: float = 0.0, duration: float = 0.0) -> None:
        self.file, self.window = file, (start, duration)

    def get_components(self) -> Any:
        raise AssertionError("all frames of a video were decoded into memory")

    def get_stream_source(self) -> Any:
        return self.file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self.window


class FromComponents(HostVideo):
    """A video of frames that are in memory."""

    def __init__(self, images: torch.Tensor, alpha: torch.Tensor | None = None) -> None:
        self.components = SimpleNamespace(images=images, alpha=alpha, frame_rate=Fraction(8))

    def get_components(self) -> Any:
        return self.components


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Twenty numbered frames, ten a second."""
    return encode(tmp_path / "film.mkv", numbered(20), "ffv1", rate=10)


def test_a_video_is_read_from_its_own_source(run: Node, film: Path) -> None:
    for source in (str(film), io.BytesIO(film.read_bytes())):
        (grid,) = run(TO_GRID, **inputs(freeze_time=FromFile(source), fixed_view=FromFile(source), views=3, times=5))
        assert torch.equal(grid.freeze_time[1:], read_clip(film, frames=3)[1:])
        assert torch.equal(grid.fixed_view, read_clip(film, frames=5))


def test_a_trimmed_video_is_read_within_its_window(run: Node, film: Path) -> None:
    (grid,) = run(
        TO_GRID,
        **inputs(freeze_time=FromFile(str(film), 0.5, 1.0), fixed_view=FromFile(str(film), 0.5), views=64, times=64),
    )
    assert numbers(grid.freeze_time) == list(range(5, 15)) and numbers(grid.fixed_view) == list(range(5, 20))


def test_a_host_that_trims_and_does_not_say_by_how_much_decodes_itself(run: Node, film: Path) -> None:
    class Silent:
        def get_components(self) -> Any:
            return SimpleNamespace(images=read_clip(film)[4:9])

        def get_stream_source(self) -> str:
            return str(film)

        def as_trimmed(self, start: float, duration: float) -> Any:
            raise NotImplementedError

    (grid,) = run(TO_GRID, **inputs(freeze_time=Silent(), fixed_view=Silent()))
    assert numbers(grid.freeze_time) == [4, 5, 6, 7, 8]


def test_a_damaged_video_says_so(run: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "cut.webm", numbered(12), "libvpx-vp9", options={"crf": "10"})
    path.write_bytes(path.read_bytes()[:-30])
    with caplog.at_level(logging.WARNING):
        run(TO_GRID, **inputs(freeze_time=FromFile(str(path)), fixed_view=FromFile(str(path))))
    assert "the freeze-time clip (cut.webm) ends early: 11 of 12 frames" in caplog.text


def test_frames_in_memory_are_taken_as_they_are_with_their_transparency(run: Node) -> None:
    freeze, fixed = clips()
    alpha = torch.rand(4, 16, 24)
    for mask in (alpha, alpha[..., None]):
        (grid,) = run(TO_GRID, **inputs(freeze_time=FromComponents(freeze, mask), fixed_view=FromComponents(fixed)))
        assert torch.equal(grid.freeze_time[1:], (freeze * alpha[..., None])[1:])
        assert torch.equal(grid.fixed_view, fixed)


def test_transparency_of_a_batch_is_laid_over_black(run: Node) -> None:
    freeze, _ = clips()
    alpha = torch.rand(4, 16, 24, 1)
    (grid,) = run(TO_GRID, **inputs(freeze_time=torch.cat([freeze, alpha], -1)))
    assert torch.equal(grid.freeze_time[1:], (freeze * alpha)[1:])


def test_what_bicubic_resizing_overshoots_is_clamped(run: Node) -> None:
    hard = torch.from_numpy(np.indices((16, 24)).sum(0) // 3 % 2).float()[None, None].expand(4, 3, 16, 24)
    large = F.interpolate(hard, scale_factor=4, mode="bicubic").movedim(1, -1)
    assert large.min() < -0.1 and large.max() > 1.1
    (grid,) = run(TO_GRID, **inputs(freeze_time=large, fixed_view=large[:3]))
    assert torch.equal(grid.freeze_time, large.clamp(0, 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 255.0, 2.0, -1.0])
def test_other_ranges_stay_errors(fails: Node, value: float) -> None:
    freeze, _ = clips()
    freeze[2, 3, 4, 1] = value
    assert "the freeze-time clip has" in fails(TO_GRID, **inputs(freeze_time=freeze))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("batched", [True, False])
def test_a_list_of_pictures_is_a_clip(run: Node, channels: int, batched: bool) -> None:
    freeze, fixed = clips()
    shape = {1: lambda x: x[..., :1], 3: lambda x: x, 4: lambda x: torch.cat([x, torch.ones_like(x[..., :1])], -1)}
    pictures = [shape[channels](p)[None] if batched else shape[channels](p) for p in freeze]
    (grid,) = run(TO_GRID, **inputs(freeze_time=pictures, fixed_view=[fixed]))
    assert torch.equal(grid.freeze_time[1:], freeze[1:, ..., :1].expand(3, 16, 24, 3) if channels == 1 else freeze[1:])


def test_every_input_may_come_as_a_list_as_the_host_sends_it(run: Node) -> None:
    plain = inputs(ignore=torch.zeros(1, 16, 24), more_cells=torch.rand(2, 16, 24, 3), more_cells_at="v1_t1 v2_t2")
    (grid,) = run(TO_GRID, **plain)
    (listed,) = run(TO_GRID, **{name: [value] for name, value in plain.items()} | {"fit": ["pad"]})
    assert torch.equal(grid.frames, listed.frames) and torch.equal(grid.valid, listed.valid)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([clips()[0], clips()[0]], "a list of 2 freeze-time clips; expected one clip, or a list of single pictures"),
        (
            [torch.rand(1, 16, 24, 3), torch.rand(1, 16, 20, 3)],
            "has pictures of 20 x 16 and 24 x 16 pixels; expected one",
        ),
        ([torch.rand(1, 16, 24, 3), torch.rand(1, 16, 24, 2)], "the freeze-time clip has shape (1, 16, 24, 2)"),
        ([], "the freeze-time clip has no pictures"),
    ],
)
def test_lists_that_are_no_clip_are_named(fails: Node, given: Any, sentence: str) -> None:
    assert sentence in fails(TO_GRID, **inputs(freeze_time=given))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_another_shape_is_fitted_as_asked_and_told(run: Node, caplog: pytest.LogCaptureFixture, fit: str) -> None:
    freeze, _ = clips()
    fixed = torch.zeros(3, 24, 24, 3)
    fixed[:, 8:16, 8:16] = 1
    more = torch.zeros(1, 24, 24, 3)
    more[:, 8:16, 8:16] = 1
    with caplog.at_level(logging.WARNING):
        (grid,) = run(
            TO_GRID, **inputs(freeze_time=freeze, fixed_view=fixed, more_cells=more, more_cells_at="v1_t1", fit=fit)
        )
    assert (
        f"24 x 16; the fixed-view clip is {dict(crop='cropped', pad='resized between', stretch='stretched')[fit]}"
        in (caplog.text)
    )
    for cell in (grid.frames[0, 1], grid.frames[1, 1]):
        white = cell[..., 0] > 0.5
        assert (int(white.any(1).sum()), int(white.any(0).sum())) == {"crop": (8, 8), "pad": (6, 6), "stretch": (6, 8)}[
            fit
        ]
    bars = 0 if fit != "pad" else 1 - 16 / 24
    assert float((~grid.valid).float().mean()) == pytest.approx(bars)


def test_another_fit_is_named(fails: Node) -> None:
    assert "the fit 'cover'; expected one of crop, pad, stretch" in fails(TO_GRID, **inputs(fit="cover"))
