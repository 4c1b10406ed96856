"""PLY files: every byte where viewers look for it, and the same picture after reading back."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.scene.formats.ply import SH_C0, ply_bytes, save_ply, save_ply_sequence, splats_at
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D

from .ply_reader import read_ply
from .scenes import PIXEL, psnr, sliding, wall_scene

FIELDS = [
    "x",
    "y",
    "z",
    "nx",
    "ny",
    "nz",
    "f_dc_0",
    "f_dc_1",
    "f_dc_2",
    "opacity",
    "scale_0",
    "scale_1",
    "scale_2",
    "rot_0",
    "rot_1",
    "rot_2",
    "rot_3",
]


def two_splats() -> Splats:
    return Splats(
        torch.tensor([[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]]),
        torch.tensor([-2.0, -3.0]),
        torch.tensor([0.25, -1.0]),
        torch.tensor([[0.5, 1.0, 0.0], [0.25, 0.5, 0.75]]),
    )


def test_the_layout_byte_by_byte() -> None:
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
    head += "".join(f"property float {name}\n" for name in FIELDS) + "end_header\n"
    half = 0.5 / SH_C0
    rows = [
        (1, 2, 3, 0, 0, 0, 0, half, -half, 0.25, -2, -2, -2, 1, 0, 0, 0),
        (-4, 5.5, 6, 0, 0, 0, -half / 2, 0, half / 2, -1, -3, -3, -3, 1, 0, 0, 0),
    ]
    data = ply_bytes(two_splats())
    assert data[: len(head)] == head.encode()
    assert len(data) == len(head) + 2 * 17 * 4
    for k, row in enumerate(rows):
        got = struct.unpack_from("<17f", data, len(head) + 68 * k)
        assert got == pytest.approx(row, rel=1e-6)  # float32


def test_splats_come_back(tmp_path: Path) -> None:
    splats = two_splats()
    save_ply(splats, tmp_path / "a.ply")
    back = read_ply(tmp_path / "a.ply")
    for name in ("means", "log_scales", "opacity_logits"):
        assert torch.equal(getattr(back, name), getattr(splats, name))
    torch.testing.assert_close(back.colors, splats.colors, rtol=0, atol=1e-6)  # through the harmonic and back
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_what_is_read_back_renders_the_same(tmp_path: Path) -> None:
    scene = wall_scene(2, 3)
    save_ply(scene.splats, tmp_path / "a.ply")
    back = replace(scene, splats=read_ply(tmp_path / "a.ply"))
    # float32 both ways: only colours are rounded, by 1e-7
    assert psnr(render_cell(back, 1, 0).image, render_cell(scene, 1, 0).image) > 100


def test_no_splats_are_a_file_too(tmp_path: Path) -> None:
    save_ply(two_splats().select(torch.tensor([], dtype=torch.long)), tmp_path / "a.ply")
    assert len(read_ply(tmp_path / "a.ply")) == 0


def test_splats_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    splats = two_splats()
    splats.means[1, 1] = float("inf")
    with pytest.raises(InputError, match="NaN or infinite"):
        save_ply(splats, tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ply"
    save_ply(two_splats(), path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left to write"):
        save_ply(two_splats().select(torch.tensor([0])), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can.t be written"):
        save_ply(two_splats(), tmp_path / "nowhere" / "a.ply")


@pytest.fixture
def moving() -> Scene4D:
    """A wall that slides, seen by views that disagree about where it stands."""
    scene = wall_scene(3, 4, sliding(4))
    shake = torch.randn(3, len(scene.splats), 3, generator=torch.Generator().manual_seed(1)) * 0.3 * PIXEL
    return replace(scene, view_offsets=shake)


def test_a_sequence_renders_as_the_scene_does(tmp_path: Path, moving: Scene4D) -> None:
    written = save_ply_sequence(moving, tmp_path / "steps")
    assert [p.name for p in written] == [f"frame_{t:04}.ply" for t in range(4)]
    still = replace(moving, deformation=None)
    for t, path in enumerate(written):
        back = replace(still, splats=read_ply(path))
        with torch.no_grad():
            there, here = (render_camera(s, moving.cameras[2], at).image for s, at in ((back, 0), (moving, t)))
        # float32 both ways: only colours are rounded, by 1e-7; the floor that is promised is 40
        assert psnr(there, here) > 100


def test_a_views_offsets_can_be_taken_along(moving: Scene4D) -> None:
    baked = replace(moving, splats=splats_at(moving, 1.5, 2), deformation=None)
    with torch.no_grad():
        there, here = render_camera(baked, moving.cameras[2], 0).image, render_cell(moving, 2, 1.5).image
        plain = render_camera(moving, moving.cameras[2], 1.5).image
    assert psnr(there, here) > 80  # world and back moves points by 1e-7, which their footprints feel
    assert psnr(plain, here) < 40  # the offsets matter here, or the line above says nothing


@pytest.mark.parametrize(
    ("times", "view", "says"),
    [([0, 4], None, "time 4; expected 0 to 3"), ([-1.0], None, "time -1"), ([0], 3, "view 3; expected 0 to 2")],
)
def test_what_the_scene_does_not_have_is_not_written(
    tmp_path: Path, moving: Scene4D, times: list[float], view: int | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        save_ply_sequence(moving, tmp_path / "steps", times, view)
    assert not list(tmp_path.iterdir())


def test_a_sequence_with_a_broken_step_stops_there(tmp_path: Path, moving: Scene4D) -> None:
    moving.deformation.weights[-1, 0] = float("nan")  # every time but the first asks the field
    with pytest.raises(InputError, match="NaN or infinite"):
        save_ply_sequence(moving, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["frame_0000.ply"]
