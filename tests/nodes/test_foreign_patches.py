"""Which patches of other nodes a grid goes with: the table, the page that shows it, and the sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Part = Callable[[str], ModuleType]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "other_nodes.md"


@pytest.fixture
def kinds(part: Part) -> ModuleType:
    return part("nodes.host_models.patch_kinds")


@pytest.fixture
def check_call(part: Part) -> Callable[..., None]:
    return part("nodes.host_models.foreign_patches").check_call


def test_the_page_shows_every_kind(kinds: ModuleType) -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.count("|") == 6]
    for (place, name), kind in kinds.KINDS.items():
        shown = name if place == kinds.WEIGHTS else f"`{name}`"
        assert f"| {place} | {shown} | {kind.native} | {kind.own} | {kind.why} |" in rows
    assert len(rows) == len(kinds.KINDS) + 2


def test_verdicts_and_remedies_are_there(kinds: ModuleType) -> None:
    for kind in kinds.KINDS.values():
        assert {kind.native, kind.own} <= {kinds.ALLOWED, kinds.ADAPTED, kinds.REFUSED}
        assert kind.why and kind.remedy


def of_pack(name: str, module: str) -> Any:
    def function() -> None:
        pass

    function.__qualname__, function.__module__ = name, module
    return function


@pytest.mark.parametrize(
    ("options", "own", "words"),
    [
        (
            {"wrappers": {"diffusion_model": {"k": [of_pack("Fast.go.<locals>.f", "/a/custom_nodes/Speedy.nodes")]}}},
            False,
            ("'Fast' of Speedy", "would run once a stream", "'LazyCache'"),
        ),
        ({"wrappers": {"diffusion_model": {"easycache": [print]}}}, False, ("EasyCache", "'LazyCache'")),
        ({"wrappers": {"brand_new": {None: [print]}}}, True, ("brand_new", "unknown")),
        ({"patches": {"attn2_patch": [print]}}, False, ("attn2_patch", "one stream's tokens")),
        ({"patches": {"brand_new": [print]}}, False, ("brand_new", "unknown")),
        ({"patches_replace": {"attn1": {("middle", 0): print}}}, True, ("a 4Real model", "attn1, middle 0")),
        ({"patches_replace": {"dit": {("double_block", 1): print}}}, False, ("'SkipLayerGuidanceDiT'",)),
        ({"rope_options": {"scale_t": 2.0}}, True, ("'ScaleROPE'",)),
    ],
)
def test_what_is_refused_is_named(
    check_call: Callable[..., None], options: dict[str, Any], own: bool, words: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="expected patches that go with a whole grid") as caught:
        check_call(options, own, skips_layers=True)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_is_allowed_passes(check_call: Callable[..., None]) -> None:
    skip = of_pack("SkipLayerGuidanceDiT.execute.<locals>.skip", "comfy_extras.nodes_slg")
    check_call({"patches_replace": {"dit": {("double_block", 1): skip}}}, False, skips_layers=True)
    check_call({"wrappers": {"diffusion_model": {"easycache": [print]}}}, True)
    check_call({"wrappers": {"diffusion_model": {"fourreal_streams": [print]}}}, False)
    check_call({"wrappers": {"predict_noise": {"lazycache": [print]}, "apply_model": {None: [print]}}}, False)
    check_call({"rope_options": {"scale_t": 2.0}, "optimized_attention_override": print}, False)
    with pytest.raises(ValueError, match="'SkipLayerGuidanceDiT'"):
        check_call({"patches_replace": {"dit": {("double_block", 1): skip}}}, False, skips_layers=False)


def test_the_streams_run_inside_of_all_other_wrappers(part: Part) -> None:
    foreign, key = part("nodes.host_models.foreign_patches"), part("nodes.host_models.two_streams").KEY
    options: dict[str, Any] = {
        "transformer_options": {"wrappers": {"apply_model": {key: [print], "torch.compile": [id]}}}
    }
    with pytest.raises(ValueError, match="that a prompt's hook adds around each stream"):
        foreign.check_innermost(options["transformer_options"], key)
    foreign.prepare_options(options, key, (2, 4, 3, 8, 8))
    assert list(options["transformer_options"]["wrappers"]["apply_model"]) == ["torch.compile", key]
    foreign.check_innermost(options["transformer_options"], key)


def test_time_is_scaled_in_one_stream(part: Part) -> None:
    streams = part("nodes.host_models.two_streams")
    given = {"rope_options": {"scale_t": 2.0, "shift_t": 1.0, "scale_x": 3.0}}
    assert streams.of_columns(dict(given)) == {"rope_options": {"scale_t": 1.0, "shift_t": 0.0, "scale_x": 3.0}}
    assert given["rope_options"]["scale_t"] == 2.0 and streams.of_columns({}) == {}
