"""The print of a base model: the same through renaming, types and scales; another for other weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fourreal_core.errors import InputError
from fourreal_core.model.fingerprint import SAMPLES, Fingerprint, check_base, fingerprint, likeness


def network(seed: int = 0, width: int = 24) -> nn.Module:
    net = nn.Sequential(
        nn.Linear(12, width), nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width), nn.Conv2d(1, 6, 5)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


def print_of(net: nn.Module) -> Fingerprint:
    return fingerprint(net.parameters())


def test_by_hand() -> None:
    found = fingerprint([torch.full((1, 4, 16), -2.0), torch.ones(4, 16), torch.ones(9), torch.ones(4, 4).long()])
    assert found.shapes == {"4x16": 2}  # no vectors, no integers, no axes of one
    assert found.samples == {"4x16": (0.0,) * SAMPLES}  # -1 and 1, each at unit scale


def test_order_names_types_and_scales_do_not_matter() -> None:
    mine = print_of(network())
    tensors = list(network().parameters())[::-1]
    assert fingerprint(tensors) == mine
    check_base(mine, fingerprint(t.bfloat16() for t in tensors), "x")
    check_base(mine, fingerprint(t.to(torch.float8_e4m3fn) for t in tensors), "x")
    check_base(mine, fingerprint(7 * t for t in tensors), "x")


def test_a_gently_tuned_base_still_fits() -> None:
    net = network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9)))
    check_base(print_of(network()), print_of(net), "x")


def test_other_weights_are_refused() -> None:
    share, correlation = likeness(print_of(network()), print_of(network(1)))
    assert share == 1 and abs(correlation) < 0.5
    with pytest.raises(InputError, match="sync weights my.safetensors .* other weights .*load that base model"):
        check_base(print_of(network()), print_of(network(1)), "my.safetensors")


def test_another_architecture_is_refused() -> None:
    with pytest.raises(InputError, match="another architecture"):
        check_base(print_of(network()), print_of(network(width=25)), "x")


def test_it_survives_being_text() -> None:
    mine = print_of(network())
    assert Fingerprint.from_json(mine.to_json()) == mine


@pytest.mark.parametrize("text", ["", "[]", '{"2x2": 3}', '{"2x2": [1, 0.5]}', '{"2x2": ["a"]}'])
def test_text_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="save the weights again"):
        Fingerprint.from_json(text)
