"""Sync weights alone: saved, read strictly, refused beside another base."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fourreal_core.errors import InputError
from fourreal_core.model.checkpoints import read_checkpoint, write_checkpoint
from fourreal_core.model.fingerprint import fingerprint
from fourreal_core.model.sync import Sync, SyncSpec, build_sync
from fourreal_core.model.sync_file import KIND, load_sync, save_sync

SPEC = SyncSpec("soft_trained", layers=4, width=8, first=1, end=3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def base(seed: int = 0):
    return fingerprint([torch.randn(8, 8, generator=rng(seed)), torch.randn(8, 32, generator=rng(seed + 100))])


def trained() -> Sync:
    sync = build_sync(SPEC, rng())
    with torch.no_grad():
        for parameter in sync.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng(1)))
    return sync


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_what_is_saved_comes_back(tmp_path: Path, dtype: torch.dtype | None) -> None:
    path, sync = tmp_path / "sync.safetensors", trained()
    save_sync(path, sync, base(), {"licence": "CC0"}, dtype)
    back = load_sync(path, base())
    assert back.spec == SPEC
    assert read_checkpoint(path, KIND).metadata["licence"] == "CC0"
    for name, value in sync.state_dict().items():
        assert back.state_dict()[name].dtype == torch.float32
        assert torch.equal(back.state_dict()[name], value.to(dtype or value.dtype).float())
    assert [p.name for p in tmp_path.iterdir()] == ["sync.safetensors"]  # nothing half-written beside it


def test_another_base_is_refused(tmp_path: Path) -> None:
    save_sync(tmp_path / "s.safetensors", trained(), base())
    with pytest.raises(InputError, match="s.safetensors were trained on a base model of other weights"):
        load_sync(tmp_path / "s.safetensors", base(5))
    assert load_sync(tmp_path / "s.safetensors").spec == SPEC


def test_every_missing_and_unexpected_tensor_is_named(tmp_path: Path) -> None:
    tensors = dict(trained().state_dict())
    tensors["layer.7.up"] = tensors.pop("layer.1.up_view")
    tensors["layer.2.up_time"] = torch.zeros(3, 3)
    write_checkpoint(tmp_path / "s.safetensors", KIND, asdict(SPEC), tensors)
    with pytest.raises(InputError) as caught:
        load_sync(tmp_path / "s.safetensors")
    for part in ("lacks layer.1.up_view", "beyond it layer.7.up", "misshapen layer.2.up_time (3, 3) for (8, 2)"):
        assert part in str(caught.value)


def test_untrained_rules_have_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the variant instead"):
        save_sync(tmp_path / "s.safetensors", build_sync(SyncSpec("soft", layers=2)), base())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    sync = trained()
    with torch.no_grad():
        sync.layer["1"].up_view[0, 0] = float("nan")
    with pytest.raises(InputError, match="layer.1.up_view with NaN"):
        save_sync(tmp_path / "s.safetensors", sync, base())
    assert not list(tmp_path.iterdir())


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    with pytest.raises(InputError, match="no file"):
        load_sync(path)
    path.write_bytes(b"not a file of weights")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_sync(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="of the kind unknown"):
        load_sync(path)
    save_sync(path, trained(), base())
    tensors = load_file(path)
    for metadata, message in (
        ({"version": "9", "spec": "{}"}, "update this extension"),
        ({"version": "one", "spec": "{}"}, "header that says"),
        ({"version": "1"}, "header that says"),
        ({"version": "1", "spec": '{"variant": "soft", "colour": 1}'}, "spec that doesn't fit"),
    ):
        save_file(tensors, path, {"format": KIND, **metadata})
        with pytest.raises(InputError, match=message):
            load_sync(path)


def test_reserved_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metadata named spec"):
        save_sync(tmp_path / "s.safetensors", trained(), base(), {"spec": "mine"})
