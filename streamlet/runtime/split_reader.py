"""One open split of a source: polls its reader, in a thread of its own if the reader may block."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from streamlet.elements import Batch, ColumnBatch, RowBatch, StreamStatus, Watermark
from streamlet.errors import FatalError, note_place
from streamlet.source import PartitionReader, Source


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll gave, and where the reader stood right after it."""

    content: Batch | Watermark | StreamStatus | None
    """None: the split is at its end."""
    position: Any
    dead_letters: list[Any]

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing yet."""
        content = self.content
        is_batch = isinstance(content, RowBatch | ColumnBatch)
        return is_batch and not content and not self.dead_letters


class SplitReader:
    """A reader, and the position after the last batch that was emitted."""

    def __init__(self, source: Source[Any], split: str, position: Any, place: str) -> None:
        self.split = split
        self.position = position
        self._place = f"{place}, split {split!r}"
        self._source = source
        with_place = self._with_place
        self._reader: PartitionReader[Any] = with_place(lambda: source.open_split(split, position))

    @property
    def is_reading(self) -> bool:
        """Whether a poll is under way that will wake the task."""
        return False

    def take(self, max_records: int) -> Polled | None:
        """What the next poll gives; None: it is still under way."""
        return self._poll(max_records)

    def confirm(self, polled: Polled) -> None:
        """What was taken has been emitted."""
        self.position = polled.position

    def note(self, error: BaseException) -> None:
        """Says which split the error came from."""
        note_place(error, self._place)

    async def join(self) -> None:
        """Waits for a poll that is still under way."""

    def close(self) -> None:
        """Closes the reader. Called once."""
        self._reader.close()

    def _poll(self, max_records: int) -> Polled:
        polled: Polled = self._with_place(lambda: self._poll_reader(max_records))
        return polled

    def _poll_reader(self, max_records: int) -> Polled:
        reader = self._reader
        polled = reader.poll(max_records)
        position = self.position if polled is None else reader.position()
        return Polled(self._content(polled), position, reader.dead_letters())

    def _content(self, polled: Any) -> Batch | Watermark | StreamStatus | None:
        if polled is None or isinstance(polled, RowBatch | Watermark | StreamStatus):
            return polled
        if isinstance(polled, list):
            return RowBatch(polled)
        if _is_record_batch(polled):
            return ColumnBatch(polled, make=self._source.make_records)
        raise FatalError(
            f"poll() gave a {type(polled).__name__}; expected a list of records (empty: nothing "
            "yet), a pyarrow RecordBatch, or None at the end"
        )

    def _with_place(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            self.note(error)
            raise


class ThreadedSplitReader(SplitReader):
    """Polls ahead in its own thread: one poll runs while the one before is processed."""

    def __init__(
        self,
        source: Source[Any],
        split: str,
        position: Any,
        place: str,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(source, split, position, place)
        self._wake = wake
        self._executor = ThreadPoolExecutor(1, f"read {split}")
        self._running: asyncio.Future[Polled] | None = None

    @property
    def is_reading(self) -> bool:
        return self._running is not None

    def take(self, max_records: int) -> Polled | None:
        if self._running is None:
            self._start(max_records)
            return None
        if not self._running.done():
            return None
        polled = self._running.result()
        if polled.content is not None and not polled.is_empty:
            self._start(max_records)
        else:
            self._running = None
        return polled

    async def join(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running])

    def close(self) -> None:
        """Joins the thread first: the reader is called by one thread at a time."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._running is not None and self._running.done() and not self._running.cancelled():
            self._running.exception()  # a failure nobody took any more is no surprise
        super().close()

    def _start(self, max_records: int) -> None:
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._executor, self._poll, max_records)
        self._running.add_done_callback(lambda _: self._wake())


def open_reader(
    source: Source[Any], split: str, position: Any, place: str, wake: Callable[[], None]
) -> SplitReader:
    """The reader of one split."""
    if source.blocking:
        return ThreadedSplitReader(source, split, position, place, wake)
    return SplitReader(source, split, position, place)


def _is_record_batch(polled: Any) -> bool:
    """Nobody can have one without pyarrow, whose import is slow."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(polled, pyarrow.RecordBatch)
