"""Compiled kernels: every one has a plain twin that gives the same, which takes over wherever numba fails."""

from __future__ import annotations

import copy
import importlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourreal_core import compiled
from fourreal_core.compiled import Kernel

numba = pytest.importorskip("numba")
if compiled.unavailable() is not None:
    pytest.skip(str(compiled.unavailable()), allow_module_level=True)

CORE = Path(compiled.__file__).parent
PICTURE = (11, 14)
Arguments = tuple[Any, ...]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def floats(seed: int, *shape: int) -> np.ndarray:
    return rng(seed).normal(size=shape).astype(np.float32)


def smoother_case() -> Arguments:
    return floats(0, *PICTURE, 2), np.abs(floats(1, *PICTURE)), np.float32(3)


def bundle_case() -> Arguments:
    from fourreal_core.geometry.bundle_adjustment import Matches, Observations, Unknowns
    from fourreal_core.geometry.rotations import rotation_from_vector

    random, views, points = rng(2), 3, 20
    rotations = np.stack([rotation_from_vector(0.1 * random.normal(size=3)) for _ in range(views)])
    translations = 0.1 * random.normal(size=(views, 3))
    pixels, anchor = random.uniform(-20, 20, (points, 2)), random.integers(0, views, points)
    pairs = {}
    for i, j in ((0, 1), (1, 0), (2, 1), (0, 2)):
        index = np.flatnonzero(anchor == i)
        index = np.append(index, index[:1])  # a point may be matched twice
        seen = pixels[index] + 3 * random.normal(size=(len(index), 2))  # on both sides of where the loss bends
        pairs[i, j] = index, seen, random.uniform(0.1, 1, len(index))
    inv_depth = random.uniform(0.5, 2, points)
    inv_depth[::7] = 20  # some are behind a camera
    translations[1, 2] = -0.5
    return (
        Unknowns(rotations, translations, inv_depth, 30.0),
        Matches.of(Observations(pixels, anchor, pairs)),
        1.5,
    )


def pair_term_case() -> Arguments:
    from fourreal_core.geometry.rotations import rotation_from_vector

    pose = rotation_from_vector(np.array([0.02, -0.03, 0.01])), np.array([0.1, -0.05, 0.02]), 20.0
    flow = floats(3, *PICTURE, 2)
    return flow, 0.3 * floats(4, *PICTURE, 2) - flow, rng(5).random(PICTURE) > 0.1, pose, np.zeros((*PICTURE, 6), "f4")


def search_case() -> Arguments:
    from fourreal_core.geometry.dense_depth import PairTerms

    values = floats(6, *PICTURE, 4, 6)
    truth = rng(7).uniform(0.5, 1.5, PICTURE).astype(np.float32)[..., None, None]
    values[..., :2] = 0.2 * values[..., :2] - truth * values[..., 2:4]
    values[..., 4] = 1 + 0.1 * values[..., 4]
    values[..., 5] = np.abs(values[..., 5])
    return PairTerms(values, 0.1 * floats(8, 4)), np.float32(0.2), np.float32(3)


def compare_case() -> Arguments:
    from fourreal_core.proposals.candidate_features import OF_EACH

    count = 4
    measured = np.abs(30 * floats(9, 10, count, *PICTURE))
    measured[1, 1] = measured[1, 0]  # two lead alike
    colors, flows, across = (floats(10 + k, count, *PICTURE, n) for k, n in enumerate((3, 2, 2)))
    out = np.ones((count, *PICTURE, len(OF_EACH)), np.float32)
    return measured, colors, flows, across, np.float32(0.4), np.float32(200), out, np.zeros((count, *PICTURE), bool)


def splat_case() -> Arguments:
    nearness = rng(13).uniform(0.5, 2, PICTURE).astype(np.float32)
    nearness[5:] = 1  # of what is equally near the first stays
    moves = np.cumsum(0.2 * floats(14, *PICTURE, 2), 1, dtype=np.float32)
    usable, empty = rng(15).random(PICTURE) > 0.05, np.zeros(PICTURE, np.float32)
    return moves, nearness, floats(16, *PICTURE, 3), usable, 1.0, np.zeros((*PICTURE, 3), np.float32), empty


def seams_case() -> Arguments:
    return (floats(17, *PICTURE, 5, 3),)


def messages_case() -> Arguments:
    seams = np.abs(floats(18, *PICTURE, 5, 5))
    return np.abs(floats(19, *PICTURE, 5)), seams + seams.swapaxes(2, 3), 3


CASES: dict[str, Callable[[], Arguments]] = {
    "flow.edge_aware_kernel.solve_rows": smoother_case,
    "flow.edge_aware_kernel.solve_columns": smoother_case,
    "geometry.bundle_kernel.cost_sum": bundle_case,
    "geometry.bundle_kernel.normal_sums": bundle_case,
    "geometry.dense_depth_kernel.pair_term": pair_term_case,
    "geometry.dense_depth_kernel.search": search_case,
    "proposals.candidate_features_kernel.compare": compare_case,
    "proposals.forward_splatting_kernel.splat": splat_case,
    "proposals.coherent_choice_kernel.seams_between": seams_case,
    "proposals.coherent_choice_kernel.pass_messages": messages_case,
}
OF_PICTURES = {"shadow_map", "draw_faces", "shade_cell"}
"""Held equal in tests/synthetic/test_raster.py, by whole pictures."""


def kernel(name: str) -> Kernel:
    module, _, function = name.rpartition(".")
    found: Kernel = getattr(importlib.import_module(f"fourreal_core.{module}"), function)
    return found


def results(function: Callable[..., Any], arguments: Arguments) -> list[np.ndarray]:
    """What a function returns and what it has written into its arguments."""
    given = copy.deepcopy(arguments)
    returned = function(*given)
    parts = returned if isinstance(returned, tuple) else () if returned is None else (returned,)
    return [np.asarray(part) for part in (*parts, *(a for a in given if isinstance(a, np.ndarray)))]


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_and_its_twin_give_the_same(name: str) -> None:
    both = kernel(name)
    assert both.compiled is not None
    fast, plain = (results(function, CASES[name]()) for function in (both.compiled, both.plain))
    assert len(fast) == len(plain) > 0
    for ours, theirs in zip(fast, plain, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5 * max(1.0, float(np.abs(theirs).max())))


def test_every_kernel_is_compared_with_its_twin() -> None:
    decorated = re.compile(r"^@compiled\((\w+)\.(\w+).*\)\ndef (\w+)", re.MULTILINE)
    found = set()
    for path in CORE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        matches = decorated.findall(text)
        assert len(matches) == text.count("\n@compiled"), path
        assert all(twin == name for _, twin, name in matches), path
        found |= {".".join([*path.relative_to(CORE).with_suffix("").parts, name]) for *_, name in matches}
    assert {name for name in found if name.rpartition(".")[2] not in OF_PICTURES} == set(CASES)
    assert {name.rpartition(".")[2] for name in found} >= OF_PICTURES


def test_numba_is_loaded_by_the_guard_and_the_rasterizer_alone() -> None:
    loads = re.compile(r"^\s*(from|import) (numba|llvmlite)\b", re.MULTILINE)
    found = {p.relative_to(CORE).as_posix() for p in CORE.rglob("*.py") if loads.search(p.read_text(encoding="utf-8"))}
    assert found == {"compiled.py", "rasterizer/compiling.py", "rasterizer/simd.py"}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing said yet, nothing known yet; and afterwards again."""
    caches = (compiled._warn, compiled.unavailable, compiled.unkept)
    for cache in caches:
        cache.cache_clear()
    yield
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()


def twice(x: int) -> int:
    return 2 * x


def plainly_twice(x: int) -> int:
    return x + x


def broken_numba(monkeypatch: pytest.MonkeyPatch, fails: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """numba.njit makes functions that raise at their first call, where ``fails`` says so of its options."""
    asked: list[dict[str, Any]] = []
    njit = numba.njit

    def broken(*functions: Any, **options: Any) -> Any:
        asked.append(options)

        def raises(*arguments: Any) -> None:
            raise numba.core.errors.LoweringError("no such instruction\nand more")

        if functions or not fails(options):
            return njit(*functions, **options)
        return lambda function: raises

    monkeypatch.setattr(numba, "njit", broken)
    return asked


def test_a_kernel_that_fails_at_its_first_call_is_compiled_without_its_cache_and_then_left(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert compiled.unavailable() is None
    asked = broken_numba(monkeypatch, lambda options: True)
    guarded = compiled.compiled(plainly_twice)(twice)
    assert [guarded(4), guarded(5)] == [8, 10] and guarded.compiled is None
    assert [options.get("cache", False) for options in asked] == [True, False]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "numba can't compile twice (LoweringError: no such instruction): plain NumPy" in said[0]


def test_a_damaged_cache_costs_the_cache_alone(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken_numba(monkeypatch, lambda options: options.get("cache", False))
    guarded = compiled.compiled(plainly_twice)(twice)
    assert guarded(4) == 8 and guarded.compiled is not None
    assert [record.getMessage()[:37] for record in caplog.records] == ["numba can't keep compiled code on disk"[:37]]


def test_what_memory_lacks_is_no_matter_of_numba(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = compiled.compiled(plainly_twice)(twice)

    def full(x: int) -> int:
        raise MemoryError

    guarded.compiled = full
    with pytest.raises(MemoryError):
        guarded(4)


@pytest.mark.parametrize(
    ("state", "reason", "remedy"),
    [
        ("missing", "can't be loaded (ModuleNotFoundError", "python -m pip install -U numba"),
        ("off", "is switched off", "unset it"),
        ("raising", "can't compile (LoweringError: no such instruction)", "python -m pip install -U numba"),
    ],
)
def test_the_reason_is_said_once_with_a_remedy(
    fresh: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    state: str,
    reason: str,
    remedy: str,
) -> None:
    if state == "missing":
        monkeypatch.setitem(__import__("sys").modules, "numba", None)
    elif state == "off":
        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    else:
        broken_numba(monkeypatch, lambda options: True)
    caplog.set_level(logging.WARNING)
    kernels = [compiled.compiled(plainly_twice)(twice) for _ in range(2)]
    assert [kernel(4) for kernel in kernels] == [8, 8] and kernels[0].compiled is None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and f"numba {reason}" in said[0] and remedy in said[0]


def test_code_that_cannot_be_kept_is_compiled_anew(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    njit = numba.njit

    def nowhere(*functions: Any, cache: bool = False, **options: Any) -> Any:
        def decorate(function: Any) -> Any:
            if cache:
                raise RuntimeError(f"cannot cache function {function.__name__!r}: no locator available")
            return njit(**options)(function)

        return decorate(*functions) if functions else decorate

    monkeypatch.setattr(numba, "njit", nowhere)
    guarded = compiled.compiled(plainly_twice)(twice)
    assert guarded(4) == 8 and guarded.compiled is not None
    assert "no locator" in str(compiled.unkept())
    assert [record.getMessage()[:37] for record in caplog.records] == ["numba can't keep compiled code on disk"[:37]]


@pytest.fixture
def failing_rasterizer(fresh: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes one of the rasterizer's kernels raise when it is called."""
    from fourreal_core.rasterizer import compositing, gradients, numba_backend

    monkeypatch.setattr(numba_backend, "_failures", [])

    def break_one(name: str) -> None:
        def fails(*arguments: Any) -> None:
            raise numba.core.errors.LoweringError("no such instruction")

        fails.signatures = [None]  # type: ignore[attr-defined]  # so that no compilation is announced
        monkeypatch.setattr({"composite_tiles": compositing, "replay_tiles": gradients}[name], name, fails)

    return break_one


@pytest.mark.parametrize("name", ["composite_tiles", "replay_tiles"])
def test_the_definition_takes_over_where_the_rasterizer_fails(
    failing_rasterizer: Callable[[str], None], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    from fourreal_core.rasterizer import RasterOptions, available_backends, rasterize

    def drawn(backend: str) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        means = torch.rand(20, 3, generator=generator) + torch.tensor([-0.5, -0.5, 1])
        inputs = [means, *(0.1 + 0.5 * torch.rand(20, *n, generator=generator) for n in ((), (), (3,)))]
        for tensor in inputs:
            tensor.requires_grad_()
        lens = torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]])
        out = rasterize(*inputs, lens, (16, 16), options=RasterOptions(backend=backend))
        (out.image.square().sum() + out.depth.sum()).backward()
        return [out.image, out.depth, *(tensor.grad for tensor in inputs)]  # type: ignore[list-item]

    expected = drawn("torch")
    failing_rasterizer(name)
    for ours, theirs in zip(drawn("auto"), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert "can't compile the rasterizer" in available_backends()["numba"]
    for ours, theirs in zip(drawn("auto"), drawn("sparse"), strict=True):
        assert torch.equal(ours, theirs)
    assert [r.getMessage()[:34] for r in caplog.records] == ["numba can't compile the rasterizer"]
