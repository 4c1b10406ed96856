"""4D models of this extension as the host calls networks, without a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
CHUNKS, VIEWS, TIMES = 2, 3, 4


@pytest.fixture(scope="module")
def make(part: Part) -> Callable[..., Any]:
    """A 4D model in which every weight has a say."""
    spec, model4d = part("fourreal_core.model.spec"), part("fourreal_core.model.model4d")

    def made(variant: str = "soft_trained", **dit: Any) -> Any:
        sizes = {"width": 24, "layers": 2, "heads": 2, "conv_width": 4} | dit
        model = model4d.Model4D(spec.Model4DSpec(spec.DiTSpec(**sizes), variant)).eval()
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return model.requires_grad_(False)

    return made


@pytest.fixture
def net(part: Part, make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **dit: part("nodes.host_models.grid_net").GridNet(make(*args, **dit))


def inputs(channels: int = 3) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Two conditions of one grid with row 0 and column 0 known, as the host batches them."""
    x = torch.randn(CHUNKS * VIEWS, channels, TIMES, 16, 16, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(CHUNKS * VIEWS, 1, TIMES, 16, 16)
    mask[::VIEWS] = mask[:, :, 0] = 0
    return (
        x,
        torch.full((CHUNKS * VIEWS,), 0.7),
        {"denoise_mask": mask, "transformer_options": {"cond_or_uncond": [0, 1]}},
    )


def by_core(part: Part, model: Any, x: torch.Tensor, **more: Any) -> torch.Tensor:
    """Velocities of both conditions, each by the model itself."""
    known = torch.zeros(1, VIEWS, TIMES, dtype=torch.bool)
    known[:, 0] = known[:, :, 0] = True
    found = []
    for grid in x.split(VIEWS):
        given = part("fourreal_core.model.dit").GridInputs(
            grid.transpose(1, 2)[None], torch.where(known, 0.0, 0.7), known, **more
        )
        found.append(model.predict(given).velocity[0].transpose(1, 2))
    return torch.cat(found)


def test_a_batch_of_views_is_one_grid(part: Part, net: Callable[..., Any]) -> None:
    for variant in ("soft_trained", "fused", "sequential_cross_time"):
        made = net(variant)
        x, level, options = inputs()
        # both conditions in one batch: sums in another order, grown by a velocity's division by the level
        assert torch.allclose(made(x, level, **options), by_core(part, made.grid_model, x), atol=1e-4)


def test_weights_have_the_checkpoints_names(net: Callable[..., Any]) -> None:
    made = net("sequential_cross_time")
    assert set(made.state_dict()) == set(made.grid_model.state_dict())
    assert len(list(made.parameters())) == len(list(made.grid_model.parameters()))
    assert made.to(torch.bfloat16).dtype == torch.bfloat16 == made.grid_model.dit.final.weight.dtype


def test_another_rule_for_one_call(part: Part, net: Callable[..., Any]) -> None:
    x, level, options = inputs()
    rule = part("nodes.host_models.two_streams").SYNC_RULE
    soft = part("fourreal_core.model.sync").soft_sync

    def quarter(layer: int, y_view: torch.Tensor, y_time: torch.Tensor, noise: Any) -> Any:
        return soft(y_view, y_time, 0.1 + 0.4 * layer / 2)

    for variant in ("soft_trained", "fused"):
        made = net(variant)
        before = made(x, level, **options)
        other = options | {"transformer_options": {**options["transformer_options"], rule: quarter}}
        expected = by_core(part, made.grid_model.with_variant("soft"), x)
        assert torch.allclose(made(x, level, **other), expected, atol=1e-4)
        assert torch.equal(made(x, level, **options), before) and not torch.allclose(before, expected, atol=1e-3)


def test_proposals_go_to_refiners(part: Part, net: Callable[..., Any]) -> None:
    made, (x, level, options) = net(proposals=("from_view/inverted_best", "from_time/flow_back")), inputs()
    shown = torch.rand(VIEWS, 6, TIMES, 16, 16, generator=torch.Generator().manual_seed(2))
    key = part("nodes.host_models.grid_net").PROPOSALS
    out = made(x, level, **options, **{key: shown.repeat(CHUNKS, 1, 1, 1, 1)})
    assert torch.allclose(out, by_core(part, made.grid_model, x, proposal=shown.transpose(1, 2)[None]), atol=1e-4)
    assert not torch.allclose(out, made(x, level, **options), atol=1e-3)


def test_what_a_grid_has_no_place_for_is_refused(net: Callable[..., Any]) -> None:
    made, (x, level, options) = net(), inputs()
    with pytest.raises(ValueError, match="without a noise mask"):
        made(x, level, **options | {"denoise_mask": None})
    with pytest.raises(ValueError, match="ControlNet"):
        made(x, level, control={}, **options)
    with pytest.raises(ValueError, match="at least 2 views and 2 times"):
        made(x[:, :, :1], level, **options)


def test_a_cancel_is_seen_in_every_block(part: Part, net: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", lambda: asked.append(1))
    x, level, options = inputs()
    net("fused")(x, level, **options)
    assert len(asked) == 2


def test_the_family_is_found_and_told(part: Part, net: Callable[..., Any]) -> None:
    from .stand_in_model import Model

    model = Model()
    model.model.diffusion_model = net(proposals=("blend",))
    family = part("nodes.host_models.registry").host_model(model)
    assert family.name == "4Real" and family.runs_grids and not family.needs_text and family.proposals == ("blend",)
    assert family.patch_size() == (8, 8) and len(family.layers()) == 2
    assert family.own_sync() is model.model.diffusion_model.grid_model.sync
    assert len(list(family.base_weights())) < len(list(model.model.diffusion_model.parameters()))
    model.model.diffusion_model = net("fused")
    assert part("nodes.host_models.registry").host_model(model).own_sync() is None


def test_auto_keeps_what_was_trained(part: Part, net: Callable[..., Any]) -> None:
    from .stand_in_model import Model

    sync, patch = part("nodes.parallel_sync"), part("nodes.host_models.patch")

    def streams(model: Any, **settings: Any) -> Any:
        return patch.streams_of(sync.synchronized(model, sync.SyncSettings(**settings)))

    model = Model()
    assert streams(model).sync.spec.variant == "soft"
    model.model.diffusion_model = made = net()
    own = streams(model, last_layer=0)
    assert own.sync.spec.variant == "soft_trained" and own.sync.spec.stop == 1 and made.grid_model.sync.spec.stop == 2
    assert next(own.sync.parameters()) is next(made.grid_model.sync.parameters())
    assert streams(model, variant="soft").sync.spec.variant == "soft"
    model.model.diffusion_model = net("fused")
    assert streams(model) is None and streams(model, variant="hard").sync.spec.variant == "hard"


def test_the_codec_is_a_vae(part: Part) -> None:
    codec, vae = part("fourreal_core.model.codec").SpaceToDepth(2), part("nodes.codec_vae").CodecVae
    made = vae(codec)
    pictures = torch.randint(0, 256, (5, 8, 12, 3), generator=torch.Generator().manual_seed(3)).float() / 255
    latents = made.encode(pictures)
    assert latents.shape == (1, 12, 5, 4, 6) and made.decode(latents).shape == (1, 5, 8, 12, 3)
    assert torch.equal((made.decode(latents)[0] * 255).round(), (pictures * 255).round())
    assert torch.equal(made.encode_tiled(pictures, tile_x=4), latents)
    assert torch.equal(made.decode_tiled(latents, tile_x=4), made.decode(latents))
    assert torch.equal(made.encode(pictures[None].repeat(2, 1, 1, 1, 1))[1:], latents)
    assert made.decode(latents[:, :, 0]).shape == (1, 8, 12, 3)
    wide = torch.rand(1, 11, 13, 4, generator=torch.Generator().manual_seed(4))
    assert torch.equal(made.encode(wide), made.encode(wide[:, :10, :12, :3]))
    assert made.spacial_compression_encode() == made.spacial_compression_decode() == made.downscale_ratio == 2


@pytest.fixture
def model_folders(part: Part, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the host and of the package, with a model in each, and another file beside one."""
    import folder_paths

    files, save = part("nodes.model_files"), part("fourreal_core.model.model_file").save_model
    for folder, name in (("fourreal", "mine"), ("diffusion_models", "theirs"), ("weights", "fourreal_small")):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / f"{name}.safetensors", make())
    (tmp_path / "diffusion_models" / "wan.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(files, "PACKAGED", tmp_path / "weights")
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    for folder in ("fourreal", "diffusion_models"):
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([str(tmp_path / folder)], {".safetensors"}))
    return tmp_path


def test_models_are_listed_from_everywhere(part: Part, model_folders: Path) -> None:
    files, load = part("nodes.model_files"), part("nodes.load_model").LoadModel
    assert files.list_models() == ["fourreal_small.safetensors", "mine.safetensors", "theirs.safetensors"]
    assert files.model_path("fourreal_small.safetensors").parent.name == "weights"
    (model_folders / "weights" / "fourreal_small.safetensors").rename(
        model_folders / "fourreal" / "fourreal_small.safetensors"
    )
    assert files.model_path("fourreal_small.safetensors").parent.name == "fourreal"
    assert load.validate_inputs("theirs.safetensors") is True
    for name in ("gone.safetensors", "../weights/fourreal_small.safetensors"):
        assert "put it there, or choose another" in load.validate_inputs(name)
    before = load.fingerprint_inputs("mine.safetensors")
    (model_folders / "fourreal" / "mine.safetensors").write_bytes(b"")
    assert load.fingerprint_inputs("mine.safetensors") != before


def test_the_small_model_is_always_offered(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import folder_paths

    files = part("nodes.model_files")
    monkeypatch.setattr(files, "PACKAGED", tmp_path)
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    for folder in ("fourreal", "diffusion_models"):
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([str(tmp_path)], {".safetensors"}))
    assert files.list_models() == [files.SMALL]


def test_a_models_identity_outlives_it(part: Part, net: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from .stand_in_model import Model

    identity, key = part("nodes.host_models.identity"), part("fourreal_core.sampling.run_key").run_key

    def made(**dit: Any) -> Any:
        model = Model()
        model.model.diffusion_model = net(**dit)
        return model

    first, again, other = (key(model=identity.identity(model)) for model in (made(), made(), made(width=36)))
    assert first == again != other

    def cannot(weights: Any) -> Any:
        raise NotImplementedError("meta")

    monkeypatch.setattr(identity, "fingerprint", cannot)
    assert key(model=identity.identity(made())) != key(model=identity.identity(made(width=36)))
