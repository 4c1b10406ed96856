"""What the host's cache holds of a graph, and the warning before work that needs more memory than there is."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

Node = Any
Part = Callable[[str], ModuleType]
SIZE = (40, 64)
PIXELS = SIZE[0] * SIZE[1] * 3
KEEP = {"views": 8, "times": 8, "longest_side": 0, "camera": "still"}


@pytest.fixture(scope="module")
def clips() -> SimpleNamespace:
    """A texture that slides: as the camera moves in one clip, as the scene does in the other. In 8 bits."""
    coarse = torch.rand(1, 3, 10, 30, generator=torch.Generator().manual_seed(0))
    wall = torch.nn.functional.interpolate(coarse, scale_factor=5, mode="bilinear")[0].permute(1, 2, 0)
    wall = (wall * 255).round() / 255
    return SimpleNamespace(
        freeze=torch.stack([wall[: SIZE[0], 20 + 2 * v : 20 + 2 * v + SIZE[1]] for v in range(4)]),
        fixed=torch.stack([wall[t : SIZE[0] + t, 20 : 20 + SIZE[1]] for t in range(3)]),
    )


@pytest.fixture
def grid(clips: SimpleNamespace, run: Node) -> Any:
    return run("FourRealGridFromVideos", freeze_time=clips.freeze, fixed_view=clips.fixed, **KEEP)[0]


@pytest.fixture
def tracks(grid: Any, run: Node) -> Any:
    (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
    return run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=500)[0]


def test_a_grid_on_a_wire_holds_the_given_cells_in_8_bits_and_no_others(grid: Any, clips: SimpleNamespace) -> None:
    assert "frames" not in vars(grid) and grid.held.bytes == 6 * PIXELS
    assert torch.equal(grid.freeze_time, clips.freeze) and torch.equal(grid.fixed_view[1:], clips.fixed[1:])
    assert not grid.frames.is_inference() and not grid.frames[1:, 1:].any()


def test_frames_of_other_values_are_held_as_they_are(clips: SimpleNamespace, run: Node) -> None:
    freeze, fixed = clips.freeze * 0.987654, clips.fixed * 0.987654
    (grid,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, **KEEP)
    assert grid.held.bytes == 6 * PIXELS * 4 and torch.equal(grid.freeze_time, freeze)


def test_tracks_and_scenes_bring_little_of_the_flow_that_was_measured(
    tracks: Any, grid: Any, run: Node, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    wires = part("nodes.wires")
    flow = SIZE[0] * SIZE[1] * 2 * 4
    assert 0 < tracks.flow.bytes <= wires.FLOWS_KEPT
    (still,) = run("FourRealCanonicalSplats", tracks=tracks)
    assert still.flow is tracks.flow
    monkeypatch.setattr(wires, "FLOWS_KEPT", 3 * flow)
    fit = {"scene": still, "grid": grid, "steps": 0, "seed": 1, "refit": 1, "tracks": tracks}
    (scene,) = run("FourRealFitDeformation", **fit)
    assert scene.flow.bytes == tracks.flow.bytes == 3 * flow  # they share what they hold
    assert "frames" not in vars(scene.completed) and scene.completed.held.bytes == (6 + 4 * 6) * PIXELS
    assert wires.expected_error(scene.completed) is not None


def test_who_has_too_little_memory_is_told_on_the_node(
    grid: Any, run: Node, part: Part, said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("fourreal_core.job_memory"), "free_memory_mb", lambda: 1.0)
    (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
    sentence = next(text for _, text in said if "are free" in text)
    assert "4 x 3 cells of 64 x 40 pixels need about 0.1 GB" in sentence and "(longest_side)" in sentence
    said.clear()
    run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=500)
    assert [text for _, text in said].count(sentence) == 1
    said.clear()
    monkeypatch.setattr(part("fourreal_core.job_memory"), "free_memory_mb", lambda: 1000.0)
    run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=500)
    assert not [text for _, text in said if "are free" in text]


def test_a_scene_that_is_moved_keeps_its_grid_packed(grid: Any, tracks: Any, run: Node, part: Part) -> None:
    wires, devices = part("nodes.wires"), part("nodes.devices")
    (still,) = run("FourRealCanonicalSplats", tracks=tracks)
    scene = wires.of_grid(still, tracks.flow, grid)
    with devices.plain_tensors():
        moved = devices.place(scene)
    assert moved.completed is scene.completed and "frames" not in vars(moved.completed)
    assert devices.size_in_bytes(scene) == devices.size_in_bytes(still)
    assert isinstance(devices.place(grid).held, torch.Tensor)
