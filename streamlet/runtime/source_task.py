"""A task that reads splits: it stamps records, makes watermarks and lets barriers in."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streamlet.clock import monotonic_ms
from streamlet.columns import to_rows
from streamlet.elements import (
    MAX_TIMESTAMP,
    Barrier,
    Batch,
    ColumnBatch,
    Element,
    EndOfInput,
    RowBatch,
    SideBatch,
    StreamStatus,
    Watermark,
)
from streamlet.eventtime.splits import Emitted, SplitWatermarks
from streamlet.operators.operator import OperatorSnapshot
from streamlet.plan import PlannedOperator
from streamlet.runtime.messages import (
    AssignSplits,
    CheckpointAborted,
    NoMoreSplits,
    Split,
    SplitRequest,
    SplitsUnread,
    ToTask,
    TriggerCheckpoint,
)
from streamlet.runtime.split_reader import Polled, SplitReader, open_reader
from streamlet.runtime.task import Stage, Task, TaskParts

_log = logging.getLogger("streamlet.task")


class SourceTask(Task):
    """Reads its splits in turn, one poll each."""

    def __init__(self, planned: PlannedOperator, parts: TaskParts) -> None:
        super().__init__(parts)
        assert planned.source is not None
        assert planned.strategy is not None
        self._planned = planned
        self._source = planned.source
        self._stamper = planned.strategy.stamper()
        self._stamps_columns = planned.strategy.rows_because is None
        self._keeps_columns = planned.gives_columns
        # Held until the coordinator has said whether splits remain that nobody reads yet.
        self._watermarks = SplitWatermarks(planned.strategy, hold=True)
        self._readers: dict[str, SplitReader] = {}
        self._turn: list[SplitReader] = []
        self._has_all_splits = False
        self._next_watermark_ms: int | None = None
        self._since_watermark = 0
        """Records emitted since then."""
        self._next_poll_ms: int | None = None

    def _open(self) -> None:
        super()._open()
        if self.settings.watermark_interval_ms:
            self._schedule_watermark()
        self._tell(SplitRequest(self.task))

    def close(self) -> None:
        for reader in self._readers.values():
            try:
                reader.close()
            except Exception:
                _log.exception("closing a reader of source %r failed", self._planned.name)
        super().close()

    async def join_threads(self) -> None:
        for reader in self._readers.values():
            await reader.join()
        await super().join_threads()

    async def _step(self) -> bool:
        if self._stage is not Stage.RUNNING:
            return False
        if self._is_watermark_due():
            self._schedule_watermark()
            # While this task could not send, it did not poll: that is no silence (WM-22).
            active_ms = monotonic_ms(self.settings.clock) - round(self._blocked_s * 1_000)
            await self._emit(self._watermarks.on_periodic(active_ms))
        if self._has_all_splits and not self._readers:
            await self._end_input()
            return True
        return await self._poll_next()

    def _is_watermark_due(self) -> bool:
        """After an interval, or after so many records that windows would pile up in state:
        at the speed of columns an interval can be minutes of event time."""
        if self._next_watermark_ms is None:
            return False
        if self._since_watermark >= self.settings.batch_sizes.columns:
            return True
        return monotonic_ms(self.settings.clock) >= self._next_watermark_ms

    def _next_step_ms(self) -> int | None:
        if self._stage is not Stage.RUNNING:
            return None
        times = [self._next_watermark_ms, self._next_poll_ms]
        return min((time for time in times if time is not None), default=None)

    async def _poll_next(self) -> bool:
        """Gives each reader a turn until one has something; False: none has."""
        sizes = self.settings.batch_sizes
        self._turn = self._turn or list(self._readers.values())
        for _ in range(len(self._turn)):
            reader = self._turn.pop(0)
            if reader.split not in self._readers:
                continue
            polled = reader.take(sizes.columns if self._keeps_columns else sizes.rows)
            if polled is None:
                continue
            await self._on_polled(reader, polled)
            if not polled.is_empty:
                return True
        self._schedule_poll()
        return False

    async def _on_polled(self, reader: SplitReader, polled: Polled) -> None:
        """Emits what was polled, and only then moves the split's position.

        A barrier is let in between two calls of this, so what it stores is the position after the
        last batch emitted, whatever a thread has read ahead.
        """
        if polled.dead_letters and (tag := self._source.dead_letter_tag) is not None:
            letters = SideBatch(tag.id, RowBatch(polled.dead_letters))
            await self._run_chain(self.chain.emit(0, letters))
        content = polled.content
        if isinstance(content, Watermark):
            await self._emit(self._watermarks.on_watermark(reader.split, content.timestamp_ms))
        elif isinstance(content, StreamStatus):
            await self._emit(self._watermarks.on_status(reader.split, content.is_idle))
        elif content is not None and len(content):
            batch = self._stamped(reader, content)
            self._since_watermark += len(batch)
            emitted = self._watermarks.on_batch(reader.split, batch)
            await self._emit([self._as_kept(reader, element) for element in emitted])
        reader.confirm(polled)
        if content is None:
            self._close_split(reader)

    def _stamped(self, reader: SplitReader, batch: Batch) -> Batch:
        """The batch with timestamps, if the pipeline or the source has any."""
        try:
            if not self._stamps_columns:
                batch = to_rows(batch)
            return batch if self._stamper is None else self._stamper.stamp(batch)
        except Exception as error:
            reader.note(error)
            raise

    def _as_kept(self, reader: SplitReader, element: Emitted) -> Emitted:
        """Columns are stamped and looked at as such, many times quicker, even if rows are made of
        them then."""
        if self._keeps_columns or not isinstance(element, ColumnBatch):
            return element
        try:
            return to_rows(element)
        except Exception as error:
            reader.note(error)
            raise

    def _close_split(self, reader: SplitReader) -> None:
        reader.close()
        del self._readers[reader.split]
        self._watermarks.remove_split(reader.split)
        if not self._readers and not self._has_all_splits:
            self._tell(SplitRequest(self.task))

    async def _emit(self, elements: Sequence[Element]) -> None:
        for element in elements:
            if isinstance(element, RowBatch | ColumnBatch):
                await self._in_slices(element, lambda part: self.chain.emit(0, part))
            else:
                if isinstance(element, Watermark):
                    self.chain.members[0].watermark_ms = element.timestamp_ms
                await self._run_chain(self.chain.emit(0, element))

    async def _end_input(self) -> None:
        """WM-50: the last watermark, MAX, then the end."""
        self._watermarks.hold = False
        await self._emit(self._watermarks.on_end())
        await self._emit([Watermark(MAX_TIMESTAMP), EndOfInput()])
        self._end()

    async def _on_message(self, message: ToTask) -> None:
        if isinstance(message, AssignSplits):
            for split in message.splits:
                self._open_split(split)
        elif isinstance(message, SplitsUnread):
            await self._on_unread(message.has_unread)
        elif isinstance(message, NoMoreSplits):
            self._has_all_splits = True
        elif isinstance(message, TriggerCheckpoint):
            await self._on_trigger(message)
        elif isinstance(message, CheckpointAborted):
            await self._cancel_barrier(message.checkpoint_id)
            await super()._on_message(message)
        else:
            await super()._on_message(message)

    async def _on_unread(self, has_unread: bool) -> None:
        self._watermarks.hold = has_unread
        if not has_unread and not self._readers and not self._has_all_splits:
            # Without a split there is nothing to wait for: do not hold back the others.
            await self._emit(self._watermarks.on_no_splits())

    async def _on_trigger(self, trigger: TriggerCheckpoint) -> None:
        if trigger.is_drain and self._stage is Stage.RUNNING:
            await self._end_input()
        directory = str(trigger.directory) if trigger.kind.is_savepoint else None
        is_last = trigger.kind.ends_job
        await self._checkpoint(
            Barrier(trigger.checkpoint_id, directory, trigger.keeps_state, is_last)
        )

    def _snapshot_operators(self, checkpoint_id: int) -> dict[str, OperatorSnapshot]:
        positions = [(reader.split, reader.position) for reader in self._readers.values()]
        return {
            self._planned.uid: OperatorSnapshot(operator_state=list(positions)),
            **super()._snapshot_operators(checkpoint_id),
        }

    def _open_split(self, split: Split) -> None:
        name, position = split
        place = f"in source {self._planned.name!r}"
        self._readers[name] = open_reader(self._source, name, position, place, self.wake)
        self._watermarks.add_split(name)

    def _schedule_watermark(self) -> None:
        self._since_watermark = 0
        now_ms = monotonic_ms(self.settings.clock)
        self._next_watermark_ms = now_ms + self.settings.watermark_interval_ms

    def _schedule_poll(self) -> None:
        """A reader that had nothing cannot say when there is more: it is asked again soon."""
        is_polled = any(not reader.is_reading for reader in self._readers.values())
        self._next_poll_ms = (
            monotonic_ms(self.settings.clock) + self.settings.buffer_timeout_ms
            if is_polled
            else None
        )
