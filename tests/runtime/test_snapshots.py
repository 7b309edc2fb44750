"""Writing snapshots in a thread: a failing write declines, and loses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.pending import TaskAck
from streamlet.checkpoint.row_files import merge_rows, read_state
from streamlet.checkpoint.state_files import StateFiles
from streamlet.elements import Barrier
from streamlet.operators.operator import OperatorSnapshot
from streamlet.runtime.messages import DeclineCheckpoint
from streamlet.runtime.snapshots import (
    BATCHES_AFTER_FAILED_SPILL,
    KeyedSnapshots,
    SnapshotWriter,
)
from streamlet.state.log import StateLog, open_store

GROUPS = range(128)


@dataclass
class FailingDisk(RealDisk):
    """The real disk, full for the next `failures` files; it waits while `is_slow`."""

    failures: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)

    def create(self, path: Path) -> BinaryIO:
        self.go_on.wait(5)
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        return super().create(path)


class Bench:
    """One task's writer over real state and files, and what it tells the coordinator."""

    def __init__(self, directory: Path, backend: str) -> None:
        (directory / "state").mkdir()
        self.directory = directory
        self.disk = FailingDisk()
        self.disk.go_on.set()
        store = open_store(backend, directory / "db", 1_000)
        self.log = StateLog(store, GROUPS, 128)
        self.table = self.log.flat("total")
        self.executor = ThreadPoolExecutor(2)
        self.said: list[Any] = []
        files = StateFiles(self.disk, directory / "state", "v0-0", GROUPS, None)
        self.writer = SnapshotWriter(
            (0, 0), KeyedSnapshots("op", self.log, files), self.executor, self.said.append
        )

    def put(self, **values: int) -> None:
        for key, value in values.items():
            self.log.key = key
            self.table.put(key, value)

    def start(self, checkpoint_id: int) -> None:
        self.writer.start(Barrier(checkpoint_id), {"op": OperatorSnapshot()})

    async def finish(self) -> list[str]:
        await self.writer.finish()
        return [
            f"{'ack' if isinstance(said, TaskAck) else 'decline'} {said.checkpoint_id}"
            for said in self.said
            if isinstance(said, TaskAck | DeclineCheckpoint)
        ]

    def state(self) -> dict[str, int]:
        """What a restore of the last acknowledged checkpoint would find."""
        ack = next(said for said in reversed(self.said) if isinstance(said, TaskAck))
        read = read_state(RealDisk(), self.directory / "chk", ack.operators["op"].files, GROUPS)
        log = StateLog(open_store("heap", None, 0), GROUPS, 128)
        log.restore(merge_rows(read).to_batches())
        return dict(log.flat("total").items())

    def close(self) -> None:
        self.disk.go_on.set()
        self.executor.shutdown()
        self.log.close()


@pytest.fixture(params=["heap", "rocksdb"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    def play(script: Callable[[Bench], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            bench = Bench(tmp_path, request.param)
            try:
                await script(bench)
            finally:
                bench.close()

        asyncio.run(all_of_it())

    return play


def test_snapshot_is_the_state_at_the_barrier_whatever_comes_after(run: Any) -> None:
    async def script(bench: Bench) -> None:
        bench.put(a=1, b=2)
        bench.disk.go_on.clear()
        bench.start(1)
        bench.put(a=100, c=3)
        bench.disk.go_on.set()
        assert await bench.finish() == ["ack 1"]
        assert bench.state() == {"a": 1, "b": 2}
        bench.start(2)
        assert await bench.finish() == ["ack 1", "ack 2"]
        assert bench.state() == {"a": 100, "b": 2, "c": 3}

    run(script)


def test_write_that_fails_declines_and_the_next_checkpoint_is_whole(run: Any) -> None:
    """CP-22, CP-41."""

    async def script(bench: Bench) -> None:
        bench.put(a=1, b=1)
        bench.disk.failures = 1
        bench.start(1)
        assert await bench.finish() == ["decline 1"]
        assert "No space left" in bench.said[-1].reason
        bench.put(b=2)
        bench.start(2)
        assert await bench.finish() == ["decline 1", "ack 2"]
        assert bench.state() == {"a": 1, "b": 2}

    run(script)


def test_later_snapshot_that_was_frozen_before_the_failure_is_declined_too(run: Any) -> None:
    """Its rows alone would be a state with a hole."""

    async def script(bench: Bench) -> None:
        bench.put(a=1)
        bench.disk.failures = 1
        bench.disk.go_on.clear()
        bench.start(1)
        bench.put(b=2)
        bench.start(2)
        bench.put(c=3)
        bench.disk.go_on.set()
        assert await bench.finish() == ["decline 1", "decline 2"]
        bench.start(3)
        assert await bench.finish() == ["decline 1", "decline 2", "ack 3"]
        assert bench.state() == {"a": 1, "b": 2, "c": 3}

    run(script)


def test_state_can_be_read_and_changed_while_a_failing_write_is_under_way(run: Any) -> None:
    async def script(bench: Bench) -> None:
        bench.put(a=1, b=1)
        bench.disk.failures = 1
        bench.disk.go_on.clear()
        bench.start(1)
        assert bench.table.get("a") == 1
        bench.put(a=2)
        bench.disk.go_on.set()
        await bench.finish()
        assert (bench.table.get("a"), bench.table.get("b")) == (2, 1)

    run(script)


@pytest.mark.parametrize("run", ["rocksdb"], indirect=True)
def test_spill_that_failed_is_said_once_and_tried_again_later(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It was tried, and said, after every slice of a batch while a disk was full."""

    async def work(bench: Bench) -> None:
        bench.disk.failures = 2
        bench.put(**{f"k{number}": number for number in range(1_000)})
        for _ in range(2 * BATCHES_AFTER_FAILED_SPILL):
            await bench.writer.between_batches()
            await bench.writer.finish()
        assert bench.disk.failures == 0
        assert bench.log.wants_spill()
        for _ in range(BATCHES_AFTER_FAILED_SPILL):
            await bench.writer.between_batches()
            await bench.writer.finish()
        assert not bench.log.wants_spill()

    run(work)
    assert caplog.text.count("stays in memory") == 1


def test_barrier_that_keeps_no_state_writes_none(run: Any) -> None:
    async def script(bench: Bench) -> None:
        bench.put(a=1)
        bench.writer.start(Barrier(1, keeps_state=False), {"op": OperatorSnapshot()})
        assert await bench.finish() == ["ack 1"]
        assert bench.said[0].operators["op"].files == []
        assert list((bench.directory / "state").iterdir()) == []

    run(script)


def test_durability_work_of_an_operator_comes_before_the_acknowledgement(run: Any) -> None:
    async def script(bench: Bench) -> None:
        order: list[str] = []

        def sync() -> None:
            assert not bench.said
            order.append(threading.current_thread().name)

        bench.writer.start(
            Barrier(1), {"op": OperatorSnapshot(), "sink": OperatorSnapshot(sync=sync)}
        )
        assert await bench.finish() == ["ack 1"]
        assert len(order) == 1
        assert order != [threading.current_thread().name]

    run(script)


def test_savepoint_has_a_file_of_its_own_and_does_not_disturb_the_deltas(run: Any) -> None:
    async def script(bench: Bench) -> None:
        bench.put(a=1)
        bench.start(1)
        bench.put(b=2)
        target = bench.directory / "sp"
        target.mkdir()
        bench.writer.start(Barrier(2, str(target)), {"op": OperatorSnapshot()})
        bench.put(a=3)
        bench.start(3)
        assert await bench.finish() == ["ack 1", "ack 2", "ack 3"]
        assert bench.state() == {"a": 3, "b": 2}
        exported = bench.said[1].operators["op"].files
        rows = merge_rows(read_state(RealDisk(), target, exported, GROUPS))
        assert rows.num_rows == 2

    run(script)
