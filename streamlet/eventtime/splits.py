"""One watermark out of the splits that a source subtask reads, each with its own generator."""

from __future__ import annotations

from typing import Any, TypeAlias

from streamlet.columns import to_rows
from streamlet.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    Batch,
    ColumnBatch,
    RowBatch,
    StreamStatus,
    Watermark,
)
from streamlet.errors import FatalError, InternalError, note_place
from streamlet.eventtime.combiner import EventTimeElement
from streamlet.eventtime.generators import BatchGenerator, IdlenessTimer, WatermarkGenerator
from streamlet.eventtime.watermarks import WatermarkStrategy
from streamlet.selectors import show_record

Emitted: TypeAlias = Batch | Watermark | StreamStatus
"""What a source subtask sends on, in order."""


class SplitWatermarks:
    """Generates watermarks per split and emits the least over those not idle (WM-30 .. WM-34).

    A restored subtask adds all its splits before the first batch, or the watermark would jump
    ahead of those that come later (WM-34). An assigner in mid-graph is the same with one split.

    While `hold` is True nothing is emitted: set it as long as there are splits that nobody reads
    yet, because a watermark from the others would make their records late.
    """

    __slots__ = ("_final_ms", "_is_idle", "_last_ms", "_splits", "_strategy", "hold")

    def __init__(self, strategy: WatermarkStrategy[Any], hold: bool = False) -> None:
        self.hold = hold
        self._strategy = strategy
        self._splits: dict[str, _Split] = {}
        self._last_ms = MIN_TIMESTAMP
        self._final_ms = MIN_TIMESTAMP  # how far the removed splits had come
        self._is_idle = False

    def add_split(self, split: str) -> None:
        """From now on the combined watermark waits for this split."""
        if split in self._splits:
            raise InternalError(f"split {split!r} was added to a reader that has it already")
        self._splits[split] = _Split(split, self._strategy)

    def remove_split(self, split: str) -> None:
        """The split is at its end or was taken away; the next combine goes on without it (WM-33).

        Its generator is asked once more, for `on_end`.
        """
        removed = self._splits.pop(split)
        removed.generator.on_periodic_emit(removed)
        self._final_ms = max(self._final_ms, removed.watermark_ms)

    def on_batch(self, split: str, batch: Batch) -> list[Emitted]:
        """What to emit for a stamped batch of the split: mostly just the batch.

        A watermark that a generator emits upon a record stands right behind it (WM-3).
        """
        state = self._splits[split]
        if state.idleness is not None and len(batch):
            state.idleness.on_activity()
        if not isinstance(state.generator, BatchGenerator):
            return self._on_events(state, to_rows(batch))
        if len(batch) and batch.timestamps is not None:
            state.generator.on_batch(_newest(batch))
        return [batch]

    def on_watermark(self, split: str, watermark_ms: int) -> list[EventTimeElement]:
        """The source itself brought a watermark for this split."""
        self._splits[split].emit_watermark(watermark_ms)
        return self._combine()

    def on_status(self, split: str, is_idle: bool) -> list[EventTimeElement]:
        """The source itself said whether this split is idle."""
        state = self._splits[split]
        if is_idle:
            state.mark_idle()
        else:
            state.mark_active()
        news = self._combine()
        if news or is_idle or self.hold:
            return news
        return self._status(is_idle=False)

    def on_periodic(self, now_ms: int) -> list[EventTimeElement]:
        """Asks all generators, then combines once (WM-31).

        `now_ms` only measures idleness. It should stand still while the subtask cannot send or
        does not poll, as that is no silence of the splits (WM-22).
        """
        for state in self._splits.values():
            if state.idleness is not None and state.idleness.probe(now_ms):
                state.mark_idle()
            else:
                state.generator.on_periodic_emit(state)
        return self._combine()

    def on_no_splits(self) -> list[EventTimeElement]:
        """The subtask reads nothing for now: others need not wait for it (idle, until it does)."""
        return [] if self.hold or self._splits else self._status(is_idle=True)

    def on_end(self) -> list[EventTimeElement]:
        """All input has come: asks once more, for the last watermark before MAX (WM-6).

        Since no record follows, the furthest split counts. Drops all splits, and ends idleness:
        whoever is idle may not say MAX (WM-11).
        """
        for split in list(self._splits):
            self.remove_split(split)
        return self._emit(self._final_ms) or self._status(is_idle=False)

    def _on_events(self, state: _Split, batch: RowBatch) -> list[Emitted]:
        emitted: list[Emitted] = []
        begin, timestamps = 0, batch.timestamps
        on_event, state.has_news = state.generator.on_event, False
        for index, value in enumerate(batch.values):
            try:
                on_event(value, MIN_TIMESTAMP if timestamps is None else timestamps[index], state)
            except Exception as error:
                note_place(error, f"in {state.place()}, record {show_record(value)}")
                raise
            if state.has_news:
                state.has_news = False
                news = self._combine()
                if news:
                    emitted.append(batch.slice(begin, index + 1))
                    emitted.extend(news)
                    begin = index + 1
        if begin < len(batch):
            emitted.append(batch.slice(begin, len(batch)))
        return emitted

    def _combine(self) -> list[EventTimeElement]:
        if self.hold or not self._splits:
            return []
        waited_for = [s.watermark_ms for s in self._splits.values() if not s.is_idle]
        return self._emit(min(waited_for)) if waited_for else self._status(is_idle=True)

    def _emit(self, watermark_ms: int) -> list[EventTimeElement]:
        """WM-4: never back. WM-21: only a watermark that grows ends idleness, and ACTIVE leads."""
        if watermark_ms <= self._last_ms:
            return []
        self._last_ms = watermark_ms
        return [*self._status(is_idle=False), Watermark(watermark_ms)]

    def _status(self, is_idle: bool) -> list[EventTimeElement]:
        if is_idle == self._is_idle:
            return []
        self._is_idle = is_idle
        return [StreamStatus(is_idle)]


def _newest(batch: Batch) -> int:
    """The greatest timestamp of a stamped batch that is not empty."""
    assert batch.timestamps is not None
    if isinstance(batch, ColumnBatch):
        return int(batch.timestamps.max())
    return max(batch.timestamps)


class _Split:
    """One split: its generator, and what that has said so far (a WatermarkOutput)."""

    __slots__ = ("generator", "has_news", "idleness", "is_idle", "name", "watermark_ms")

    def __init__(self, name: str, strategy: WatermarkStrategy[Any]) -> None:
        timeout_ms = strategy.idle_timeout_ms
        self.name = name
        self.generator: WatermarkGenerator = strategy.create_generator()
        self.idleness = None if timeout_ms is None else IdlenessTimer(timeout_ms)
        self.watermark_ms = MIN_TIMESTAMP
        self.is_idle = False
        self.has_news = False

    def emit_watermark(self, timestamp_ms: int, /) -> None:
        """Also ends idleness (WM-32)."""
        if type(timestamp_ms) is not int or not MIN_TIMESTAMP <= timestamp_ms <= MAX_TIMESTAMP:
            raise FatalError(
                f"emit_watermark needs int epoch milliseconds, got {timestamp_ms!r} "
                f"({type(timestamp_ms).__name__}) from {self.place()}"
            )
        if self.is_idle or timestamp_ms > self.watermark_ms:
            self.has_news = True
        self.is_idle = False
        self.watermark_ms = max(self.watermark_ms, timestamp_ms)

    def mark_idle(self) -> None:
        self.has_news = True
        self.is_idle = True

    def mark_active(self) -> None:
        """Others wait again; idleness of the output ends with the next larger watermark."""
        self.has_news = True
        self.is_idle = False

    def place(self) -> str:
        """How errors name the generator."""
        return f"watermark generator {type(self.generator).__qualname__} of split {self.name!r}"
