"""Views of the same times into a frame grid, and their cameras on to the geometry."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from fourreal_core.media import save_image

Node = Any
TO_GRID = "FourRealGridFromViews"


@pytest.fixture
def views(extension: ModuleType) -> Any:
    """Calls the node as the host does: every input is a list."""
    nodes = asyncio.run(asyncio.run(extension.comfy_entrypoint()).get_node_list())
    node = next(n for n in nodes if n.GET_SCHEMA().node_id == TO_GRID)
    assert node.GET_SCHEMA().is_input_list

    def execute(clips: list[Any] | None = None, **changes: Any) -> tuple[Any, ...]:
        given = {"views": 8, "times": 8, "longest_side": 0} | changes
        with torch.inference_mode():
            return node.execute(clips=clips, **{name: [value] for name, value in given.items()}).args

    return execute


def some(count: int = 3, times: int = 4, size: tuple[int, int] = (16, 24)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(times, *size, 3, generator=generator) for _ in range(count)]


def packet(places: list[float], side: tuple[int, int] = (16, 24)) -> dict[str, Any]:
    """Depth Anything 3's in mode multiview: cameras side by side, in pixels of the pictures that the network saw."""
    extrinsics = torch.eye(4)[:3].repeat(1, len(places), 1, 1)
    extrinsics[0, :, 0, 3] = -torch.tensor(places)
    intrinsics = torch.tensor([[280.0, 0, 252], [0, 280, 168], [0, 0, 1]]).repeat(1, len(places), 1, 1)
    depth = torch.ones(len(places), *side)
    return {"depth": depth, "extrinsics": extrinsics, "intrinsics": intrinsics, "mode": "multiview"}


def test_a_list_of_clips_becomes_the_rows(views: Node) -> None:
    clips = some(5, 9)
    grid, cameras, order = views(clips, views=3, times=5)
    assert torch.equal(grid.frames, torch.stack(clips)[[0, 2, 4]][:, [0, 2, 4, 6, 8]])
    assert bool(grid.known.all()) and bool(grid.valid.all()) and cameras is None
    assert order == "3 views in the order given: view 0, view 2, view 4; the first is view 0, the central one view 2"
    assert not grid.frames.is_inference()


def test_one_batch_is_cut_into_views(views: Node) -> None:
    clips = some(3, 4)
    grid, _, _ = views([torch.cat(clips)], in_batch=3)
    assert torch.equal(grid.frames, torch.stack(clips))


def test_videos_and_a_size_and_a_mask(views: Node) -> None:
    clips = [SimpleNamespace(get_components=lambda clip=clip: SimpleNamespace(images=clip)) for clip in some(2, 3)]
    mask = torch.zeros(1, 16, 24)
    mask[0, :4] = 1
    grid, _, _ = views(clips, longest_side=12, ignore=mask)
    assert grid.frames.shape == (2, 3, 8, 12, 3) and not grid.valid[:2].any() and bool(grid.valid[3:].all())


def test_a_folder_is_read_and_cameras_order_it(views: Node, host_folders: Path) -> None:
    clips = dict(zip("abc", some(3, 4), strict=True))
    frames = []
    for name, x in (("a", 1.0), ("b", 2.0), ("c", 0.0)):
        (host_folders / "input" / "rig" / name).mkdir(parents=True)
        for k, frame in enumerate(clips[name]):
            save_image(frame, host_folders / "input" / "rig" / name / f"{k}.png")
        pose = torch.eye(4)
        pose[0, 3] = x
        frames.append({"file_path": f"{name}.png", "transform_matrix": pose.tolist()})
    file = host_folders / "input" / "rig.json"
    file.write_text(json.dumps({"fl_x": 40, "w": 48, "h": 32, "frames": frames}))
    grid, cameras, order = views(folder="rig", cameras="rig.json", times=2)
    expected = torch.stack([clips[name][[0, 3]] for name in "bac"])
    assert float((grid.frames - expected).abs().max()) < 0.6 / 255
    assert (-cameras.world_to_cam[:, 0, 3]).tolist() == [2, 1, 0] and cameras.size == (16, 24)
    assert cameras.intrinsics[0].tolist() == [[20, 0, 12], [0, 20, 8], [0, 0, 1]]
    assert "cameras' path: b, a, c" in order


def test_depth_anything_3_gives_cameras(views: Node) -> None:
    clips = some(4, 2)
    grid, cameras, order = views(clips, da3_geometry=packet([1.0, 3.0, 0.0, 2.0]))
    assert torch.equal(grid.frames, torch.stack(clips)[[1, 3, 0, 2]])
    # its pictures are 504 x 336, by the middle of them
    focal = pytest.approx(280 / 21)
    assert cameras.intrinsics[0].tolist() == [[focal, 0, 12], [0, focal, 8], [0, 0, 1]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "no views; expected clips or a folder"),
        ({"clips": some(2), "folder": "a"}, "views twice"),
        ({"clips": some(1)}, "1 view; expected at least 2"),
        ({"clips": [*some(1, 4), *some(1, 3)]}, "view 1 with 3 frames of 24 x 16 pixels; expected 4 frames"),
        ({"clips": some(2), "in_batch": 2}, "in_batch for 2 clips"),
        ({"clips": some(1, 5), "in_batch": 2}, "a batch of 5 pictures; expected a multiple of the 2 views"),
        ({"folder": "../secret"}, "'../secret'"),
        ({"folder": "nothing"}, "is not a folder"),
        ({"clips": some(2), "cameras": "a.json", "da3_geometry": packet([0, 1])}, "cameras twice"),
        ({"clips": some(2), "da3_geometry": packet([0.0])}, "da3_geometry of 1 views; expected 2"),
        ({"clips": some(2), "da3_geometry": {"depth": torch.ones(2, 4, 4)}}, "set 'Run Depth Anything 3' to multiview"),
        (
            {"clips": some(2), "da3_geometry": packet([0, 1]) | {"intrinsics": torch.eye(3).expand(1, 2, 3, 3)}},
            "whose cameras were not found",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    views: Node, host_folders: Path, changes: dict[str, Any], sentence: str
) -> None:
    changes = dict(changes)
    with pytest.raises(ValueError, match=r"; expected .*; ") as caught:
        views(changes.pop("clips", None), **changes)
    assert sentence in str(caught.value)


def test_known_cameras_are_the_geometrys(run: Node, part: Any) -> None:
    """A textured plane seen by two cameras a known step apart: its distance comes out, and the cameras are kept."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 12, 24, generator=generator)
    wide = torch.nn.functional.interpolate(noise, (48, 96), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    wide = wide.permute(1, 2, 0)
    frames = torch.stack([wide[:, 4:84], wide[:, 8:88]])[:, None]  # 4 pixels of parallax
    grid = part("fourreal_core.grid").FrameGrid(
        frames, torch.ones(2, 1, dtype=torch.bool), torch.ones(48, 80, dtype=torch.bool)
    )
    cameras = part("fourreal_core.cameras").Cameras
    intrinsics = torch.tensor([[80.0, 0, 40], [0, 80.0, 24], [0, 0, 1]]).repeat(2, 1, 1)
    poses = torch.eye(4).repeat(2, 1, 1)
    poses[1, 0, 3] = -0.1
    rig = cameras(poses, intrinsics, (48, 80))
    (made,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0, cameras=rig)
    step = float((made["world_to_cam"][1] - made["world_to_cam"][0])[0, 3])
    # depth / step = focal / parallax, whatever the unit
    assert float(made["depth"].median()) / -step == pytest.approx(80 / 4, rel=0.05)
    da3 = packet([0.0, 0.1], (48, 80))
    da3["depth"] = made["depth"].median() + 0.01 * torch.rand(2, 48, 80, generator=generator)
    da3["intrinsics"] = intrinsics[None]
    (other,) = run(
        "FourRealGeometryFromDepth", grid=grid, kind="metric", focal_length=0.0, da3_geometry=da3, da3_cameras=True
    )
    torch.testing.assert_close(other["world_to_cam"], made["world_to_cam"], atol=0.02, rtol=0)
