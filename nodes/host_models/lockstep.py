"""Two runs of one model, synchronized after every layer.

A model's own ``forward`` is called twice, each call in a thread of its own, and both stop after each layer to exchange
their tokens. Only one of the two threads ever runs: they pass a baton, so nothing in the host or in PyTorch is used by
two threads at once, and the model is used exactly as it is.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

from ...fourreal_core.errors import InputError
from .thread_state import ThreadState

Result = TypeVar("Result")

Mix = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps a layer and both runs' outputs of it to what each run continues with."""

THREAD_NAME = "4Real second stream"
FIRST, SECOND = 0, 1


class _Released(BaseException):
    """Ends a run whose partner has failed; a BaseException, so that no ``except Exception`` of a model catches it."""


class LockStep(Generic[Result]):
    """Runs two functions alternately; each calls :meth:`meet` after every layer.

    The first runs in the caller's thread. An error or a cancel in either of them frees the other and is raised to the
    caller after both have ended; the second thread has always ended when :meth:`run` returns or raises.

    Args:
        mix: Called once a layer, by whichever run arrives last, with both runs' tokens.
    """

    def __init__(self, mix: Mix) -> None:
        self._mix = mix
        self._baton = threading.Condition()
        self._holder = FIRST
        self._of_thread = threading.local()  # not by identifier: a new thread may get that of one that has ended
        self._waiting: list[tuple[int, Tensor] | None] = [None, None]
        self._mixed: list[Tensor | None] = [None, None]
        self._results: list[Result | None] = [None, None]
        self._ended = [False, False]
        self._error: BaseException | None = None

    def run(self, first: Callable[[], Result], second: Callable[[], Result]) -> tuple[Result, Result]:
        """Both results.

        The second thread takes over the caller's context variables, inference mode, device, stream and autocast.

        Raises:
            InputError: The two runs did not go through the same layers.
            BaseException: Whatever either run raised.
        """
        surroundings = ThreadState.here()

        def in_surroundings() -> Result:
            with surroundings.entered():
                return second()

        def run_second() -> None:
            self._of_thread.lane = SECOND
            self._run_lane(SECOND, in_surroundings)

        worker = threading.Thread(
            target=contextvars.copy_context().run, args=(run_second,), name=THREAD_NAME, daemon=True
        )
        self._of_thread.lane = FIRST
        worker.start()
        try:
            self._run_lane(FIRST, first)
        finally:
            if not self._ended[FIRST]:
                self._fail(_Released())  # frees the second also when the interpreter itself was interrupted out here
            worker.join()
        if self._error is not None:
            error, self._error = self._error, None  # its traceback holds the tensors of both runs
            try:
                raise error
            finally:
                del error
        return self._results[FIRST], self._results[SECOND]  # type: ignore[return-value] # both have ended well

    def lane(self) -> int | None:
        """Index of the run that the calling thread belongs to; None for any other thread."""
        return getattr(self._of_thread, "lane", None)

    def meet(self, layer: int, tokens: Tensor) -> Tensor:
        """Exchanges this run's output of a layer for what it continues with.

        The run that arrives first waits for the other one; the second to arrive mixes and goes straight on.
        """
        lane = self._of_thread.lane
        other = 1 - lane
        partner = self._waiting[other]
        if partner is None:
            if self._ended[other]:
                raise _different_layers()
            self._waiting[lane] = (layer, tokens)
            del tokens
            self._hand_over(lane)
            self._take(lane)
            mixed, self._mixed[lane] = self._mixed[lane], None
            assert mixed is not None
            return mixed
        self._waiting[other] = None
        if partner[0] != layer:
            raise _different_layers()
        pair = (tokens, partner[1]) if lane == FIRST else (partner[1], tokens)
        del partner, tokens
        mixed_pair = self._mix(layer, *pair)
        self._mixed[other] = mixed_pair[other]
        return mixed_pair[lane]

    def _run_lane(self, lane: int, work: Callable[[], Result]) -> None:
        try:
            self._take(lane)
            self._results[lane] = work()
            if self._waiting[1 - lane] is not None:  # nobody is left to meet it
                raise _different_layers()
            self._ended[lane] = True
            if not self._ended[1 - lane]:
                self._hand_over(lane)
        except _Released:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread, cancelling included
            self._fail(error)

    def _hand_over(self, lane: int) -> None:
        with self._baton:
            self._holder = 1 - lane
            self._baton.notify_all()

    def _take(self, lane: int) -> None:
        with self._baton:
            self._baton.wait_for(lambda: self._holder == lane or self._error is not None)
            if self._error is not None:
                raise _Released

    def _fail(self, error: BaseException) -> None:
        with self._baton:
            if self._error is None:
                self._error = error
            self._waiting, self._mixed, self._results = [None, None], [None, None], [None, None]
            self._baton.notify_all()


def _different_layers() -> InputError:
    return InputError(
        "the two streams went through different layers of the model",
        "the same layers in both",
        "remove the node that skips layers or steps of this model (EasyCache, TeaCache and the like)",
    )
