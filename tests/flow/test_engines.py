"""Flow engines: OpenCV's DIS on known motion, and RAFT behind its interface."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fourreal_core.errors import InputError
from fourreal_core.flow.checkpoint_files import read_weights
from fourreal_core.flow.engines import DisFlow, flow_engine
from fourreal_core.flow.flow_field import to_gray, warp
from fourreal_core.flow.raft import RaftFlow

from ..geometry.worlds import World

KEY = "feature_encoder.convnormrelu.0.weight"


class Slide(torch.nn.Module):
    """Stands for torchvision's RAFT: the same call, weights and answer; says the difference of the means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.feature_encoder = torch.nn.Module()
        self.feature_encoder.convnormrelu = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 7))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image1: torch.Tensor, image2: torch.Tensor, num_flow_updates: int = 12) -> list[torch.Tensor]:
        assert (
            image1.shape == image2.shape and -1 <= image1.min() < 0 and image1.max() <= 1
        )  # frames darker than mid-grey
        assert not [side for side in image1.shape[2:] if side % 8 or side < 128]
        self.seen.append(tuple(image1.shape))
        flow = (image2 - image1).mean((1, 2, 3))[:, None, None, None].expand(-1, 2, *image1.shape[2:])
        return [torch.zeros_like(flow)] * (num_flow_updates - 1) + [flow]


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A module of torchvision's interface; returns which of its two makers were asked."""
    asked: list[str] = []
    flows = ModuleType("torchvision.models.optical_flow")

    def maker(name: str, channels: int) -> Any:
        def make(*, weights: None) -> Slide:
            asked.append(name)
            return Slide(channels)

        return make

    flows.raft_small, flows.raft_large = maker("small", 32), maker("large", 64)  # type: ignore[attr-defined]
    models, top = ModuleType("torchvision.models"), ModuleType("torchvision")
    models.optical_flow, top.models = flows, models  # type: ignore[attr-defined]
    for name, module in (("torchvision", top), ("torchvision.models", models), (flows.__name__, flows)):
        monkeypatch.setitem(sys.modules, name, module)
    return asked


@pytest.mark.parametrize(("channels", "asked_for"), [(32, "small"), (64, "large")])
def test_raft_gets_what_it_takes_and_gives_flow(
    tmp_path: Path, torchvision: list[str], channels: int, asked_for: str
) -> None:
    torch.save(Slide(channels).state_dict(), tmp_path / "raft.pth")
    engine = flow_engine(f"raft:{tmp_path / 'raft.pth'}")
    assert torchvision == [asked_for]
    dark, light = np.full((50, 131), 51, np.uint8), np.full((50, 131), 102, np.uint8)
    flow = engine(dark, light, np.ones((50, 131, 2), np.float32))
    assert flow.shape == (50, 131, 2) and flow.dtype == np.float32
    # 51 grey levels of 127.5; replicated borders change no mean of a flat picture
    np.testing.assert_allclose(flow, 0.4, atol=1e-6)


def test_raft_finds_weights_that_torchvision_keeps(
    tmp_path: Path, torchvision: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match="no RAFT weights in"):
        RaftFlow()
    (tmp_path / "checkpoints").mkdir()
    torch.save(Slide(32).state_dict(), tmp_path / "checkpoints" / "raft_small_C_T_V2-01064c6d.pth")
    flow_engine("raft")
    torch.save(Slide(64).state_dict(), tmp_path / "checkpoints" / "raft_large_C_T_SKHT_V2-ff5fadd5.pth")
    RaftFlow()
    assert torchvision == ["small", "large"]  # the larger one where both are there


def test_files_that_are_no_weights_are_refused(tmp_path: Path, torchvision: list[str]) -> None:
    with pytest.raises(InputError, match="no file"):
        RaftFlow(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save({KEY: torch.zeros(32, 3, 7, 7)}, tmp_path / "half.pth")
    torch.save(Slide, tmp_path / "code.pth")  # a pickle that would run code is not opened
    for name in ("text", "other", "half", "code"):
        with pytest.raises(InputError, match=f"{name}.pth holds no RAFT weights"):
            RaftFlow(tmp_path / f"{name}.pth")


def test_raft_that_another_program_loaded_is_copied() -> None:
    """Also one that was made in inference mode, as ComfyUI's loaders make theirs."""
    with torch.inference_mode():
        loaded = Slide(64)
        for part in ("context_encoder", "update_block"):
            loaded.add_module(part, torch.nn.Identity())
    engine = RaftFlow.of_module(loaded)
    first = engine(np.full((50, 131), 100, np.uint8), np.full((50, 131), 151, np.uint8))
    np.testing.assert_allclose(first, 0.4, atol=1e-6)
    with torch.inference_mode():
        for parameter in loaded.parameters():  # the host may free or move its own
            parameter.zero_()
    again = engine(np.full((50, 131), 100, np.uint8), np.full((50, 131), 151, np.uint8))
    np.testing.assert_array_equal(first, again)
    with pytest.raises(InputError, match="an optical flow model of type Linear; expected torchvision's RAFT"):
        RaftFlow.of_module(torch.nn.Linear(2, 2))


def test_without_torchvision_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchvision", "torchvision.models"):  # an earlier test may have imported it
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="no torchvision that works here"):
        RaftFlow(tmp_path / "a.pth")


def test_engines_have_names() -> None:
    assert isinstance(flow_engine("dis"), DisFlow)
    for said in ("fast", "", "dis:3"):
        with pytest.raises(InputError, match="the flow"):
            flow_engine(said)


@pytest.mark.parametrize(
    ("release", "reads"), [("2.4.1", False), ("2.5.0", False), ("2.6.0", True), ("2.13.0+cpu", True)]
)
def test_pytorchs_format_is_read_only_where_that_is_safe(tmp_path: Path, release: str, reads: bool) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    if reads:
        assert torch.equal(read_weights(tmp_path / "w.pth", release)["a"], torch.ones(2))
    else:
        with pytest.raises(InputError, match="safetensors"):
            read_weights(tmp_path / "w.pth", release)
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors", release)["a"], torch.ones(2))


@pytest.mark.parametrize("step", [(3, 0), (-2, 4), (0, 0)])
def test_dis_finds_a_translation(walk: World, step: tuple[int, int]) -> None:
    (gray,) = to_gray(walk.frames[:1])
    shifted = warp(gray, np.tile(np.float32([-step[0], -step[1]]), (*gray.shape, 1)))
    flow = DisFlow()(gray, shifted)
    inner = flow[12:-12, 12:-12].reshape(-1, 2)
    # the same picture moved by whole pixels; dense inverse search is good to a tenth of a pixel on such texture
    assert np.abs(np.median(inner, 0) - step).max() < 0.1


def test_dis_follows_a_start_farther_than_its_own_search(walk: World) -> None:
    (gray,) = to_gray(walk.frames[:1])
    far = np.tile(np.float32([42, 0]), (*gray.shape, 1))
    shifted = warp(gray, -far)
    free, started = (DisFlow()(gray, shifted, start)[12:-12, 12:60, 0] for start in (None, far))
    assert abs(np.median(started) - 42) < 0.1 and abs(np.median(free) - 42) > 5


def test_the_start_is_not_written_to(walk: World) -> None:
    a, b = to_gray(walk.frames[:2])
    start = np.full((*a.shape, 2), 1.5, np.float32)
    flow = DisFlow()(a, b, start)
    assert (start == 1.5).all() and not np.array_equal(flow, start)


def test_frames_too_small_for_the_search_are_refused() -> None:
    tiny = np.zeros((8, 40), np.uint8)
    with pytest.raises(InputError, match="frames of 40 x 8 pixels; expected at least 16 x 16"):
        DisFlow()(tiny, tiny)


def test_a_flow_does_not_depend_on_the_pairs_before() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(0, 255, (24, 32), dtype=np.uint8) for _ in range(3))
    engine = DisFlow()
    first = engine(a, b)
    engine(b, c, first)  # OpenCV would take this start for the next pair too
    assert np.array_equal(engine(a, b), first)


def test_an_opencv_without_dis_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.delattr(cv2, "DISOpticalFlow_create")
    with pytest.raises(InputError, match="without DISOpticalFlow.*opencv-python-headless"):
        DisFlow()
