"""Drives one operator without a job: every call is synchronous, and time is the test's."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from streamlet.columns import to_rows
from streamlet.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    Batch,
    ColumnBatch,
    KeyColumn,
    OutputTag,
    RowBatch,
    SideBatch,
    StreamStatus,
    Watermark,
)
from streamlet.metrics import MetricGroup
from streamlet.operators.operator import OperatorContext, Output
from streamlet.selectors import Selector, compile_selector
from streamlet.state.codec import decode, encode
from streamlet.state.keys import canonical_key
from streamlet.state.log import StateLog, open_store
from streamlet.testing.clock import ManualClock
from streamlet.testing.harness.subject import operator_factory
from streamlet.testing.harness.watch import RecordWatch
from streamlet.testing.script import At, Step, records_of
from streamlet.units import Duration

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PARALLELISM: Final = 128
_MEMORY_BYTES: Final = 4_000
"""So little that the rocksdb backend has to evict."""


@dataclass(frozen=True, slots=True)
class HarnessSnapshot:
    """What a checkpoint of the operator would hold."""

    rows: tuple[pa.RecordBatch, ...]
    """Keyed state and timers, as they would be on disk; later rows win."""
    operator_state: tuple[Any, ...]
    committables: tuple[Any, ...]
    checkpoint_id: int


class OperatorHarness:
    """One subtask with one operator, fed by hand.

    `function` is a ProcessFunction, a KeyedProcessFunction or a plain `fn(value, ctx)`; to test an
    operator of the engine, an Operator or a callable without parameters that makes one. With
    `key_by` (a selector) the operator has keyed state and timers, on the store named by `backend`.
    A function that changes a record it was given or has yielded fails the next call.

    >>> def shout(value, ctx):
    ...     yield value.upper()
    >>> harness = OperatorHarness(shout)
    >>> harness.send("ho", 1_000); harness.output_with_timestamps()
    [at(1000, 'HO')]
    """

    def __init__(
        self,
        function: Any,
        key_by: Selector | None = None,
        *,
        backend: str = "heap",
        firing_budget: int = 4_096,
    ) -> None:
        self.clock = ManualClock()
        self.metrics = MetricGroup()
        self._create = operator_factory(function, is_keyed=key_by is not None)
        self._key_of = None if key_by is None else compile_selector(key_by)
        self._backend = backend
        self._firing_budget = firing_budget
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._attempt = -1
        self._out = Output()
        self._main: list[Step] = []
        self._side: dict[str, list[At]] = defaultdict(list)
        self._watermark_ms = MIN_TIMESTAMP
        self._operator = self._create()
        self._start(HarnessSnapshot((), (), (), 0))

    def send(self, value: Any, timestamp: int | None = None) -> None:
        """One record, as a batch of its own."""
        self.send_batch([value], None if timestamp is None else [timestamp])

    def send_batch(self, values: Sequence[Any], timestamps: Sequence[int] | None = None) -> None:
        """Several records at once."""
        given = [self._watch.given(value) for value in values]
        stamps = None if timestamps is None else list(timestamps)
        keys = None if self._key_of is None else [canonical_key(self._key_of(v)) for v in given]
        self._operator.process_batch(0, RowBatch(given, stamps, keys), self._out)
        self._after_call()

    def send_columns(
        self, records: pa.RecordBatch, timestamps: Sequence[int] | None = None
    ) -> None:
        """Several records at once, as columns if the operator takes those."""
        import numpy as np

        from streamlet.state.key_index import keys_array

        stamps = None if timestamps is None else np.array(timestamps, np.int64)
        columns = ColumnBatch(records, stamps)
        if not self._operator.takes_columns:
            rows = to_rows(columns)
            self.send_batch(rows.values, rows.timestamps)
            return
        if self._key_of is not None:
            keys = [canonical_key(self._key_of(value)) for value in to_rows(columns).values]
            distinct = list(dict.fromkeys(keys))
            codes = np.array(list(map(distinct.index, keys)), np.int64)
            columns.keys = KeyColumn(codes, keys_array(distinct))
        self._operator.process_batch(0, columns, self._out)
        self._after_call()

    def watermark(self, watermark_ms: int) -> None:
        """Event time moves on; a watermark that is not later than the last one is ignored."""
        if watermark_ms <= self._watermark_ms:
            return
        self._watermark_ms = watermark_ms
        while not self._operator.advance_watermark(watermark_ms, self._firing_budget, self._out):
            self._take_output()  # state is settled between elements, never within a firing
        self._after_call()

    def status(self, is_idle: bool) -> None:
        """The input goes idle, or is active again."""
        self._operator.on_status(is_idle, self._out)
        self._after_call()

    def advance_processing_time(self, duration: Duration) -> None:
        """The clock moves on; then what is due by it fires, timers of this very moment too."""
        self.clock.advance(duration)
        operator, now_ms = self._operator, self.clock.now_ms()
        while (due_ms := operator.next_processing_time()) is not None and due_ms <= now_ms:
            operator.advance_processing_time(now_ms, self._firing_budget, self._out)
            self._after_call()

    def finish(self) -> None:
        """The input ends: the watermark MAX, then the operator's last word."""
        self.watermark(MAX_TIMESTAMP)
        self._operator.finish(self._out)
        self._after_call()

    def output(self) -> list[Any]:
        """The records of the main output since the last call of any `output` method."""
        return [record.value for record in self.output_with_timestamps()]

    def output_with_timestamps(self) -> list[At]:
        """As `output`, comparable with `at(timestamp, value)`."""
        return [step for step in self.output_with_watermarks() if isinstance(step, At)]

    def output_with_watermarks(self) -> list[Step]:
        """As `output_with_timestamps`, with the watermarks and statuses in between."""
        steps, self._main = self._main, []
        return steps

    def side_output(self, tag: OutputTag[Any]) -> list[Any]:
        """The records of that side output since the last call for it."""
        return [record.value for record in self.side_output_with_timestamps(tag)]

    def side_output_with_timestamps(self, tag: OutputTag[Any]) -> list[At]:
        """As `side_output`, comparable with `at(timestamp, value)`."""
        return self._side.pop(tag.id, [])

    def side_outputs(self) -> dict[str, list[At]]:
        """All side outputs not taken yet, by tag id."""
        side, self._side = self._side, defaultdict(list)
        return dict(side)

    def snapshot(self, *, is_complete: bool = True) -> HarnessSnapshot:
        """Takes a checkpoint, and tells the operator that it is complete unless told not to."""
        operator, checkpoint_id = self._operator, self._checkpoint_id
        self._checkpoint_id += 1
        operator.prepare_barrier(checkpoint_id, self._out)
        frozen = operator.snapshot(checkpoint_id)
        self._write_state()
        if frozen.sync is not None:
            frozen.sync()
        if is_complete:
            operator.on_checkpoint_complete(checkpoint_id)
        self._after_call()
        return HarnessSnapshot(
            tuple(self._rows),
            tuple(decode(encode(frozen.operator_state))),
            tuple(decode(encode(frozen.committables))),
            checkpoint_id,
        )

    def restore(self, snapshot: HarnessSnapshot) -> None:
        """Starts anew from the snapshot, of this harness or another, on whatever store.

        As after a failure: the operator is a new one, and the watermark is unknown until
        `watermark` is called (WM-54). The clock goes on, and outputs not yet taken stay.
        """
        self._stop()
        self._start(snapshot)

    def state_size(self) -> int:
        """How many entries of state there are, over all keys, timers included."""
        return 0 if self._log is None else self._log.size()

    def close(self) -> None:
        """Closes the operator and its state. May be called twice."""
        self._stop()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> OperatorHarness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self, snapshot: HarnessSnapshot) -> None:
        self._attempt += 1
        self._is_open = True
        self._watermark_ms = MIN_TIMESTAMP
        self._checkpoint_id = snapshot.checkpoint_id + 1
        self._rows = list(snapshot.rows)
        self._watch = RecordWatch()
        self._log = None if self._key_of is None else self._open_log()
        if self._attempt:
            self._operator = self._create()
        try:
            self._operator.open(self._context(snapshot))
        except BaseException:
            self.close()
            raise

    def _stop(self) -> None:
        if self._is_open:
            self._is_open = False
            self._operator.close()
            if self._log is not None:
                self._log.close()

    def _open_log(self) -> StateLog:
        if self._backend == "rocksdb" and self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="streamlet-harness-")
        work = None if self._directory is None else Path(self._directory.name, str(self._attempt))
        store = open_store(self._backend, work, _MEMORY_BYTES)
        log = StateLog(store, range(MAX_PARALLELISM), MAX_PARALLELISM, "in the harness")
        log.restore(self._rows)
        return log

    def _context(self, snapshot: HarnessSnapshot) -> OperatorContext:
        return OperatorContext(
            uid="harness",
            name="harness",
            subtask_index=0,
            parallelism=1,
            max_parallelism=MAX_PARALLELISM,
            attempt=self._attempt,
            run_id="harness",
            clock=self.clock,
            metrics=self.metrics,
            next_checkpoint_id=self._checkpoint_id,
            keyed_state=self._log,
            restored=snapshot.operator_state,
        )

    def _write_state(self) -> None:
        if self._log is not None:
            generation = self._log.freeze()
            self._rows += self._log.write(generation)
            self._log.retire(generation)

    def _after_call(self) -> None:
        self._take_output()
        if self._log is not None:
            self._log.settle()

    def _take_output(self) -> None:
        for element in self._out.take():
            if isinstance(element, RowBatch | ColumnBatch):
                self._main += self._taken(element)
            elif isinstance(element, SideBatch):
                self._side[element.tag_id] += self._taken(element.batch)
            elif isinstance(element, Watermark | StreamStatus):
                self._main.append(element)
        self._watch.check()

    def _taken(self, batch: Batch) -> list[At]:
        return [
            At(record.timestamp, self._watch.yielded(record.value))
            for record in records_of(to_rows(batch))
        ]
