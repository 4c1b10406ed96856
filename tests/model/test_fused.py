"""Fused attention: every route against a slow loop over tokens, forwards and backwards."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.model.fused import can_merge, cross_mask, fused_attention

V, T, S = 3, 4, 2


def qkv(dtype: torch.dtype = torch.float64, views: int = V, times: int = T, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, views * times * S, 4)  # B, heads, tokens, head width
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(3)]


def slow(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, views: int = V, times: int = T) -> torch.Tensor:
    """Token by token: softmax over those that share its view or its time."""
    out = torch.zeros_like(q)
    cells = [(a, b) for a in range(views) for b in range(times) for _ in range(S)]
    for i, (row, column) in enumerate(cells):
        seen = [j for j, (a, b) in enumerate(cells) if a == row or b == column]
        scores = torch.einsum("nhd,nhkd->nhk", q[:, :, i], k[:, :, seen]) / q.shape[-1] ** 0.5
        out[:, :, i] = torch.einsum("nhk,nhkd->nhd", scores.softmax(-1), v[:, :, seen])
    return out


def test_the_mask_by_hand() -> None:
    # cells v0t0, v0t1, v1t0, v1t1: only the diagonal neighbours do not see each other
    assert cross_mask(2, 2, 1).int().tolist() == [[1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1]]


@pytest.mark.parametrize("route", ("auto", "dense", "gathered", "merged"))
@pytest.mark.parametrize(("views", "times"), [(V, T), (4, 2), (2, 2), (1, 3), (3, 1)])
def test_every_route_is_the_slow_loop(route: str, views: int, times: int) -> None:
    inputs = qkv(views=views, times=times)
    # rounding of float64 sums of a dozen terms
    torch.testing.assert_close(
        fused_attention(*inputs, views, times, route), slow(*inputs, views, times), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("route", ["gathered", "merged"])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-6), (torch.bfloat16, 3e-2)])
def test_types_come_back(route: str, dtype: torch.dtype, atol: float) -> None:
    inputs = qkv(dtype)
    out = fused_attention(*inputs, V, T, route)
    assert out.dtype == dtype
    # a few units in the last place of the type
    torch.testing.assert_close(out.double(), slow(*(x.double() for x in inputs)), rtol=0, atol=atol)


@pytest.mark.parametrize("route", ["gathered", "merged"])
def test_gradients_are_the_dense_ones(route: str) -> None:
    weight = torch.randn(2, 3, V * T * S, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    grads = []
    for way in (route, "dense"):
        inputs = [x.requires_grad_() for x in qkv()]
        (fused_attention(*inputs, V, T, way) * weight).sum().backward()
        grads.append([x.grad for x in inputs])
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)  # rounding of float64 sums


def test_gradcheck_of_the_merged_route() -> None:
    inputs = [x[:1, :1, :, :2].clone().requires_grad_() for x in qkv(views=2, times=3)]
    assert torch.autograd.gradcheck(lambda *x: fused_attention(*x, 2, 3, "merged"), inputs)


def test_large_scores_do_not_overflow() -> None:
    q, k, v = qkv(torch.float32)
    out = fused_attention(60 * q, 60 * k, v, V, T, "merged")
    # the softmax is nearly a maximum here, whose ties float32 may break another way
    torch.testing.assert_close(out, fused_attention(60 * q, 60 * k, v, V, T, "dense"), rtol=0, atol=1e-3)


def test_this_torch_can_merge_on_the_cpu() -> None:
    assert can_merge(torch.zeros(1))
