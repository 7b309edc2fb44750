"""The simulated loop: virtual time, asyncio's order, threads that work later, hangs seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import pytest

from streamlet.testing.simulation import Crash, SimulatedLoop, SimulationHang
from streamlet.testing.simulation.crash_points import CrashPoints, ProcessDeath

T = TypeVar("T")


@contextmanager
def loop_of(seed: int, points: CrashPoints | None = None) -> Iterator[SimulatedLoop]:
    loop = SimulatedLoop(Random(seed), points or CrashPoints())
    try:
        yield loop
    finally:
        loop.close()


def run(work: Callable[[], Coroutine[Any, Any, T]], seed: int = 0) -> T:
    with loop_of(seed) as loop:
        return loop.run_until_complete(work())


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def test_an_hour_of_sleep_takes_no_time_and_passes_on_the_loops_clock() -> None:
    async def work() -> float:
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time() - started_s

    assert run(work) == pytest.approx(100, abs=0.01)


def test_callbacks_run_in_the_order_in_which_they_were_asked_for() -> None:
    order: list[int] = []

    async def work() -> None:
        for number in range(20):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(0)

    run(work)
    assert order == list(range(20))


def test_work_in_threads_ends_in_an_order_that_the_seed_decides() -> None:
    async def work() -> tuple[int, ...]:
        order: list[int] = []
        await asyncio.gather(*(in_thread(lambda n=n: order.append(n)) for n in range(6)))  # type: ignore[misc]
        return tuple(order)

    orders = [run(work, seed) for seed in range(8)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) > 1
    assert orders == [run(work, seed) for seed in range(8)]


def test_error_of_work_in_a_thread_comes_to_whoever_waits() -> None:
    async def work() -> None:
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 // 0)

    run(work)


def test_work_that_was_cancelled_before_it_began_never_runs() -> None:
    done: list[int] = []

    async def work() -> None:
        asyncio.get_running_loop().run_in_executor(None, lambda: done.append(1)).cancel()
        await asyncio.sleep(1)

    run(work)
    assert done == []


def test_a_wait_that_nothing_can_end_is_a_hang_with_the_place_of_the_wait() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    points = CrashPoints()
    with loop_of(0, points) as loop:
        with pytest.raises(SimulationHang, match="waits_for_nobody"):
            loop.run_until_complete(waits_for_nobody())
        points.is_dead = True
        loop.unwind()
        assert not asyncio.all_tasks(loop)


def test_a_job_that_goes_on_for_ever_is_a_hang() -> None:
    async def ticks() -> None:
        while True:  # noqa: ASYNC110 - nothing will ever end it
            await asyncio.sleep(1)

    points = CrashPoints()
    with loop_of(0, points) as loop:
        with pytest.raises(SimulationHang, match="no end"):
            loop.run_until_complete(ticks())
        points.is_dead = True
        loop.unwind()


def test_sockets_are_refused() -> None:
    async def listen() -> None:
        with pytest.raises(OSError, match="no sockets"):
            await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        with pytest.raises(OSError, match="no sockets"):
            await asyncio.open_connection("127.0.0.1", 1)

    run(listen)


def test_death_of_the_process_ends_the_loop_and_what_unwinds_has_no_effect() -> None:
    effects: list[str] = []
    points = CrashPoints(Crash("before-thread", 2))

    async def work() -> None:
        await in_thread(lambda: effects.append("first"))
        try:
            await in_thread(lambda: effects.append("second"))
        finally:
            await in_thread(lambda: effects.append("in the grave"))

    with loop_of(0, points) as loop:
        with pytest.raises(ProcessDeath, match="before-thread#2"):
            loop.run_until_complete(work())
        loop.unwind()
        assert not asyncio.all_tasks(loop)
    assert effects == ["first"]
