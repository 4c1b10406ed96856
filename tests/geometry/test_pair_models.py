"""Networks behind PairModel and MultiViewModel: checkpoints that are read and not run, and their interfaces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fourreal_core.cameras import intrinsics_from_focal
from fourreal_core.cli.engines import geometry_source
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.multi_view_models import FeedForwardGeometry, MultiViewPoints, around_central_view
from fourreal_core.geometry.pair_models import FAMILIES, network_size, pair_model
from fourreal_core.geometry.point_map_geometry import PointMapGeometry
from fourreal_core.tracking.point_map_tracks import PointMapTracks
from fourreal_core.tracking.track_engines import track_engine

SETTINGS = {"output_mode": "pts3d", "img_size": [64, 64], "depth_mode": ["exp", float("-inf"), float("inf")]}
CALL = (
    "AsymmetricCroCo3DStereo(output_mode='pts3d', img_size=(64, 64), "
    "depth_mode=('exp', -inf, inf), landscape_only=True)"
)


class AsymmetricCroCo3DStereo(nn.Module):
    """The network as far as it is called: points are colours, confidence is brightness."""

    made_with: dict[str, Any]

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        type(self).made_with = settings
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, one: dict[str, Any], two: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        assert one["true_shape"].tolist() == [list(one["img"].shape[2:])] and one["instance"] != two["instance"]
        maps = [view["img"].permute(0, 2, 3, 1) * self.scale for view in (one, two)]
        sure = [1 + 2 * view["original_img"].mean(1) for view in (one, two)]
        return {"pts3d": maps[0], "conf": sure[0]}, {"pts3d_in_other_view": maps[1], "conf": sure[1]}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed ``mini_dust3r``."""
    for name in ("mini_dust3r", "mini_dust3r.model"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["mini_dust3r.model"].AsymmetricCroCo3DStereo = AsymmetricCroCo3DStereo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint as the hub keeps it."""
    from safetensors.torch import save_file

    save_file({"scale": torch.tensor([2.0])}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    return tmp_path


@pytest.mark.parametrize("kind", ["folder", "file", "pth"])
def test_checkpoints_of_every_kind(package: None, folder: Path, kind: str) -> None:
    place = {"folder": folder, "file": folder / "model.safetensors", "pth": folder / "sub" / "dust3r.pth"}[kind]
    if kind == "pth":
        place.parent.mkdir()
        torch.save({"args": argparse.Namespace(model=CALL), "model": {"scale": torch.tensor([2.0])}}, place)
    model = pair_model("dust3r", str(place))
    made = AsymmetricCroCo3DStereo.made_with
    assert made["depth_mode"] == ("exp", float("-inf"), float("inf")) and made["img_size"] == (64, 64)
    assert made["landscape_only"] is False and model.name == "dust3r"
    level = torch.tensor([0.75, 0.5, 0.25])
    found = model(level.expand(72, 120, 3), torch.ones(72, 120, 3))
    assert found.first.shape == (72, 120, 3) and found.second_confidence.shape == (72, 120)
    torch.testing.assert_close(found.first[30, 40], 2 * (2 * level - 1), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.first_confidence, torch.full((72, 120), 2.0))
    torch.testing.assert_close(found.second_confidence, torch.full((72, 120), 3.0))


def test_pictures_are_shown_whole_in_whole_patches() -> None:
    assert network_size(288, 512) == (288, 512) and network_size(1080, 1920) == (288, 512)
    assert network_size(72, 120) == (304, 512) and network_size(512, 300) == (512, 304)


def test_nothing_in_a_file_is_run(package: None, folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"args": Evil(), "model": {}}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil.pth can't be read as a checkpoint of dust3r"):
        pair_model("dust3r", str(tmp_path / "evil.pth"))
    told = argparse.Namespace(model="__import__('pathlib').Path('touched').touch()")
    (folder / "sub").mkdir()
    torch.save({"args": told, "model": {"scale": torch.ones(1)}}, folder / "sub" / "told.pth")
    pair_model("dust3r", str(folder / "sub" / "told.pth"))
    assert AsymmetricCroCo3DStereo.made_with == {"landscape_only": False}  # a call without keywords says nothing
    assert not (tmp_path / "touched").exists() and not Path("touched").exists()


def test_what_is_not_there(package: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="it is not downloaded here"):
        pair_model("dust3r", str(folder / "none.safetensors"))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="without the network's settings"):
        pair_model("dust3r", str(folder))
    from safetensors.torch import save_file

    (folder / "config.json").write_text("{}")
    save_file({"other": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(InputError, match="lacks 1 tensors of dust3r, scale"):
        pair_model("dust3r", str(folder))
    monkeypatch.setitem(sys.modules, "mini_dust3r.model", None)
    monkeypatch.setitem(sys.modules, "dust3r.model", None)
    with pytest.raises(InputError, match=r"no package with dust3r .*pip install mini-dust3r"):
        pair_model("dust3r", str(folder))
    with pytest.raises(InputError, match="vggt"):
        geometry_source(f"vggt:{folder}", 3, "cpu")


def test_names_on_the_command_line(package: None, folder: Path) -> None:
    assert isinstance(track_engine(f"dust3r:{folder}"), PointMapTracks)
    assert isinstance(geometry_source(f"dust3r:{folder}", 3, "cpu"), PointMapGeometry)
    with pytest.raises(InputError, match="'dust3r' without a checkpoint"):
        track_engine("dust3r")
    assert set(FAMILIES) == {"dust3r", "mast3r", "splatt3r"}


def test_splatt3r_gives_the_means_of_its_splats(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AsymmetricMASt3R(AsymmetricCroCo3DStereo):
        def forward(self, one: dict[str, Any], two: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            first, second = super().forward(one, two)
            first["means"], second["means_in_other_view"] = first["pts3d"] + 1, second["pts3d_in_other_view"] + 2
            return first, second

    for name in ("mast3r", "mast3r.model"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["mast3r.model"].AsymmetricMASt3R = AsymmetricMASt3R
    from safetensors.torch import save_file

    save_file({"encoder.scale": torch.ones(1), "decoder.x": torch.ones(1)}, folder / "model.safetensors")
    white = torch.ones(64, 64, 3)
    found = pair_model("splatt3r", str(folder))(white, white)
    assert float(found.first.mean()) == pytest.approx(2) and float(found.second.mean()) == pytest.approx(3)
    save_file({"scale": torch.ones(1)}, folder / "model.safetensors")
    assert float(pair_model("mast3r", str(folder))(white, white).first.mean()) == pytest.approx(1)


def points_of_many(views: int = 3) -> MultiViewPoints:
    """Depth 4 everywhere, cameras half a unit apart, in a world that is none of theirs."""
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = 7.0 - 0.5 * torch.arange(views)
    intrinsics = intrinsics_from_focal(50.0, (20, 30)).expand(views, 3, 3)
    return MultiViewPoints(torch.full((views, 20, 30), 4.0), intrinsics, poses, torch.full((views, 20, 30), 3.0))


def test_the_central_view_becomes_the_world() -> None:
    found = points_of_many()
    found.depth[0, 3, 4] = -1.0
    geometry = around_central_view(found)
    assert geometry.world_to_cam is not None
    torch.testing.assert_close(geometry.world_to_cam[:, 0, 3], torch.tensor([0.5, 0.0, -0.5]) / 4)
    assert float(geometry.depth.max()) == 1 and not bool(geometry.mask[0, 3, 4]) and int((~geometry.mask).sum()) == 1
    assert geometry.confidence is not None and float(geometry.confidence[1, 0, 0]) == 0.75
    source = FeedForwardGeometry(lambda frames: points_of_many(len(frames)))
    assert source(ClipFlows(torch.zeros(5, 20, 30, 3))).world_to_cam.shape == (5, 4, 4)
    with pytest.raises(InputError, match="without a positive pixel"):
        around_central_view(MultiViewPoints(-found.depth.abs(), found.intrinsics, found.world_to_cam, found.confidence))


def test_vggt_through_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class VGGT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(1))

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            v, _, h, w = images.shape
            assert (h, w) == (350, 518) and float(images.min()) >= 0 and float(images.max()) <= 1
            depth = self.scale * torch.ones(1, v, h, w)
            return {"pose_enc": torch.zeros(1, v, 9), "depth": depth[..., None], "depth_conf": 2 * depth}

    def decode(encoding: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        v = encoding.shape[1]
        intrinsics = torch.tensor([[518.0, 0, 259], [0, 518, 175], [0, 0, 1]]).expand(1, v, 3, 3)
        return torch.eye(4)[:3].expand(1, v, 3, 4), intrinsics

    for name in ("vggt", "vggt.models", "vggt.models.vggt", "vggt.utils", "vggt.utils.pose_enc"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["vggt.models.vggt"].VGGT = VGGT
    sys.modules["vggt.utils.pose_enc"].pose_encoding_to_extri_intri = decode
    torch.save({"scale": torch.tensor([3.0])}, tmp_path / "model.pt")
    source = geometry_source(f"vggt:{tmp_path}", 2, "cpu")
    assert isinstance(source, FeedForwardGeometry)
    found = source.model(torch.rand(2, 40, 60, 3, generator=torch.Generator().manual_seed(0)))
    assert found.depth.shape == (2, 40, 60) and float(found.depth.min()) == pytest.approx(3)
    assert float(found.confidence.max()) == pytest.approx(6)
    torch.testing.assert_close(found.intrinsics[0], torch.tensor([[60.0, 0, 30], [0, 518 * 40 / 350, 20], [0, 0, 1]]))


def test_depth_anything_3_through_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Network:
        @classmethod
        def from_pretrained(cls, folder: str, local_files_only: bool) -> Network:
            assert local_files_only
            return cls()

        def to(self, device: str) -> Network:
            return self

        def inference(self, pictures: list[Any]) -> SimpleNamespace:
            v = len(pictures)
            assert pictures[0].shape == (40, 60, 3) and pictures[0].dtype.name == "uint8"
            intrinsics = torch.tensor([[30.0, 0, 15], [0, 30, 10], [0, 0, 1]]).expand(v, 3, 3).numpy()
            poses = torch.eye(4)[:3].expand(v, 3, 4).numpy()
            depth = torch.full((v, 20, 30), 2.0).numpy()
            return SimpleNamespace(depth=depth, conf=depth + 1, extrinsics=poses, intrinsics=intrinsics)

    for name in ("depth_anything_3", "depth_anything_3.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["depth_anything_3.api"].DepthAnything3 = Network
    source = geometry_source(f"da3:{tmp_path}", 2, "cpu")
    assert isinstance(source, FeedForwardGeometry)
    found = source.model(torch.zeros(2, 40, 60, 3))
    assert found.depth.shape == (2, 40, 60) and float(found.confidence[0, 0, 0]) == 3
    torch.testing.assert_close(found.intrinsics[1], torch.tensor([[60.0, 0, 30], [0, 60, 20], [0, 0, 1]]))


def test_the_real_package_with_a_tiny_random_network(tmp_path: Path) -> None:
    """Where ``mini_dust3r`` is installed: its own network, saved as the hub keeps it."""
    module = pytest.importorskip("mini_dust3r.model", reason="mini-dust3r is not installed")
    from safetensors.torch import save_file

    settings = {
        "output_mode": "pts3d",
        "head_type": "linear",
        "depth_mode": ["exp", float("-inf"), float("inf")],
        "conf_mode": ["exp", 1, float("inf")],
        "img_size": [512, 512],
        "patch_size": 16,
        "pos_embed": "RoPE100",
        "enc_embed_dim": 32,
        "enc_depth": 1,
        "enc_num_heads": 2,
        "dec_embed_dim": 32,
        "dec_depth": 1,
        "dec_num_heads": 2,
    }
    torch.manual_seed(0)
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    network = module.AsymmetricCroCo3DStereo(**made, landscape_only=False)
    save_file({k: v.contiguous().clone() for k, v in network.state_dict().items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    frames = torch.rand(2, 72, 120, 3, generator=torch.Generator().manual_seed(1))
    found = pair_model("dust3r", str(tmp_path))(frames[0], frames[1])
    assert found.first.shape == (72, 120, 3) and bool(torch.isfinite(found.second).all())
    assert float(found.first_confidence.min()) >= 1 and float(found.first_confidence.std()) > 0
