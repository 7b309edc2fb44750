"""Commits that fail for the moment are tried again, with a bound (SNK-4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from streamlet.errors import FatalError, InternalError, TransientError
from streamlet.runtime.commits import CommitFailure, CommitRetries, Committer, commit_with_retries
from streamlet.sink import Sink, SinkWriter, WriterContext
from streamlet.testing import ListSink
from tests.runtime.pipelines import environment

PLACE = "in operator 'out'"


class FailingSink(Sink[Any]):
    """Raises the given errors, one per commit, then commits."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries: list[list[Any]] = []

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return ListSink().create_writer(ctx)

    def commit(self, committables: Sequence[Any]) -> None:
        self.tries.append(list(committables))
        if self.errors:
            raise self.errors.pop(0)


class Sleeps:
    """Remembers how long it was to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, failure: CommitFailure) -> None:
        self.seconds.append(failure.delay_ms / 1_000)


def commit(sink: FailingSink, retries: CommitRetries, sleeps: Sleeps) -> None:
    asyncio.run(commit_with_retries(sink, ["a", "b"], PLACE, retries, sleeps))


@pytest.mark.parametrize(
    ("failures", "delay_ms"),
    [(1, 100), (2, 200), (3, 400), (7, 6_400), (8, 10_000), (10, 10_000), (11, None)],
)
def test_waits_are_doubled_up_to_a_bound(failures: int, delay_ms: int | None) -> None:
    assert CommitRetries(10).delay_ms(failures, TransientError("later")) == delay_ms


def test_a_bound_of_any_size_is_a_bound() -> None:
    assert CommitRetries(10**9).delay_ms(10**9, OSError()) == 10_000


@pytest.mark.parametrize(
    "error",
    [FatalError("no"), InternalError("bug"), ValueError("bug"), KeyError("bug")],
    ids=lambda error: type(error).__name__,
)
def test_only_what_may_pass_is_tried_again(error: Exception) -> None:
    sink, sleeps = FailingSink(error), Sleeps()
    with pytest.raises(type(error)):
        commit(sink, CommitRetries(), sleeps)
    assert (len(sink.tries), sleeps.seconds) == (1, [])


def test_every_try_gets_all_committables() -> None:
    """SNK-3: the sink tells what is done already."""
    sink, sleeps = FailingSink(OSError("network"), TransientError("busy")), Sleeps()
    commit(sink, CommitRetries(), sleeps)
    assert sink.tries == [["a", "b"]] * 3
    assert sleeps.seconds == [0.1, 0.2]


def test_the_attempt_ends_with_the_last_failure_when_the_bound_is_met() -> None:
    sink, sleeps = FailingSink(*[TransientError(f"busy {n}") for n in range(9)]), Sleeps()
    with pytest.raises(TransientError, match="busy 3") as caught:
        commit(sink, CommitRetries(limit=3), sleeps)
    assert caught.value.__notes__ == [f"{PLACE}, commit number 4 of a checkpoint's output"]
    assert len(sink.tries) == 4


def test_no_retries_means_one_try() -> None:
    sink, sleeps = FailingSink(OSError()), Sleeps()
    with pytest.raises(OSError):
        commit(sink, CommitRetries(limit=0), sleeps)
    assert (len(sink.tries), sleeps.seconds) == (1, [])


def test_a_cancelled_wait_tries_nothing_more() -> None:
    """Whoever stops the job does not wait for the sink."""
    sink = FailingSink(*[OSError() for _ in range(9)])

    async def cancel_while_waiting() -> None:
        waiting = asyncio.Event()

        async def sleep(failure: CommitFailure) -> None:
            waiting.set()
            await asyncio.Event().wait()

        work = asyncio.create_task(commit_with_retries(sink, [], PLACE, CommitRetries(), sleep))
        await waiting.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancel_while_waiting())
    assert len(sink.tries) == 1


def test_the_failure_is_known_between_two_tries_and_forgotten_after_them() -> None:
    sink, told = FailingSink(OSError("later"), OSError("busy")), list[str]()
    env = environment()
    env.from_collection([1]).sink_to(sink).name("out").uid("out")
    plan = env.get_execution_plan()
    env.graph.forget_executed()

    async def pause(failure: CommitFailure) -> None:
        told.append(str(committer.failure))

    committer = Committer(CommitRetries(limit=10), pause)
    asyncio.run(committer.commit(plan, {"out": ["a"]}))
    assert told == [
        "in operator 'out': OSError: later (try 1 of 11)",
        "in operator 'out': OSError: busy (try 2 of 11)",
    ]
    assert committer.failure is None
