"""The main job from two clips to a whole grid, on a small sample scene and on clips that are not as they should be."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from types import FrameType

import numpy as np
import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.flow.engines import DisFlow
from fourreal_core.geometry.given_cameras import GivenCameras
from fourreal_core.geometry.structure_from_motion import ParallaxOptions
from fourreal_core.grid import FrameGrid
from fourreal_core.pipeline import QUALITIES, PipelineOptions, PipelineResult, quality_options, run_pipeline
from fourreal_core.progress import OnStep
from fourreal_core.reconstruction.fit_deformation import FitOptions
from fourreal_core.reconstruction.floaters import FloaterOptions
from fourreal_core.reconstruction.refit import RefitOptions
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.synthetic.sample_scenes import sample_clips
from fourreal_core.synthetic.scene import SceneGrid
from fourreal_core.tracking.track3d import TrackOptions

from .cancelling import Cancelled
from .test_imports import floor_of

SIZE = (64, 96)
STAGES = ["geometry", "camera", "tracks", "motion", "floaters", "deformation", "completion", "refit"]
QUICK = PipelineOptions(
    parallax=ParallaxOptions(grid_px=32),
    tracks=TrackOptions(max_points=3000),
    floaters=FloaterOptions(rounds=1),
    fit=FitOptions(steps=2, features=64),
    refit=RefitOptions(steps=2),
)
"""Every stage, none of them for long."""


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp_min(1e-12)))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Handing tiny pictures to several threads costs more than the threads give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def demo() -> SceneGrid:
    return sample_clips("puppet", SIZE, 5, 4)


@pytest.fixture(scope="module")
def result(demo: SceneGrid) -> PipelineResult:
    """The product's defaults on the sample scene."""
    return run_pipeline(grid_of(demo))


def grid_of(demo: SceneGrid, views: int = 5, times: int = 4, valid: Tensor | None = None) -> FrameGrid:
    return FrameGrid.from_clips(demo.frames[:views, 0], demo.frames[0, :times], valid)


def test_the_result_beats_the_frozen_scene(demo: SceneGrid, result: PipelineResult) -> None:
    unknown = ~result.grid.known
    frozen = psnr(demo.frames[:, :1].expand_as(demo.frames)[unknown], demo.frames[unknown])
    # 23.4 dB frozen and 28.9 dB filled when this was written; 1.5 dB less are a fault, not luck
    assert psnr(result.grid.frames[unknown], demo.frames[unknown]) > frozen + 4


def test_given_cells_come_back_bit_for_bit(demo: SceneGrid, result: PipelineResult) -> None:
    assert torch.equal(result.grid.known, grid_of(demo).known)
    assert torch.equal(result.grid.frames[result.grid.known], demo.frames[result.grid.known])


def test_every_cell_is_a_picture(result: PipelineResult) -> None:
    frames = result.grid.frames
    assert bool(frames.isfinite().all()) and float(frames.min()) >= 0 and float(frames.max()) <= 1
    assert float(frames.std((2, 3)).min()) > 0.1  # like the frames that were given


def test_depth_and_cameras_are_the_sample_scenes(demo: SceneGrid, result: PipelineResult) -> None:
    truth = demo.depth[:, 0]
    scale = (truth / result.geometry.depth).median()
    error = (result.geometry.depth * scale / truth - 1).abs()
    # flow good to 0.2 px against some 6 px of parallax between neighbours' neighbours, at 96 px width
    assert float(error.median()) < 0.06
    turn = result.geometry.world_to_cam[-1, :3, :3] @ result.geometry.world_to_cam[0, :3, :3].T
    degrees = torch.rad2deg(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1)))
    assert float(degrees) == pytest.approx(24.3, abs=3)  # an arc of 24 degrees that rises a little


def test_the_subject_moves_and_the_yard_does_not(demo: SceneGrid, result: PipelineResult) -> None:
    moving, subject = result.scene.view_motion[0] > 0.5, demo.masks[0, 0]
    # silhouettes are widened by a pixel or two of 96, and slow limbs near a joint count as standing
    assert float(moving[subject].float().mean()) > 0.6
    assert float(moving[~subject].float().mean()) < 0.2


class Recording:
    """DIS, and a note of every question."""

    def __init__(self) -> None:
        self.dis, self.asked = DisFlow(), []

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        self.asked.append(hash((a.tobytes(), b.tobytes(), b"" if init is None else init.tobytes())))
        return self.dis(a, b, init)


def test_no_flow_is_measured_twice() -> None:
    """From the checks of the clips to the last cell: the same two pictures with the same start are one question."""
    eight = sample_clips("puppet", (32, 48), 8, 8)
    engine = Recording()
    options = replace(QUICK, flow_engine=engine, fit=replace(QUICK.fit, steps=0))
    run_pipeline(grid_of(eight, 8, 8), options)
    repeats = len(engine.asked) - len(set(engine.asked))
    assert repeats == 0 and len(engine.asked) > 120


def test_seconds_are_those_of_the_stages_in_order(result: PipelineResult) -> None:
    assert list(result.seconds) == ["geometry", "camera", "tracks", "motion", "canonical", *STAGES[4:]]
    assert all(s >= 0 for s in result.seconds.values())


def test_seeds_decide_and_the_grid_stays_as_it_was(demo: SceneGrid) -> None:
    grid = grid_of(demo, 3, 3)
    before = grid.frames.clone()
    a, b, c = (run_pipeline(grid, replace(QUICK, seed=s)) for s in (1, 1, 2))
    assert torch.equal(a.grid.frames, b.grid.frames) and torch.equal(a.scene.splats.colors, b.scene.splats.colors)
    assert torch.equal(a.scene.deformation.weights, b.scene.deformation.weights)
    assert not torch.equal(a.scene.deformation.frequencies, c.scene.deformation.frequencies)
    assert torch.equal(grid.frames, before)


@pytest.fixture(scope="module")
def walked(demo: SceneGrid) -> tuple[dict[str, list[tuple[int, int]]], list[str]]:
    """A run: what its stages report, and the parts of the core above the ground that it calls, in their order."""
    seen: dict[str, list[tuple[int, int]]] = {}
    parts: list[str] = []

    def stages(name: str) -> OnStep:
        return lambda done, total, preview=None: seen.setdefault(name, []).append((done, total))

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_back is not None and frame.f_back.f_code is run_pipeline.__code__:
            package, part = [*frame.f_globals.get("__name__", "").split("."), ""][:2]
            if package == "fourreal_core" and part != "pipeline" and floor_of(part) > 2:
                parts.append(part)

    sys.setprofile(note)
    try:
        run_pipeline(grid_of(demo, 2, 3), QUICK, stages)
    finally:
        sys.setprofile(None)
    return seen, parts


def test_every_stage_reports_up_to_its_total(walked: tuple[dict[str, list[tuple[int, int]]], list[str]]) -> None:
    seen = walked[0]
    assert list(seen) == STAGES
    for name, steps in seen.items():
        assert steps[-1][0] == steps[-1][1], name
        assert [d for d, _ in steps] == sorted(d for d, _ in steps) and steps[0][0] >= 1


def test_the_job_walks_up_the_house_once(walked: tuple[dict[str, list[tuple[int, int]]], list[str]]) -> None:
    """From flow to the scene's fit, each stage on the floor of the one before or on a higher one."""
    order = [part for part, _ in groupby(walked[1])]
    stages = [part for part, _ in groupby(part for part in order if part != "flow")]
    assert stages[stages.index("geometry") : -1] == [
        "geometry", "tracking", "reconstruction", "proposals", "reconstruction"
    ]  # fmt: skip
    floors = [floor_of(part) for part in order]
    assert sum(low < high for low, high in pairwise(floors)) <= 4


@pytest.mark.parametrize("stage", STAGES)
def test_stopping_passes_through_every_stage(demo: SceneGrid, stage: str) -> None:
    def stages(name: str) -> OnStep:
        def step(done: int, total: int, preview: Tensor | None = None) -> None:
            if name == stage:
                raise Cancelled(name)

        return step

    with pytest.raises(Cancelled, match=stage):
        run_pipeline(grid_of(demo, 2, 2), QUICK, stages)


@pytest.mark.parametrize(("views", "times"), [(2, 4), (4, 2), (3, 1)])
def test_grids_of_other_shapes(demo: SceneGrid, views: int, times: int) -> None:
    grid = grid_of(demo, views, times)
    done = run_pipeline(grid, QUICK)
    assert done.grid.frames.shape == (views, times, *SIZE, 3) and done.scene.times == times
    assert bool(done.grid.frames.isfinite().all())
    assert torch.equal(done.grid.frames[grid.known], grid.frames[grid.known])
    unknown = ~grid.known
    if times > 1:
        truth = demo.frames[:views, :times]
        assert psnr(done.grid.frames[unknown], truth[unknown]) > 20  # well above noise, whatever the shape


def test_more_known_cells_are_kept_and_help(demo: SceneGrid) -> None:
    grid = grid_of(demo, 3, 4)
    more = grid.with_known({(2, 3): demo.frames[2, 3]})
    few, many = run_pipeline(grid, QUICK), run_pipeline(more, QUICK)
    assert torch.equal(many.grid.frames[2, 3], demo.frames[2, 3])
    # the cell between is now read from both sides
    assert psnr(many.grid.frames[2, 2], demo.frames[2, 2]) > psnr(few.grid.frames[2, 2], demo.frames[2, 2])


def test_a_grid_of_known_cells_is_kept_and_its_scene_fitted_to_all_of_them(
    demo: SceneGrid, result: PipelineResult
) -> None:
    """As several views of the same times give it, with the cameras that took them."""
    grid = grid_of(demo)
    whole = replace(grid, frames=demo.frames.clone(), known=torch.ones_like(grid.known))
    done = run_pipeline(whole, replace(PipelineOptions(), geometry_source=GivenCameras(demo.cameras)))
    assert torch.equal(done.grid.frames, demo.frames) and bool(done.grid.known.all())

    def plain(scene: Scene4D) -> Tensor:
        cells = [render_cell(scene, v, t).image.clamp(0, 1) for v in range(1, 5) for t in range(1, 4)]
        return torch.stack(cells)

    truth = demo.frames[1:5, 1:4].flatten(0, 1)
    # 32.4 dB, and 29.4 dB from the two clips, when this was written
    assert psnr(plain(done.scene), truth) > psnr(plain(result.scene), truth) + 1.5


def test_a_clip_that_stands_still_gives_a_scene_that_does(demo: SceneGrid) -> None:
    grid = FrameGrid.from_clips(demo.frames[:3, 0], demo.frames[:1, 0].repeat(3, 1, 1, 1))
    done = run_pipeline(grid, QUICK)
    assert done.scene.deformation is None
    for t in (1, 2):
        # nothing moves, so each pixel reads itself, to the last digit of a bilinear sample
        assert psnr(done.grid.frames[1:, t], demo.frames[1:3, 0]) > 40


def test_no_parallax_finishes_with_a_warning(demo: SceneGrid, caplog: pytest.LogCaptureFixture) -> None:
    grid = FrameGrid.from_clips(demo.frames[:1, 0].repeat(3, 1, 1, 1), demo.frames[0, :3])
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        done = run_pipeline(grid, QUICK)
    assert any("next to no parallax" in r.getMessage() for r in caplog.records)
    assert bool(done.grid.frames.isfinite().all())


@pytest.mark.parametrize(
    "broken", ["black freeze-time", "black fixed-view", "cut freeze-time", "cut fixed-view", "flat"]
)
def test_clips_that_make_no_sense_are_refused_or_finite(demo: SceneGrid, broken: str) -> None:
    freeze, fixed = demo.frames[:3, 0].clone(), demo.frames[0, :3].clone()
    if broken == "flat":
        freeze[:], fixed[:] = 0.5, 0.5
    else:
        kind, which = broken.split()
        clip = freeze if which == "freeze-time" else fixed
        clip[2:] = 0.0 if kind == "black" else clip[2:].flip(1, 2).roll(17, 2)
    try:
        done = run_pipeline(FrameGrid.from_clips(freeze, fixed), QUICK)
    except InputError as error:
        assert "expected" in str(error)
    else:
        assert bool(done.grid.frames.isfinite().all()) and bool(done.scene.splats.means.isfinite().all())
        assert bool(done.geometry.depth.isfinite().all())


def test_what_the_mask_hides_is_never_looked_at(demo: SceneGrid) -> None:
    """A loud caption in every frame, told by the mask, leaves no colour of its own in the scene."""
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[50:60, 20:76] = False
    frames = torch.where(valid[..., None], demo.frames, torch.tensor([1.0, 0.0, 1.0]))
    grid = FrameGrid.from_clips(frames[:3, 0], frames[0, :3], valid)
    done = run_pipeline(grid, replace(QUICK, fit=replace(QUICK.fit, steps=0)))
    magenta = torch.tensor([1.0, 0.0, 1.0])
    assert float((done.scene.splats.colors - magenta).abs().amax(-1).min()) > 0.2
    filled = done.grid.frames[~grid.known]
    # resampling at the caption's rim reads valid pixels only
    assert float(((filled - magenta).abs().amax(-1) < 0.1).float().mean()) < 0.002
    assert psnr(filled[:, valid], demo.frames[:3, :3][~grid.known][:, valid]) > 20


def shaken(frames: Tensor, pixels: int) -> Tensor:
    """A row ``(T, H, W, 3)`` whose camera jumps left and right by whole pixels from its second frame on."""
    return torch.stack([frame.roll(pixels * ((t % 2) * 2 - 1) * (t > 0), 1) for t, frame in enumerate(frames)])


def test_a_camera_that_stands_is_left_as_it_was(demo: SceneGrid) -> None:
    looked, not_looked = (run_pipeline(grid_of(demo, 3, 3), replace(QUICK, camera=c)) for c in ("auto", "still"))
    assert torch.equal(looked.grid.frames, not_looked.grid.frames)
    assert torch.equal(looked.scene.splats.means, not_looked.scene.splats.means)
    assert torch.equal(looked.scene.deformation.weights, not_looked.scene.deformation.weights)
    assert looked.motion.stands and looked.grid is looked.steady


def test_a_camera_that_shakes_is_held_or_kept(demo: SceneGrid, caplog: pytest.LogCaptureFixture) -> None:
    """Two pixels of 96, left and right: what is seen between is as from a camera that stands, or from its own."""
    grid = FrameGrid.from_clips(demo.frames[:3, 0], shaken(demo.frames[0, :4], 2))
    truth, inside = demo.frames[1:3, 1:4], (..., slice(None), slice(4, -4), slice(None))
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        auto, still, own = (run_pipeline(grid, replace(QUICK, camera=c)) for c in ("auto", "still", "own"))
    assert caplog.text.count("the camera of the fixed-view clip does not stand") == 2
    assert not auto.motion.stands and auto.motion.largest_px == pytest.approx(2, abs=0.3)
    made, taken_for_motion = (psnr(r.grid.frames[1:, 1:][inside], truth[inside]) for r in (auto, still))
    assert made > taken_for_motion + 2
    assert torch.equal(still.grid.frames[0], grid.frames[0]) and still.motion.stands
    # the steady row is near what a camera that stands saw; each time's own camera keeps the row bit for bit
    assert psnr(auto.grid.frames[0, 1:][inside], demo.frames[0, 1:4][inside]) > 30
    assert torch.equal(own.grid.frames[0], grid.frames[0]) and torch.equal(own.steady.frames, auto.grid.frames)
    moved = torch.stack([shaken(demo.frames[v, :4], 2) for v in (1, 2)])[:, 1:]
    assert (
        psnr(own.grid.frames[1:, 1:][inside], moved[inside]) > psnr(auto.grid.frames[1:, 1:][inside], moved[inside]) + 2
    )


@pytest.mark.parametrize("missing", [(0, 2), (2, 0)])
def test_a_row_or_column_with_gaps_is_refused(demo: SceneGrid, missing: tuple[int, int]) -> None:
    grid = grid_of(demo, 3, 3)
    known = grid.known.clone()
    known[missing] = False
    with pytest.raises(InputError, match="give a whole freeze-time clip and a whole fixed-view clip"):
        run_pipeline(replace(grid, known=known))


def test_one_view_is_refused(demo: SceneGrid) -> None:
    with pytest.raises(InputError, match="a freeze-time clip with 1 frame; expected at least 2"):
        run_pipeline(grid_of(demo, 1, 3))


def test_a_mask_that_hides_everything_is_refused(demo: SceneGrid) -> None:
    with pytest.raises(InputError, match="expected"):
        run_pipeline(grid_of(demo, 3, 3, torch.zeros(SIZE, dtype=torch.bool)), QUICK)


def test_quality_is_how_much_is_rendered() -> None:
    draft, normal, best = (quality_options(quality) for quality in QUALITIES)
    assert normal == PipelineOptions()
    renders = [made.floaters.rounds + made.fit.steps + made.refit.steps for made in (draft, normal, best)]
    assert renders == sorted(set(renders))
    with pytest.raises(InputError, match="one of draft, normal, best"):
        quality_options("fine")  # type: ignore[arg-type]


def test_the_scene_is_fitted_to_the_completed_grid(demo: SceneGrid) -> None:
    with_it, without = (run_pipeline(grid_of(demo, 2, 3), replace(QUICK, refit=RefitOptions(steps=n))) for n in (12, 0))
    assert torch.equal(with_it.grid.frames, without.grid.frames)
    assert not torch.equal(with_it.scene.splats.colors, without.scene.splats.colors)
    cells = [(v, t) for v in range(2) for t in range(3)]
    errors = [
        sum(float((render_cell(made.scene, *c).image - made.grid.frames[c]).abs().mean()) for c in cells)
        for made in (with_it, without)
    ]
    assert errors[0] < 0.97 * errors[1]
