"""Several subtasks of sliced windows that can be restored and rescaled, and a model of them."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from streamlet.aggregates import NamedAggregates, count
from streamlet.aggregates import sum as total
from streamlet.checkpoint.operator_state import deal
from streamlet.columns import to_rows
from streamlet.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    ColumnBatch,
    KeyColumn,
    RowBatch,
    SideBatch,
)
from streamlet.eventtime.windows import CumulativeEventTimeWindows, SlidingEventTimeWindows
from streamlet.metrics import MetricGroup
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.operator import OperatorContext, Output
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.state.codec import decode, encode
from streamlet.state.key_index import keys_array
from streamlet.state.keys import key_group, key_group_range, subtask_of
from streamlet.state.log import StateLog, open_store
from streamlet.testing.clock import ManualClock

GROUPS = 8
Assigner: TypeAlias = SlidingEventTimeWindows | CumulativeEventTimeWindows
Fired: TypeAlias = tuple[str, int, int, int, int]
"""key, start, end, number of records, their sum"""


@dataclass(slots=True)
class _Subtask:
    operator: SlicedWindowOperator
    log: StateLog
    watermark_ms: int = MIN_TIMESTAMP


@dataclass(frozen=True, slots=True)
class Snapshot:
    rows: list[Any]
    operator_state: list[Any]
    parallelism: int


class Subtasks:
    """The operator, deployed with whatever parallelism a restore asks for."""

    def __init__(self, assigner: Assigner, backend: str, directory: Path) -> None:
        self._assigner = assigner
        self._backend = backend
        self._directory = directory
        self._attempt = 0
        self._subtasks: list[_Subtask] = []
        self._rows: list[Any] = []
        self.fired: list[Fired] = []
        self.late: list[tuple[str, int]] = []
        self.restore(Snapshot([], [], 1), 1)

    def restore(self, snapshot: Snapshot, parallelism: int) -> None:
        self.close()
        self._attempt += 1
        self._rows = list(snapshot.rows)
        shares = deal(snapshot.operator_state, snapshot.parallelism, parallelism)
        self._subtasks = [self._start(n, parallelism, shares[n]) for n in range(parallelism)]

    def snapshot(self) -> Snapshot:
        operator_state: list[Any] = []
        for subtask in self._subtasks:
            operator_state += decode(encode(subtask.operator.snapshot(1).operator_state))
            generation = subtask.log.freeze()
            self._rows += subtask.log.write(generation)
            subtask.log.retire(generation)
        return Snapshot(list(self._rows), operator_state, len(self._subtasks))

    def send(self, records: list[tuple[str, int]], *, as_columns: bool = False) -> None:
        """Each record is (key, timestamp), and its value is the timestamp."""
        shares: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for key, time in records:
            shares[subtask_of(key_group(key, GROUPS), len(self._subtasks), GROUPS)].append(
                (key, time)
            )
        for n, share in shares.items():
            keys, times = [key for key, _ in share], [time for _, time in share]
            rows = RowBatch([{"key": k, "value": t} for k, t in share], times, keys)
            out = Output()
            batch = self._columns(rows, keys) if as_columns else rows
            self._subtasks[n].operator.process_batch(0, batch, out)
            self._take(n, out)

    def _columns(self, rows: RowBatch, keys: list[str]) -> ColumnBatch:
        distinct = sorted(set(keys))
        codes = np.array(list(map(distinct.index, keys)))
        records, times = pa.RecordBatch.from_pylist(rows.values), np.array(rows.timestamps)
        return ColumnBatch(records, times, KeyColumn(codes, keys_array(distinct)))

    def watermark(self, watermark_ms: int, which: int) -> None:
        """One subtask hears of a watermark, if it has not come further."""
        n = which % len(self._subtasks)
        subtask, out = self._subtasks[n], Output()
        if watermark_ms > subtask.watermark_ms:
            subtask.watermark_ms = watermark_ms
            while not subtask.operator.advance_watermark(watermark_ms, 2, out):
                self._take(n, out)
            self._take(n, out)

    def state_size(self) -> int:
        return sum(subtask.log.size() for subtask in self._subtasks)

    def close(self) -> None:
        for subtask in self._subtasks:
            subtask.operator.close()
            subtask.log.close()
        self._subtasks = []

    def _start(self, n: int, parallelism: int, share: list[Any]) -> _Subtask:
        work = self._directory / f"{self._attempt}-{n}" if self._backend == "rocksdb" else None
        log = StateLog(
            open_store(self._backend, work, 1 << 20),
            key_group_range(n, parallelism, GROUPS),
            GROUPS,
        )
        log.restore(self._rows)
        named = NamedAggregates({"records": count(), "total": total("value")})
        slice_ms = self._assigner.slice_ms
        assert slice_ms is not None
        contents = AggContents(named, ("key",))
        operator = SlicedWindowOperator(self._assigner, slice_ms, contents, "late")
        operator.open(
            OperatorContext(
                uid="w",
                name="w",
                subtask_index=n,
                parallelism=parallelism,
                max_parallelism=GROUPS,
                attempt=self._attempt,
                run_id="r",
                clock=ManualClock(),
                metrics=MetricGroup(),
                keyed_state=log,
                restored=share,
            )
        )
        return _Subtask(operator, log)

    def _take(self, n: int, out: Output) -> None:
        for element in out.take():
            if isinstance(element, RowBatch | ColumnBatch):
                self.fired += [tuple(row.values()) for row in to_rows(element).values]
            elif isinstance(element, SideBatch):
                self.late += [tuple(row.values()) for row in to_rows(element.batch).values]
        self._subtasks[n].log.settle()


@dataclass
class SlicedModel:
    """Each key by itself: all its records, and the time up to which its windows have fired."""

    assigner: Assigner
    taken: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    fired_ms: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: MIN_TIMESTAMP))
    fired: list[Fired] = field(default_factory=list)
    late: list[tuple[str, int]] = field(default_factory=list)

    def send(self, records: list[tuple[str, int]]) -> None:
        for key, time in records:
            last_end = max_end(self.assigner, time)
            if last_end - 1 <= self.fired_ms[key]:
                self.late.append((key, time))
            else:
                self.taken[key].append(time)

    def watermark(self, watermark_ms: int, which: int, parallelism: int) -> None:
        n = which % parallelism
        keys = [k for k in "abcdef" if subtask_of(key_group(k, GROUPS), parallelism, GROUPS) == n]
        fired = [fired for key in keys for fired in self._windows(key, watermark_ms)]
        self.fired += sorted(fired, key=lambda result: (result[2], result[1], result[0]))
        for key in keys:
            self.fired_ms[key] = max(self.fired_ms[key], watermark_ms)

    def forget_the_end(self) -> None:
        """A restore after the end of event time begins at no time."""
        for key, fired_ms in self.fired_ms.items():
            if fired_ms == MAX_TIMESTAMP:
                self.fired_ms[key] = MIN_TIMESTAMP
                self.taken[key] = []

    def copy(self) -> SlicedModel:
        return copy.deepcopy(self)

    def _windows(self, key: str, watermark_ms: int) -> list[Fired]:
        sums: Counter[tuple[int, int]] = Counter()
        counts: Counter[tuple[int, int]] = Counter()
        for time in self.taken[key]:
            for window in self.assigner.assign_windows(None, time):
                counts[window.start, window.end] += 1
                sums[window.start, window.end] += time
        return [
            (key, *span, counts[span], sums[span])
            for span in counts
            if self.fired_ms[key] < span[1] - 1 <= watermark_ms
        ]


def max_end(assigner: Assigner, time: int) -> int:
    return max(window.end for window in assigner.assign_windows(None, time))
