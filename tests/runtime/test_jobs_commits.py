"""Clients of a job whose sink cannot commit for the moment: each has an answer (SNK-4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from streamlet.errors import TransientError
from streamlet.runtime.run import JobClient
from tests.runtime.pipelines import (
    Gate,
    GatedListSink,
    SteppedSource,
    environment,
    records_of,
    running,
    totals_of,
    totals_pipeline,
    until,
)


class BusySink(GatedListSink):
    """Commits nothing as long as it is busy."""

    is_busy = True
    tries = 0

    def commit(self, committables: Sequence[Any]) -> None:
        self.tries += bool(committables)
        if self.is_busy and committables:
            raise TransientError("the database is busy")
        super().commit(committables)


pytestmark = pytest.mark.slow

Act = Callable[[JobClient, BusySink], Awaitable[None]]


def run_job(sink: BusySink, act: Act, **settings: Any) -> None:
    """Starts a job into the sink and does something with it."""

    async def run() -> None:
        env = environment(sink__committer__retries=1_000, **settings)
        totals_pipeline(env, SteppedSource(records_of(1, 24), sink.gate), sink)
        await act(await env.execute_async("busy"), sink)

    asyncio.run(asyncio.wait_for(run(), 20))


def run_busy(act: Act) -> BusySink:
    """Does something once a commit has failed; then the job ends."""
    sink = BusySink(Gate(is_open=True))

    async def act_once_failed(client: JobClient, sink: BusySink) -> None:
        await until(client, lambda status: bool(status["commit_failure"]))
        await act(client, sink)

    run_job(sink, act_once_failed)
    return sink


def test_status_says_that_a_commit_is_tried_again_and_why() -> None:
    async def act(client: JobClient, sink: BusySink) -> None:
        told = (await client.status())["commit_failure"]
        assert "TransientError: the database is busy (try " in told
        sink.is_busy = False
        await client.result()
        assert (await client.status())["commit_failure"] is None

    assert sorted(run_busy(act).values) == totals_of(records_of(1, 24))


@pytest.mark.parametrize("is_stop", [False, True])
def test_savepoint_is_refused_while_a_commit_is_tried_again(home: Path, is_stop: bool) -> None:
    """It would wait for ever if the sink never gets well; the job goes on trying."""

    async def act(client: JobClient, sink: BusySink) -> None:
        asked = client.stop_with_savepoint() if is_stop else client.trigger_savepoint()
        with pytest.raises(TransientError, match=r"could not be committed yet.*is busy"):
            await asked
        sink.is_busy = False
        assert (await client.result()).state == "FINISHED"

    assert sorted(run_busy(act).values) == totals_of(records_of(1, 24))


def test_cancel_ends_a_job_that_cannot_commit() -> None:
    async def act(client: JobClient, sink: BusySink) -> None:
        await client.cancel()
        assert (await client.result()).state == "CANCELED"

    assert run_busy(act).values == []


def test_interrupted_job_does_not_wait_until_its_last_checkpoint_can_be_committed() -> None:
    """It is durable: whoever resumes commits it again."""

    async def act(client: JobClient, sink: BusySink) -> None:
        await running(client)
        client._job.interrupt()
        assert (await client.result()).state == "SUSPENDED"

    sink = BusySink()
    run_job(sink, act, execution__checkpointing__interval="1h")
    assert sink.tries == 1


def test_savepoint_behind_a_stop_that_cannot_commit_is_refused_too() -> None:
    """Whoever waits for the stop itself is told when the sink is well again."""

    async def act(client: JobClient, sink: BusySink) -> None:
        await running(client)
        stop = asyncio.create_task(client.stop_with_savepoint())
        savepoint = asyncio.create_task(client.trigger_savepoint())
        with pytest.raises(TransientError, match="could not be committed yet"):
            await savepoint
        assert not stop.done()
        sink.is_busy = False
        assert await stop

    sink = BusySink()
    run_job(sink, act, execution__checkpointing__interval="1h")
    assert sink.values
