"""Video files: colours by the stream's own tags, odd sizes, and what a written file says of itself."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip, write_video
from fourreal_core.media.video import there_and_back_order

SWATCHES = (
    torch.tensor(
        [
            [0, 0, 0],
            [255, 255, 255],
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [128, 128, 128],
            [200, 150, 30],
            [20, 90, 160],
        ]
    ).float()
    / 255
)


def swatch_clip(height: int = 32) -> torch.Tensor:
    """Eight flat stripes, each wide enough that 4:2:0 colour does not mix them in the middle."""
    row = SWATCHES.repeat_interleave(16, 0)
    return row.expand(2, height, 128, 3)


def stripes_of(clip: torch.Tensor) -> torch.Tensor:
    return clip[0, clip.shape[1] // 2, 8:128:16]


def encode(path: Path, matrix: int, full: bool, tagged: bool = True, height: int = 32) -> Path:
    """A clip of swatches encoded with a matrix (H.273 code) and range, by PyAV alone."""
    picture = (swatch_clip(height)[0] * 255).byte().numpy()
    kind = {1: Colorspace.ITU709, 6: Colorspace.ITU601}[matrix]
    value = ColorRange.JPEG if full else ColorRange.MPEG
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=8, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        if tagged:
            stream.codec_context.color_range, stream.codec_context.colorspace = int(value), matrix
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=kind, dst_color_range=value
        )
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("full", [False, True])
def test_colours_follow_matrix_and_range(tmp_path, matrix, full):
    read = stripes_of(read_clip(encode(tmp_path / "a.mp4", matrix, full)))
    assert float((read - SWATCHES).abs().max()) <= 3 / 255


@pytest.mark.parametrize(("height", "matrix"), [(32, 6), (720, 1)])
def test_untagged_colours_are_taken_as_players_take_them(tmp_path, height, matrix):
    read = stripes_of(read_clip(encode(tmp_path / "a.mp4", matrix, False, tagged=False, height=height)))
    assert float((read - SWATCHES).abs().max()) <= 3 / 255


def test_what_is_written_is_read_back_in_its_colours(tmp_path):
    path = write_video(swatch_clip(), tmp_path / "a.mp4", fps=12.5, crf=0)
    assert float((stripes_of(read_clip(path)) - SWATCHES).abs().max()) <= 3 / 255
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 12.5
        assert (int(stream.codec_context.colorspace), int(stream.codec_context.color_range)) == (1, 1)


@pytest.mark.parametrize("size", [(33, 47), (33, 48), (32, 47)])
def test_odd_sizes_are_padded_by_repetition(tmp_path, pictures, size):
    clip = pictures(2, *size)
    read = read_clip(write_video(clip, tmp_path / "a.mp4", crf=0))
    assert read.shape[1:3] == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert float((read[:, : size[0], : size[1]] - clip).abs().mean()) < 0.03


@pytest.mark.parametrize("shape", [(0, 32, 32, 3), (32, 32, 3), (2, 32, 32, 4)])
def test_what_is_no_clip_is_not_written(tmp_path, shape):
    with pytest.raises(InputError, match="at least one RGB frame"):
        write_video(torch.zeros(shape), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("frames", "expected"), [(3, [0, 1, 2, 1]), (2, [0, 1]), (1, [0])])
def test_there_and_back_has_no_frame_twice_in_a_row(frames, expected):
    assert there_and_back_order(frames, 0.1, 8) == expected
    long = there_and_back_order(frames, 2.0, 8)
    assert len(long) >= 16 and long[: len(expected)] == expected
