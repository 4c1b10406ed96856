"""Compiling the rasterizer's kernels: waited for, cancelled, and taken up again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch

Part = Callable[[str], ModuleType]
CPU = torch.device("cpu")


class SlowCompiler:
    """Stands in for the compiler, and goes on when it is told to."""

    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.losses: list[int] = []
        self.may_end, self.ended = threading.Event(), threading.Event()

    def missing_code(self, gradients: bool) -> bool:
        return not self.ended.is_set()

    def warm_up(self, gradients: bool) -> None:
        self.calls.append(gradients)
        assert self.may_end.wait(60)
        self.ended.set()


@pytest.fixture
def compiler(part: Part, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCompiler]:
    slow, module = SlowCompiler(), part("fourreal_core.rasterizer.warm_up")
    for name in ("missing_code", "warm_up"):
        monkeypatch.setattr(module, name, getattr(slow, name))
    loss = part("fourreal_core.reconstruction.photometric_loss")
    monkeypatch.setattr(loss, "missing_code", lambda: not slow.ended.is_set())
    monkeypatch.setattr(loss, "warm_up", lambda: slow.losses.append(1))
    yield slow
    slow.may_end.set()


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "4Real compilation"]


def test_a_cancel_is_seen_and_the_work_is_not_lost(part: Part, compiler: SlowCompiler) -> None:
    import comfy.model_management as management

    compile_first = part("nodes.compilation").compile_first
    for _ in range(2):
        management.interrupt_current_processing(True)
        try:
            with pytest.raises(management.InterruptProcessingException):
                compile_first(CPU, True)
        finally:
            management.interrupt_current_processing(False)
    assert compiler.calls == [True] and not compiler.ended.is_set()  # the second waited for the first one's thread
    compiler.may_end.set()
    compile_first(CPU, True)
    assert compiler.ended.is_set() and compiler.calls == [True]
    for thread in ours():
        thread.join(60)
    assert not ours() and compiler.losses == [1]


def test_nothing_is_compiled_without_need(part: Part, compiler: SlowCompiler) -> None:
    compile_first = part("nodes.compilation").compile_first
    compile_first(torch.device("cuda"), True)
    compiler.ended.set()
    compile_first(CPU, True)
    assert not compiler.calls
