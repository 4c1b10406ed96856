"""Space to depth: an order one can count, and 8-bit frames that come back exactly."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.codec import SpaceToDepth


def test_channels_are_colour_then_y_then_x() -> None:
    frame = torch.arange(2 * 4 * 3).view(2, 4, 3) / 23
    latents = SpaceToDepth(2).encode(frame)
    assert latents.shape == (12, 1, 2)
    for colour in range(3):
        for y in range(2):
            for x in range(2):
                assert latents[4 * colour + 2 * y + x, 0, 1] == 2 * frame[y, 2 + x, colour] - 1


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_8_bit_frames_come_back_exactly(factor: int) -> None:
    values = torch.arange(256).repeat(3).view(3, 16, 16).permute(1, 2, 0).float() / 255
    frames = values.expand(2, 3, 16, 16, 3)
    codec = SpaceToDepth(factor)
    back = codec.decode(codec.encode(frames))
    assert back.shape == frames.shape
    assert torch.equal((back * 255).round(), (frames * 255).round())


def test_what_overshoots_is_clamped() -> None:
    assert SpaceToDepth().decode(torch.tensor([-3.0, 0.0, 3.0]).view(3, 1, 1)).flatten().tolist() == [0.0, 0.5, 1.0]


def test_bad_frames_and_latents_are_refused() -> None:
    with pytest.raises(InputError, match="leave it at its default"):
        SpaceToDepth(0)
    with pytest.raises(InputError, match="convert them to RGB"):
        SpaceToDepth(2).encode(torch.zeros(4, 4, 4))
    with pytest.raises(InputError, match="crop or resize"):
        SpaceToDepth(2).encode(torch.zeros(5, 4, 3))
    with pytest.raises(InputError, match="with the codec"):
        SpaceToDepth(2).decode(torch.zeros(3, 4, 4))
