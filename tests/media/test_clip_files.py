"""Clips by the ending of their file: what is written, how long it plays, what is transparent, what is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip
from fourreal_core.media.clip_files import check_clip_path, write_clip

FRAMES, HEIGHT, WIDTH = 7, 33, 46


def waves(channels: int = 3) -> torch.Tensor:
    """Smooth colours that move, in a size of which one side is odd."""
    t, y, x = torch.meshgrid(torch.arange(FRAMES), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    phase = torch.stack([0.1 * x + 0.3 * t, 0.15 * y - 0.2 * t, 0.1 * (x + y), 0.2 * (x - y) + 0.5 * t], -1)
    return (0.5 + 0.4 * torch.sin(phase))[..., :channels]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


@pytest.mark.parametrize(("name", "codec", "least"), [("a.mp4", "h264", 36), ("a.webm", "vp9", 36)])
def test_films_come_back(tmp_path: Path, name: str, codec: str, least: float) -> None:
    (path,) = write_clip(waves(), tmp_path / "new" / name, 12)
    back = read_clip(path)
    assert back.shape == (FRAMES, HEIGHT + 1, WIDTH, 3)  # the odd side is padded
    assert psnr(back[:, :HEIGHT], waves()) > least  # 4:2:0 of colours that change fast
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        assert context.name.startswith(codec) or context.codec.canonical_name == codec
        assert float(stream.average_rate) == pytest.approx(12)
        assert (context.pix_fmt, int(context.color_range), int(context.colorspace)) == ("yuv420p", 1, 1)
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("channels", [3, 4])
def test_an_animation_comes_back(tmp_path: Path, channels: int) -> None:
    (path,) = write_clip(waves(channels), tmp_path / "a.webp", 12)
    with Image.open(path) as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("WEBP", FRAMES, 0)
        pictures, lasting = [], []
        for k in range(FRAMES):
            image.seek(k)
            pictures.append(np.asarray(image.convert("RGBA")))
            lasting.append(image.info["duration"])
    back = torch.from_numpy(np.stack(pictures)).float() / 255
    assert sum(lasting) == round(FRAMES * 1000 / 12) and set(lasting) == {83, 84}
    assert psnr(back[..., :3], waves()) > 32  # 4:2:0 and quality 90
    alpha = waves(4)[..., 3] if channels == 4 else torch.ones(FRAMES, HEIGHT, WIDTH)
    assert float((back[..., 3] - alpha).abs().max()) <= 0.51 / 255


def test_a_folder_holds_exact_pictures_with_alpha(tmp_path: Path) -> None:
    seen: list[int] = []
    written = write_clip(waves(4), tmp_path / "new" / "v1.5", 12, lambda done, total, preview=None: seen.append(done))
    assert [p.name for p in written] == [f"frame_{k:04}.png" for k in range(FRAMES)]
    assert seen == list(range(1, FRAMES + 1))
    with Image.open(written[3]) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), (waves(4)[3] * 255).round().byte().numpy())


@pytest.mark.parametrize(
    ("name", "alpha", "says"),
    [
        ("t.gif", False, "ending .gif means no clip; expected .mp4, .webm, .webp, or a name without an ending"),
        ("t.png", False, "ending .png means no clip"),
        ("t.mp4", True, "t.mp4 with a transparent background; expected .webp, or a folder"),
        ("t.webm", True, "transparent"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path: Path, name: str, alpha: bool, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_clip_path(tmp_path / name, alpha)
    with pytest.raises(InputError, match=says):
        write_clip(waves(4 if alpha else 3), tmp_path / name, 8)
    assert not list(tmp_path.iterdir())


def test_nothing_is_no_animation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        write_clip(waves()[:0], tmp_path / "a.webp", 8)
    assert not list(tmp_path.iterdir())
