"""Stem and head: what is copied, from where, and what a head of each kind starts with."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fourreal_core.model.patches import NO_COPY, Head, Residual, Stem, blend_copies, sample_at
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.model.spec import HEADS, STEMS

from .small import TINY, rng, stirred


def test_sampling_at_an_offset_by_hand() -> None:
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    offsets = torch.zeros(1, 2, 3, 4)
    torch.testing.assert_close(sample_at(picture, offsets), picture, rtol=0, atol=1e-5)  # float32 coordinates
    offsets[:, 0], offsets[:, 1] = 1.0, 0.5
    moved = sample_at(picture, offsets)[0, 0]
    # one pixel right, half a pixel down (rows differ by 4); the border repeats
    assert moved[0].tolist() == pytest.approx([3, 4, 5, 5], abs=1e-5)
    assert moved[2].tolist() == pytest.approx([9, 10, 11, 11], abs=1e-5)


def test_gates_share_by_softmax_over_what_is_there() -> None:
    pictures = torch.tensor([1.0, 10.0]).view(1, 2, 1, 1, 1)
    gates = torch.tensor([0.5, -0.25]).view(1, 2, 1, 1)
    none = torch.zeros(1, 2, 0, 1, 1)[:, :0]
    a, b, n = math.exp(0.5), math.exp(-0.25), math.exp(NO_COPY)
    for present, expected in (
        ([True, True], (a + 10 * b) / (a + b + n)),
        ([False, True], 10 * b / (b + n)),
        ([False, False], 0.0),
    ):
        out = blend_copies(pictures, torch.tensor([present]), gates, none)
        assert out.item() == pytest.approx(expected, abs=1e-5)


def test_gradients_of_the_blend() -> None:
    pictures = torch.randn(1, 2, 1, 3, 4, generator=rng(), dtype=torch.float64)
    gates = torch.randn(1, 2, 3, 4, generator=rng(1), dtype=torch.float64).requires_grad_()
    offsets = (torch.rand(1, 2, 2, 3, 4, generator=rng(2), dtype=torch.float64) * 0.4 + 0.1).requires_grad_()
    present = torch.tensor([[True, True]])
    assert torch.autograd.gradcheck(lambda g, o: blend_copies(pictures, present, g, o), (gates, offsets))


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem != "differences"])
@pytest.mark.parametrize("kind", [head for head in HEADS if head != "pull"])
def test_every_stem_fits_every_head_and_starts_at_zero(stem: str, kind: str, depth: int) -> None:
    spec = replace(TINY, stem=stem, head=kind, conv_depth=depth)
    planes, features = Stem(spec)(torch.randn(2, spec.input_channels, 8, 12, generator=rng()))
    assert planes.shape == (2, spec.width, 2, 3)
    drawn, gates, offsets = Head(spec)(planes.flatten(2).transpose(1, 2), (2, 3), features)
    assert drawn.shape == (2, 3, 8, 12) and gates.shape == (2, 2, 8, 12)
    assert offsets.shape == ((2, 2, 2, 8, 12) if kind == "warp" else (2, 0, 8, 12))
    assert not drawn.any() and not gates.any() and not offsets.any()


def test_a_linear_stem_and_head_put_patches_where_they_belong() -> None:
    spec = replace(TINY, stem="linear", head="linear", sources=False)
    stem, head = stirred(Stem(spec)), stirred(Head(spec))
    pictures = torch.randn(1, spec.input_channels, 8, 12, generator=rng())
    planes, _ = stem(pictures)
    patch = pictures[0, :, 4:8, 8:12]
    by_hand = (stem.patch.weight * patch).sum((1, 2, 3)) + stem.patch.bias
    torch.testing.assert_close(planes[0, :, 1, 2], by_hand, rtol=0, atol=1e-5)  # float32 sums of 64 terms
    tokens = planes.flatten(2).transpose(1, 2)
    drawn, _, _ = head(tokens, (2, 3), None)
    out = head.patch.weight @ tokens[0, 5] + head.patch.bias
    torch.testing.assert_close(drawn[0, :, 4:8, 8:12], out.view(3, 4, 4), rtol=0, atol=1e-5)


def test_residual_blocks_are_the_identity_until_they_are_trained() -> None:
    block, picture = Residual(4), torch.randn(1, 4, 6, 6, generator=rng())
    assert torch.equal(block(picture), picture)
    stirred(block)
    by_hand = picture + F.conv2d(
        F.silu(F.conv2d(F.silu(picture), block.first.weight, block.first.bias, padding=1)),
        block.second.weight,
        block.second.bias,
        padding=1,
    )
    torch.testing.assert_close(block(picture), by_hand)


def test_the_first_proposal_leads_by_the_logit_of_the_spec() -> None:
    spec = replace(TINY, proposals=PLANES_BY_COUNT[2], lead=3.0)
    planes, features = Stem(spec)(torch.randn(1, spec.input_channels, 8, 8, generator=rng()))
    _, gates, _ = Head(spec)(planes.flatten(2).transpose(1, 2), (2, 2), features)
    assert gates[0, :, 0, 0].tolist() == [0, 0, 3, 0]  # two sources stand in front
    assert torch.equal(gates, gates[..., :1, :1].expand_as(gates))


@pytest.mark.parametrize("depth", [0, 1])
def test_convolutions_see_over_the_edge_of_a_patch(depth: int) -> None:
    spec = replace(TINY, head="conv", conv_depth=depth)
    stem, head = stirred(Stem(spec)), stirred(Head(spec))
    side = 16 if depth == 0 else 64  # each residual block sees farther
    pictures = torch.zeros(1, spec.input_channels, side, side)
    touched = pictures.clone()
    touched[0, 0, 3, 3] = 1.0  # inside the first patch, at its corner
    drawn = []
    for picture in (pictures, touched):
        planes, features = stem(picture)
        drawn.append(head(planes.flatten(2).transpose(1, 2), (side // 4, side // 4), features)[0])
    changed = (drawn[0] != drawn[1]).any(1)[0]
    assert bool(changed[4, 4])
    assert not changed[side - 2 :, side - 2 :].any()
