"""An asyncio event loop without a machine: virtual time, simulated threads, seeded delays."""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple

from streamlet.testing.simulation.crash_points import CrashPoints, ProcessDeath

T = TypeVar("T")
Args = TypeVarTuple("Args")

STEP_S: Final = 0.000_02
"""What one turn of the loop costs, so that time also goes by while there is work."""
THREAD_S: Final = 0.004
"""Work in a thread begins up to so much later, and its result is known so much later again."""
LATE_STEPS: Final = 0.1
"""So many steps of tasks are late, by at most STEP_LATE_S."""
STEP_LATE_S: Final = 0.004
TIMER_S: Final = 0.001
"""A timer is at most so late."""
MAX_STEPS: Final = 400_000
MAX_TIME_S: Final = 120.0
UNWINDING_ROUNDS: Final = 20


class SimulationHang(AssertionError):
    """Nothing can ever happen again, or nothing that ends the job; says where its tasks wait."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs the code under test as asyncio does, with time that jumps to the next timer.

    Callbacks keep asyncio's order. What a real machine decides is drawn from `random`: how long
    work in a thread takes and how late a timer is. There are no sockets and no real threads.
    """

    def __init__(self, random: Random, points: CrashPoints, start_s: float = 0.0) -> None:
        super().__init__()
        self._random = random
        self._points = points
        self.thread_s = THREAD_S
        """A slow disk makes it more."""
        self._now_s = start_s
        self._end_s = start_s + MAX_TIME_S
        self._steps = 0
        self._is_unwinding = False
        self._selector = self  # asyncio asks its selector to wait: that is where time passes

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def select(self, timeout: float | None) -> list[Any]:
        """Waits for the next timer by making it now; raises SimulationHang if nothing is left."""
        if self._points.is_dead and not self._is_unwinding:
            raise ProcessDeath("while an error in the dying process hid its death")
        if timeout is None:
            raise SimulationHang(self._stuck("nothing is ready and no timer is set"))
        self._steps += 1
        self._now_s += STEP_S + (timeout or 0.0)
        if self._steps > MAX_STEPS or self._now_s > self._end_s:
            raise SimulationHang(
                self._stuck(f"no end after {self._steps} steps, at {self._now_s:.1f} s")
            )
        return []

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        late_s = self._random.random() * TIMER_S
        return super().call_at(when + late_s, callback, *args, context=context)

    def call_soon(
        self,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Steps of tasks may be late, as on a machine that is busy: barriers then drift apart."""
        is_step = isinstance(getattr(callback, "__self__", None), asyncio.Task)
        if is_step and self._random.random() < LATE_STEPS:
            late_s = self._random.random() * STEP_LATE_S
            return self.call_later(late_s, callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, work: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Runs the work in one step, later; its result is known later again."""
        future: asyncio.Future[T] = self.create_future()
        self.call_later(self._random.random() * self.thread_s, self._work, future, work, args)
        return future

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Refused: what comes from outside cannot be repeated."""
        raise _no_sockets()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Refused, as `create_server` is."""
        raise _no_sockets()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._points.is_dead:
            super().call_exception_handler(context)

    def unwind(self) -> None:
        """After the process died: lets its coroutines end, which have no effect any more."""
        self._is_unwinding = True
        for _ in range(UNWINDING_ROUNDS):
            pending = sorted(asyncio.all_tasks(self), key=_age)  # a set has no order of its own
            if not pending:
                break
            for task in pending:
                task.cancel()
            self._steps, self._end_s = 0, self._now_s + MAX_TIME_S
            self.call_later(1.0, self.stop)
            with suppress(ProcessDeath):  # whoever waits for the task that died gets its error
                self.run_forever()

    def _work(self, future: asyncio.Future[T], work: Callable[..., T], args: Any) -> None:
        if future.cancelled():
            return
        try:
            self._points.reach("before-thread")
            result = work(*args)
            self._points.reach("between-thread-and-result")
        except Exception as error:
            self._later(future, future.set_exception, error)
        else:
            self._later(future, future.set_result, result)

    def _later(
        self, future: asyncio.Future[T], settle: Callable[[Any], None], outcome: Any
    ) -> None:
        def done() -> None:
            if not future.done():
                settle(outcome)

        self.call_later(self._random.random() * self.thread_s, done)

    def _stuck(self, what: str) -> str:
        text = io.StringIO(f"{what}\n")
        text.seek(0, io.SEEK_END)
        for task in sorted(asyncio.all_tasks(self), key=_age):
            task.print_stack(limit=4, file=text)
        return text.getvalue()

    def _process_events(self, events: list[Any]) -> None:
        """There is no input from outside."""

    def _write_to_self(self) -> None:
        """Nothing waits outside the loop that would have to be woken."""


def _age(task: asyncio.Task[Any]) -> int:
    """Tasks are numbered as they are made, over all loops of the program."""
    return int(task.get_name().rpartition("-")[2])


def _no_sockets() -> OSError:
    return OSError(errno.ENOTSUP, "a simulated machine has no sockets")
