"""The reconstruction benchmark: its worlds are consistent, and perfect results score perfectly."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fourreal_core.cameras import lift, pixel_grid, project
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.structure_from_motion import ParallaxOptions
from fourreal_core.pipeline import PipelineOptions
from fourreal_core.reconstruction.floaters import FloaterOptions
from fourreal_core.reconstruction.refit import RefitOptions
from fourreal_core.tracking.tracks import Tracks

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SIZE, VIEWS, TIMES = (36, 64), 3, 3


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("reconstruction")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def figures(bench: ModuleType) -> ModuleType:
    return sys.modules["reconstruction_figures"]


@pytest.mark.parametrize(("kind", "off"), [("rigid", 0.0), ("articulated", 2.0), ("soft", 0.0)])
def test_worlds_are_what_they_say(bench: ModuleType, kind: str, off: float) -> None:
    world = bench.make_world(kind, VIEWS, SIZE, off)
    start = world.at(0.0)
    travel = (world.at(1.0) - start).norm(dim=-1)
    assert float(travel[~world.moving].max()) == 0 and float(travel.max()) > 0.2
    assert torch.equal(world.in_view(VIEWS // 2, 0.0), world.cameras[VIEWS // 2].to_camera(start)[0])
    image, depth = world.cell(0, 1.0)
    points = world.in_view(0, 1.0)
    at = project(points, world.cameras.intrinsics[0])
    inside = (at >= 1).all(-1) & (at[:, 0] < SIZE[1] - 1) & (at[:, 1] < SIZE[0] - 1)
    column, row = at[inside].long().unbind(-1)
    gap = points[inside, 2] / depth[row, column] - 1
    # no point lies before what is drawn, half a pixel at outlines aside; half lie on it, the others are backs or hidden
    assert float((gap < -0.1).float().mean()) < 0.03 and float((gap.abs() < 0.05).float().mean()) > 0.4
    assert float(image.std()) > 0.05
    bent, straight = world.in_view(0, 0.0), world.cameras[0].to_camera(start)[0]
    error = ((bent - straight)[:, 0] * SIZE[1] / straight[:, 2])[straight[:, 2] > 1]
    assert float(error.std()) == pytest.approx(off, rel=0.5)  # a few long waves are seldom of their expected strength


def test_perfect_results_score_perfectly(bench: ModuleType, figures: ModuleType) -> None:
    world = bench.make_world("articulated", VIEWS, SIZE)
    depth = torch.stack([torch.stack([world.cell(v, t / (TIMES - 1))[1] for t in range(TIMES)]) for v in range(VIEWS)])
    mask = torch.ones(VIEWS, *SIZE, dtype=torch.bool)
    other = world.cameras.world_to_cam.clone()
    other[:, :3, 3] *= 5  # in another scale
    geometry = Geometry(depth[:, 0] * 5, world.cameras.intrinsics, mask, other)
    assert figures.depth_figures(geometry, depth[:, 0])["depth_error"] < 1e-6
    found = figures.camera_figures(geometry, world.cameras, depth[:, 0])
    # an angle from the trace of a float32 rotation is good to some hundredths of a degree
    assert found["rotation_deg"] < 0.05 and found["centre_error"] < 1e-5 and found["focal_error"] == 0
    grown = Geometry(
        depth[:, 0] * 1.1,
        world.cameras.intrinsics * torch.tensor([1.2, 1.2, 1.0])[:, None],
        mask,
        world.cameras.world_to_cam,
    )
    worse = figures.camera_figures(grown, world.cameras, depth[:, 0])
    assert worse["focal_error"] == pytest.approx(0.2) and worse["centre_error"] > 0.02


def test_tracks_of_the_true_points_score_well(bench: ModuleType, figures: ModuleType) -> None:
    world = bench.make_world("rigid", VIEWS, SIZE)
    depth = torch.stack([torch.stack([world.cell(v, t / (TIMES - 1))[1] for t in range(TIMES)]) for v in range(VIEWS)])
    points = torch.stack([world.in_view(v, 0.0) for v in range(VIEWS)])
    start = project(points[1], world.cameras.intrinsics[1])
    front = figures.on_surface(points[1], start, depth[1, 0]).nonzero()[:, 0]
    pixel = start[front].long() @ torch.tensor([1, SIZE[1]])
    kept = front[[int((pixel == k).nonzero()[0, 0]) for k in pixel.unique()]]  # a pixel has one track
    samples = type(world.samples)(world.samples.face[kept.numpy()], world.samples.weights[kept.numpy()])
    world, points = replace(world, samples=samples, moving=world.moving[kept]), points[:, kept]
    seen = torch.stack(
        [
            figures.on_surface(points[v], project(points[v], world.cameras.intrinsics[v]), depth[v, 0])
            for v in range(VIEWS)
        ]
    )
    n = points.shape[1]
    tracks = Tracks(
        points * 3,
        seen,
        torch.zeros(n, 3),
        torch.ones(n, dtype=torch.long),
        torch.ones(n),
        world.cameras.intrinsics,
        SIZE,
    )
    good = figures.track_figures(tracks, world, depth, "views")
    assert good["apd"] > 0.99 and good["moving_apd"] > 0.99 and good["occlusion"] == 1
    still = lift(pixel_grid(SIZE), depth[1, 0], world.cameras.intrinsics[1]).reshape(-1, 3)
    n = len(still)
    stuck = Tracks(
        still.expand(VIEWS, n, 3),
        torch.ones(VIEWS, n, dtype=torch.bool),
        torch.zeros(n, 3),
        torch.ones(n, dtype=torch.long),
        torch.ones(n),
        world.cameras.intrinsics,
        SIZE,
    )
    assert figures.track_figures(stuck, world, depth, "views")["apd"] < good["apd"] - 0.2


def test_the_cost_of_the_fit_is_split(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from fourreal_core.rasterizer import numba_backend
    from fourreal_core.reconstruction import fit_deformation as fit

    short = replace(
        PipelineOptions(), floaters=FloaterOptions(rounds=1), fit=fit.FitOptions(steps=5), refit=RefitOptions(5)
    )
    monkeypatch.setattr(bench, "PipelineOptions", lambda **given: replace(short, **given))
    world = bench.make_world("rigid", VIEWS, SIZE)
    args = bench._parser().parse_args(["--views", str(VIEWS), "--times", str(TIMES), "--splats", "2000"])
    before = fit.fit_rendering, numba_backend.render
    recorder = bench.Recorder()
    row = bench.run_one(world, args, "full", recorder)
    assert (fit.fit_rendering, numba_backend.render) == before
    drawn, fitted = row["fit_rasterizer_s"], row["fit_rasterizer_s"] + row["fit_other_s"]
    deformation, refit = row["stages"]["deformation"], row["stages"]["refit"]
    assert 0 < drawn < fitted < deformation + refit
    assert deformation <= fitted + row["fit_start_s"] <= deformation + refit
    assert f"outside the rasterizer: {100 * row['fit_other_s'] / fitted:.0f} % of the fit" in bench.cost(row)
    kept = recorder.geometry, recorder.views, recorder.times
    again = bench.run_one(world, args, "no track start", recorder)
    assert all(a is b for a, b in zip(kept, (recorder.geometry, recorder.views, recorder.times), strict=True))
    assert again["psnr_cells"] != row["psnr_cells"]
    full = bench.run_one(world, args, "full", recorder)
    assert full["psnr_cells"] == row["psnr_cells"] and full["psnr_splats"] == row["psnr_splats"]


def test_starts_that_are_here_get_rows(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path) -> None:
    """One that isn't here is left out with a sentence; nothing but the start differs between rows of a world."""
    asked = []

    def run_one(world, args, ablation, recorder):
        asked.append((world, recorder.source, recorder.engine))
        row = {name: 0.0 for name, _ in bench.COLUMNS.values()}
        return {**row, "ablation": ablation, "splats": 7}

    monkeypatch.setattr(bench, "run_one", run_one)
    starts = ["flow", "vggt:/none", "made-up:0.2", "made-up:0", "made-up-depth"]
    more = ["--worlds", "rigid", "--views-off", "0", "--ablations", "full", "--size", "64x36", "--views", "3"]
    monkeypatch.setattr(sys, "argv", ["x", "--starts", *starts, *more, "-o", str(tmp_path / "rows.json")])
    assert bench.main() == 0
    said = capsys.readouterr()
    assert "left out: vggt:/none: no package vggt" in said.err
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["start"] for row in rows] == ["flow", "made-up:0.2", "made-up:0", "made-up-depth"]
    assert all(f" {row['start']} " in said.out for row in rows)
    assert len({id(world) for world, _, _ in asked}) == 1
    kinds = [type(engine).__name__ for _, _, engine in asked]
    assert kinds == ["FlowTracks", "PointMapTracks", "PointMapTracks", "FlowTracks"]
    assert [source is bench.parallax_geometry for _, source, _ in asked] == [True, True, True, False]
    monkeypatch.setattr(sys, "argv", ["x", "--starts", "best", "made-up:2"])
    assert bench.main() == 2
    error = capsys.readouterr().err
    assert "no start that can be had here" in error and "the geometry 'best'" in error and "the noise '2'" in error


def test_tracks_win_in_the_background_of_a_noisy_network(bench: ModuleType, figures: ModuleType) -> None:
    """Supplement, section 3: what feed-forward maps place is fine in front and off behind; tracks through flow are not.

    A network without noise would win: it is the noise that costs. Depth of a network with flow on top comes between.
    """
    world = bench.make_world("rigid", 5, (72, 128))
    cells = [world.cell(v, 0.0) for v in range(5)]
    clip, depth = ClipFlows(torch.stack([c[0] for c in cells])), torch.stack([c[1] for c in cells])
    found = {}
    for name, make in bench.load_starts(["flow", "made-up:0.12", "made-up:0", "made-up-depth:0.12"], 5)[0].items():
        source, engine = make(world)
        geometry = source(clip, None, ParallaxOptions())
        tracks = engine.track_views(clip, geometry)
        found[name] = figures.track_figures(tracks, world, depth[:, None].expand(-1, 2, -1, -1), "views")
    flow, noisy, right, corrected = found.values()
    assert noisy["standing_px"] > 1.4 * flow["standing_px"] and noisy["standing_px"] > 1.2 * noisy["moving_px"]
    assert noisy["moving_px"] < 1.2 * flow["moving_px"], "the foreground is as good"
    assert right["standing_px"] < flow["standing_px"] and corrected["standing_px"] < 0.7 * noisy["standing_px"]
    assert noisy["standing_occlusion"] < 0.8 < flow["standing_occlusion"], "entangled: hidden by points of other frames"
