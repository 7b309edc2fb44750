"""A source that cannot send is not silent (WM-22)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streamlet import StreamExecutionEnvironment, WatermarkStrategy
from streamlet.checkpoint.disk import RealDisk
from streamlet.elements import Element, RowBatch, StreamStatus, Watermark
from streamlet.eventtime.watermarks import WatermarkStrategy as Strategy
from streamlet.operators.chain import ChainedOperator, OperatorChain
from streamlet.plan import ExecutionPlan
from streamlet.runtime.channel import Channel
from streamlet.runtime.messages import AssignSplits, CloseAttempt, SplitsUnread, ToCoordinator
from streamlet.runtime.outputs import BatchSizes, OutgoingEdge, Outputs
from streamlet.runtime.partition import OneRouter
from streamlet.runtime.snapshots import SnapshotWriter
from streamlet.runtime.source_task import SourceTask
from streamlet.runtime.task import TaskParts, TaskSettings
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ManualClock

TIMEOUT_MS, INTERVAL_MS = 1_000, 100


class Quiet(PartitionedSource[int]):
    """A watermark when `has_watermark` is set; nothing otherwise, and no end."""

    def __init__(self) -> None:
        self.has_watermark = False

    def list_partitions(self) -> list[str]:
        return ["p"]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[int]:
        return _Reader(self)


class _Reader(PartitionReader[int]):
    def __init__(self, source: Quiet) -> None:
        self._source = source

    def poll(self, max_records: int) -> list[int] | Watermark:
        has_watermark, self._source.has_watermark = self._source.has_watermark, False
        return Watermark(5) if has_watermark else []

    def position(self) -> None:
        return None


def source_task(
    source: Quiet, strategy: Strategy[Any], clock: ManualClock, channel: Channel
) -> SourceTask:
    env = StreamExecutionEnvironment()
    env.from_source(source, strategy, "quiet").rebalance().print()
    plan: ExecutionPlan = env.get_execution_plan()
    messages: list[ToCoordinator] = []
    sizes = BatchSizes(10, 10)
    settings = TaskSettings(clock, RealDisk(), sizes, 1, INTERVAL_MS, messages.append)
    head = plan.vertices[0].head
    parts = TaskParts(
        (0, 0),
        OperatorChain([ChainedOperator(head.uid, None, has_edges=True)]),
        {},
        Outputs([OutgoingEdge(0, None, OneRouter(0), [channel], [0])], sizes),
        SnapshotWriter((0, 0), None, ThreadPoolExecutor(1), messages.append),
        settings,
    )
    return SourceTask(head, parts)


async def turns(count: int = 50) -> None:
    """Lets the task do what it can."""
    for _ in range(count):
        await asyncio.sleep(0)


def taken(channel: Channel) -> list[Element]:
    return [channel.receive_nowait() for _ in range(len(channel))]


def silence(*, is_blocked: bool) -> list[Element]:
    """What the source sends when it polls nothing, or cannot send, for longer than the timeout."""

    async def run() -> list[Element]:
        clock, channel, source = ManualClock(1_000), Channel(1), Quiet()
        strategy = WatermarkStrategy.no_watermarks().with_idleness(TIMEOUT_MS)
        task = source_task(source, strategy, clock, channel)
        running = asyncio.create_task(task.run())
        task.post(AssignSplits((0, 0), [("p", None)]))
        task.post(SplitsUnread(task.head_uid, has_unread=False))
        await turns()
        for _ in range(2):  # the first quiet probe has started the clock of silence
            clock.advance(INTERVAL_MS)
            task.wake()
            await turns()
        if is_blocked:
            await channel.send(RowBatch([0]))  # the channel is full: the watermark must wait
            source.has_watermark = True
        for _ in range(30):
            clock.advance(INTERVAL_MS)
            task.wake()
            await turns()
        sent = []
        for _ in range(5):
            sent += taken(channel)
            await turns()
        task.post(CloseAttempt())
        await running
        return sent

    return asyncio.run(run())


def test_a_source_that_polls_nothing_is_idle_after_its_timeout() -> None:
    """WM-20: the setting in which the other test finds nothing."""
    assert silence(is_blocked=False) == [StreamStatus(is_idle=True)]


def test_a_source_that_waits_for_room_is_not_idle() -> None:
    assert silence(is_blocked=True) == [RowBatch([0]), Watermark(5)]
