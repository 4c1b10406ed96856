"""VBench's dimensions, through a package of the same interface and the real one where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from fourreal_core import media
from fourreal_core.errors import InputError
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.models import judge_models
from fourreal_core.evaluation.vbench import DIMENSIONS, VBench

from .conftest import installed


def brightness(json_dir: str, device: str, submodule: Any) -> tuple[float, list[dict[str, Any]]]:
    """A dimension: how bright a video is."""
    (listed,) = json.loads(Path(json_dir).read_text())
    print("VBench talks")
    found = [
        {"video_path": path, "video_results": float(media.read_clip(path).mean())} for path in listed["video_list"]
    ]
    return 0.0, found


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """An installed ``vbench``; what its dimensions were given."""
    asked: dict[str, Any] = {}
    for name in ("vbench", *(f"vbench.{dimension}" for dimension in DIMENSIONS)):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["vbench"].__file__ = str(tmp_path / "site" / "vbench" / "__init__.py")
    for dimension in DIMENSIONS:

        def compute(json_dir: str, device: str, submodule: Any, dimension: str = dimension) -> Any:
            asked[dimension] = submodule
            return brightness(json_dir, device, submodule)

        setattr(sys.modules[f"vbench.{dimension}"], f"compute_{dimension}", compute)
    return asked


def test_rows_are_judged_and_row_0_is_the_reference(
    package: dict[str, Any], true_frames: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = true_frames[:4].clone()
    frames[1] = 0.2
    grid = EvaluatedGrid.of_frames("x", frames)
    grid.there[3, 1] = False  # a row with a gap is no video
    judge = judge_models(["vbench"]).learned[0]
    values, cells, reference = judge(grid, None)
    assert set(values) == {"vbench_temporal_flickering"} == {figure.name for figure in judge.entries()}
    by_hand = (0.2 + float(frames[2].mean())) / 2
    assert values["vbench_temporal_flickering"] == pytest.approx(by_hand, abs=0.01) and cells == {}
    assert reference["vbench_temporal_flickering"] == pytest.approx(float(frames[0].mean()), abs=0.01)
    assert package == {"temporal_flickering": []} and capsys.readouterr().out == ""


def test_dimensions_whose_weights_are_there(package: dict[str, Any], tmp_path: Path, true_frames: Tensor) -> None:
    weights = tmp_path / "cache" / "amt_model" / "amt-s.pth"
    weights.parent.mkdir(parents=True)
    torch.save({"state_dict": {"x": torch.ones(1)}}, weights)
    judge = VBench(str(tmp_path / "cache"))
    values, _, _ = judge(EvaluatedGrid.of_frames("x", true_frames[:2]), None)
    assert set(values) == {"vbench_temporal_flickering", "vbench_motion_smoothness"}
    config = tmp_path / "site" / "vbench" / "third_party" / "amt" / "cfgs" / "AMT-S.yaml"
    assert package["motion_smoothness"] == {"config": str(config), "ckpt": str(weights)}
    raft = tmp_path / "cache" / "raft_model" / "models" / "raft-things.pth"
    raft.parent.mkdir(parents=True)
    torch.save({"x": Path("code")}, raft)  # a pickle of something else than tensors
    with pytest.raises(InputError, match=r"raft-things.pth can't be read as weights .*; expected a file of tensors"):
        VBench(str(tmp_path / "cache"))


def test_what_is_not_there(package: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no folder .* for vbench"):
        VBench(str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "vbench", None)
    with pytest.raises(InputError, match=r"no vbench that works here .*pip install vbench"):
        VBench()


def test_the_real_package(tmp_path: Path, true_frames: Tensor) -> None:
    """Its own dimensions, with random networks of its own classes in the places of the published ones."""
    package = Path(installed("vbench").__file__).parent
    amt, raft = (tmp_path / DIMENSIONS[name].weights for name in ("motion_smoothness", "dynamic_degree"))
    for path in (amt, raft):
        path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    configs = installed("omegaconf").OmegaConf
    network = configs.load(package / "third_party" / "amt" / "cfgs" / "AMT-S.yaml").network
    made = installed("vbench.third_party.amt.utils.build_utils").build_from_cfg(network)
    torch.save({"state_dict": made.state_dict()}, amt)
    options = installed("easydict").EasyDict(small=False, mixed_precision=False, alternate_corr=False)
    torch.save(installed("vbench.third_party.RAFT.core.raft").RAFT(options).state_dict(), raft)
    two = true_frames[:2, :3].flatten(0, 1).permute(0, 3, 1, 2)
    frames = torch.nn.functional.interpolate(two, (128, 160)).permute(0, 2, 3, 1).reshape(2, 3, 128, 160, 3)
    values, _, reference = VBench(str(tmp_path))(EvaluatedGrid.of_frames("x", frames), None)
    assert set(values) == {f"vbench_{name}" for name in DIMENSIONS} == set(reference)
    step = float((frames[1, 1:] - frames[1, :-1]).abs().mean())
    assert values["vbench_temporal_flickering"] == pytest.approx(1 - step, abs=0.01)
    assert 0 < values["vbench_motion_smoothness"] <= 1 and 0 <= values["vbench_dynamic_degree"] <= 1
