"""The optical flow chosen in '3D Tracks' is what every later node of the graph works with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

Part = Callable[[str], ModuleType]
VIEWS, TIMES, SIZE = 4, 4, (40, 64)
KEEP = {"views": 8, "times": 8, "longest_side": 0}
RENDER = {"mode": "complete grid", "frames": 3, "time": 0.0, "view": 0.0, "degrees": 5.0, "colors": "source"}


class Chosen:
    """An engine in RAFT's place: DIS, and a note of every question."""

    asked: list[bytes] = []

    def __init__(self, weights: str, device: str) -> None:
        assert (weights, device) == ("raft.pth", "cpu")

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        Chosen.asked.append(b"".join(x.tobytes() for x in (a, b, init) if x is not None))
        return Chosen.measure(a, b, init)

    @staticmethod
    def measure(a: np.ndarray, b: np.ndarray, init: np.ndarray | None) -> np.ndarray:
        raise NotImplementedError


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    """A wall with a box before it: the camera slides, or the box does."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 10, 30, generator=rng)
    wall = torch.nn.functional.interpolate(coarse, scale_factor=5, mode="bilinear")[0].permute(1, 2, 0)
    box = wall[:20, -24:].flip(1)

    def frame(start: int, x: int) -> torch.Tensor:
        out = wall[: SIZE[0], start : start + SIZE[1]].clone()
        out[10:30, x : x + 24] = box
        return out

    freeze = torch.stack([frame(20 + v, 20 - 2 * v) for v in range(VIEWS)])
    return freeze, torch.stack([frame(20, 20 + 3 * t) for t in range(TIMES)])


@pytest.fixture
def graph(extension: ModuleType, part: Part, run: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Nodes up to '3D Tracks' with a chosen engine; from then on the built-in one may not be asked."""
    engines, raft = part("fourreal_core.flow.engines"), part("fourreal_core.flow.raft")
    freeze, fixed = clips()
    (grid,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, camera="still", **KEEP)
    (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
    dis = engines.DisFlow()
    calc = engines.DisFlow.__call__
    monkeypatch.setattr(Chosen, "asked", [])
    monkeypatch.setattr(Chosen, "measure", staticmethod(lambda a, b, init: calc(dis, a, b, init)))
    monkeypatch.setattr(raft, "RaftFlow", Chosen)
    monkeypatch.setattr(part("nodes.tracks"), "weights_path", lambda name: None if name == "none" else name)
    built_in: list[int] = []
    monkeypatch.setattr(
        engines.DisFlow, "__call__", lambda self, a, b, init=None: built_in.append(1) or calc(self, a, b, init)
    )
    (tracks,) = run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=1500, raft_weights="raft.pth")
    return SimpleNamespace(grid=grid, tracks=tracks, built_in=built_in)


def scene_of(graph: SimpleNamespace, run: Any, **changes: Any) -> Any:
    (still,) = run("FourRealCanonicalSplats", tracks=graph.tracks)
    (pruned,) = run("FourRealPruneFloaters", scene=still, grid=graph.grid)
    inputs = {"scene": pruned, "grid": graph.grid, "steps": 0, "seed": 1, "refit": 0, "tracks": graph.tracks} | changes
    return run("FourRealFitDeformation", **inputs)[0]


def test_fit_and_render_ask_the_engine_that_was_chosen(graph: SimpleNamespace, run: Any) -> None:
    after_tracks = len(Chosen.asked)
    assert after_tracks > 0
    scene = scene_of(graph, run)
    after_fit = len(Chosen.asked)
    run("FourRealRenderScene", scene=scene, grid=graph.grid, **RENDER)
    assert not graph.built_in
    assert after_tracks < after_fit < len(Chosen.asked)
    # far cells are measured from the chain of neighbours; what tracks had from that very start was released with the
    # rest of their started flows
    unstarted = [asked for asked in Chosen.asked if len(asked) == 2 * SIZE[0] * SIZE[1]]
    assert len(unstarted) == len(set(unstarted))


def test_the_choice_goes_with_a_scene_without_its_tracks(graph: SimpleNamespace, run: Any) -> None:
    (still,) = run("FourRealCanonicalSplats", tracks=graph.tracks)
    (pruned,) = run("FourRealPruneFloaters", scene=still, grid=graph.grid)
    before = len(Chosen.asked)
    run("FourRealRenderScene", scene=pruned, grid=graph.grid, **RENDER)
    assert len(Chosen.asked) > before and not graph.built_in


def test_a_grid_with_other_pictures_is_measured_by_the_same_engine(graph: SimpleNamespace, run: Any) -> None:
    scene = scene_of(graph, run)
    run("FourRealRenderScene", scene=scene, grid=graph.grid, **RENDER)
    freeze, fixed = (1 - clip for clip in clips())
    (other,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, camera="still", **KEEP)
    before = len(Chosen.asked)
    run("FourRealRenderScene", scene=scene, grid=other, **RENDER)
    assert len(Chosen.asked) > before and not graph.built_in


def test_a_scene_from_a_file_has_the_built_in_flow(
    graph: SimpleNamespace, run: Any, part: Part, host_folders: Path
) -> None:
    scene = scene_of(graph, run)
    (name,) = run("FourRealSaveScene", scene=scene, filename_prefix="4Real/a scene")[:1]
    (loaded,) = run("FourRealLoadScene", file=name)
    before = len(Chosen.asked)
    _, filled = run("FourRealRenderScene", scene=loaded, grid=graph.grid, **RENDER)
    assert graph.built_in and len(Chosen.asked) == before
    again = part("nodes.wires").of_grid(loaded, scene.flow)
    _, expected = run("FourRealRenderScene", scene=again, grid=graph.grid, **RENDER)
    assert torch.equal(filled.frames, expected.frames)  # the chosen engine answers as the built-in one does


def test_a_refitted_scene_brings_the_grid_that_it_was_fitted_to(
    graph: SimpleNamespace, run: Any, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run("FourRealRenderScene", scene=scene_of(graph, run), grid=graph.grid, **RENDER)[1]
    scene, made = scene_of(graph, run, refit=2), []
    core = part("fourreal_core.proposals.complete_grid")
    complete = core.completion
    monkeypatch.setattr(core, "completion", lambda *a, **k: made.append(1) or complete(*a, **k))
    images, filled = run("FourRealRenderScene", scene=scene, grid=graph.grid, **RENDER)
    assert not made and torch.equal(filled.frames, before.frames) and torch.equal(filled.known, graph.grid.known)
    assert torch.equal(images, filled.frames.flatten(0, 1))
    run("FourRealRenderScene", scene=scene, grid=graph.grid, **(RENDER | {"colors": "splats"}))
    freeze, fixed = (1 - clip for clip in clips())
    (other,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, camera="still", **KEEP)
    run("FourRealRenderScene", scene=scene, grid=other, **RENDER)
    assert len(made) == 2


def test_the_hosts_own_optical_flow_model_measures(
    extension: ModuleType, part: Part, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network as *Load Optical Flow Model* gives it, in its patcher; it finds everything one pixel to the right."""

    class Raft(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.tensor([1.0, 0.0]))
            self.feature_encoder = self.context_encoder = self.update_block = torch.nn.Identity()

        def forward(self, a: torch.Tensor, b: torch.Tensor, num_flow_updates: int) -> list[torch.Tensor]:
            return [self.shift[None, :, None, None].expand(1, 2, *a.shape[2:])]

    with torch.inference_mode():
        patcher = SimpleNamespace(model=Raft())
    freeze, fixed = clips()
    (grid,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, camera="still", **KEEP)
    (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
    engines, built_in = part("fourreal_core.flow.engines"), []
    calc = engines.DisFlow.__call__
    monkeypatch.setattr(
        engines.DisFlow, "__call__", lambda self, a, b, init=None: built_in.append(1) or calc(self, a, b, init)
    )
    (tracks,) = run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=1500, optical_flow=patcher)
    assert not built_in
    flows = part("nodes.wires").flows_for(grid, tracks)
    assert flows((0, 0), (0, 1)).best.reshape(-1, 2).mean(0).tolist() == [1.0, 0.0]
