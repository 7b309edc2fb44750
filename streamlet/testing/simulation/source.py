"""A source that can be read again from any position, slowly enough to meet checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streamlet.elements import RowBatch, StreamStatus, Watermark
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing.script import ScriptedSource

STEP_RECORDS: Final = 3
"""What one poll gives at most: each poll is work in a simulated thread and takes its time."""


class ReplayedSource(PartitionedSource[Any]):
    """Partitions of values, bounded; polled in threads, a few records at a time.

    After the last value `lingering_polls` polls give nothing before the partition is at its end:
    time for timers of processing time, of which none fires after the end of the input.
    """

    bounded = True
    blocking = True
    name = "replayed"

    def __init__(
        self, partitions: Mapping[str, Sequence[Any]], *, lingering_polls: int = 0
    ) -> None:
        self._partitions = {name: list(values) for name, values in partitions.items()}
        self._lingering_polls = lingering_polls

    def list_partitions(self) -> list[str]:
        return sorted(self._partitions)

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        return _Reader(self._partitions[name], position or 0, self._lingering_polls)


class ReplayedScript(ScriptedSource):
    """Scripts of records, watermarks and idleness; polled as a `ReplayedSource` is."""

    blocking = True

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        return _Slowly(super().open_partition(name, position))


class _Reader(PartitionReader[Any]):
    def __init__(self, values: list[Any], start: int, lingering_polls: int) -> None:
        self._values = values
        self._next = start
        self._lingering_polls = lingering_polls

    def poll(self, max_records: int) -> list[Any] | None:
        if self._next >= len(self._values):
            self._lingering_polls -= 1
            return None if self._lingering_polls < 0 else []
        values = self._values[self._next : self._next + min(max_records, STEP_RECORDS)]
        self._next += len(values)
        return values

    def position(self) -> int:
        return self._next


class _Slowly(PartitionReader[Any]):
    """At most so many records a poll."""

    def __init__(self, reader: PartitionReader[Any]) -> None:
        self._reader = reader

    def poll(self, max_records: int) -> RowBatch | Watermark | StreamStatus | None:
        polled: RowBatch | Watermark | StreamStatus | None
        polled = self._reader.poll(min(max_records, STEP_RECORDS))  # type: ignore[assignment]
        return polled

    def position(self) -> Any:
        return self._reader.position()
