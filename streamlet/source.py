"""What a source of records must offer.

A source is a set of splits. An enumerator (one per job, with the coordinator) finds them; readers
(one per open split) read them. A split is named by a string and is read from a position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Union

from streamlet.elements import OutputTag, RowBatch, StreamStatus, Watermark
from streamlet.errors import FatalError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

Polled: TypeAlias = Union[list[T], "pa.RecordBatch", RowBatch, Watermark, StreamStatus, None]
"""What one poll gives; a RecordBatch stands for a list of dicts."""


class PartitionReader(ABC, Generic[T]):
    """Reads one split. Called by one thread at a time."""

    @abstractmethod
    def poll(self, max_records: int) -> Polled[T]:
        """Up to `max_records` next records; empty: nothing yet; None: the split is at its end.

        Must return soon unless the source says `blocking`. Raises what the system raises;
        TransientError restarts the job, FatalError stops it. A source that brings its own event
        time gives a RowBatch with timestamps, or a Watermark or StreamStatus between batches.
        """

    @abstractmethod
    def position(self) -> Any:
        """Where to go on after the records polled so far; asked right after each poll.

        Any value that state can keep: a number, a string, bytes, or tuples, lists, dicts of them.
        """

    def dead_letters(self) -> list[Any]:
        """What the last poll could not read; goes to the source's `dead_letter_tag`."""
        return []

    def close(self) -> None:
        """Gives back what the reader holds. Called once, on every way out."""


class SplitEnumerator(ABC):
    """Finds the splits of a source. One per job; the engine remembers which were handed out."""

    discovery_interval_ms: int | None = None
    """How often `discover` is asked again while the job runs; None: only at the start."""

    on_demand: bool = False
    """True: a reader gets its next split when it has finished the one before (files).
    False: all splits are spread over the readers at once and read side by side (partitions)."""

    @abstractmethod
    def discover(self) -> Sequence[str]:
        """Splits not reported before, in the order in which to hand them out. May block."""

    def snapshot(self) -> Any:
        """What the enumerator must remember; any value that state can keep."""
        return None

    def restore(self, state: Any) -> None:
        """Called before the first `discover` with what `snapshot` gave."""


class Source(ABC, Generic[T]):
    """A source whose splits may appear while the job runs."""

    bounded: bool = False
    """Whether it ends: when there are no more splits and every split is at its end."""

    blocking: bool = False
    """Whether `poll` may block: then each reader gets a thread of its own."""

    dead_letter_tag: OutputTag[Any] | None = None
    """The side output for records that cannot be read, where the source offers one."""

    name: str = "source"
    """How the operator is called unless the pipeline names it."""

    rows_because: str | None = "its reader gives Python objects"
    """Why its records cannot stay columns, for the plan; None: `poll` gives RecordBatches."""

    make_records: Callable[[Sequence[str], Sequence[list[Any]]], list[Any]] | None = None
    """What Python code sees of the RecordBatches that `poll` gives; None: dicts. It is given the
    names of the columns and, as lists, their values."""

    @abstractmethod
    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        """Called once per attempt; `parallelism` is the number of readers."""

    @abstractmethod
    def open_split(self, split: str, position: Any | None) -> PartitionReader[T]:
        """A reader of the split from `position` (None: from its beginning)."""


class PartitionedSource(Source[T]):
    """A source whose partitions are known when the job starts."""

    name = "partitioned source"

    @abstractmethod
    def list_partitions(self) -> list[str]:
        """All partitions. May block."""

    @abstractmethod
    def open_partition(self, name: str, position: Any | None) -> PartitionReader[T]:
        """A reader of the partition from `position` (None: from its beginning)."""

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return _PartitionEnumerator(self)

    def open_split(self, split: str, position: Any | None) -> PartitionReader[T]:
        return self.open_partition(split, position)


class _PartitionEnumerator(SplitEnumerator):
    """Reports each partition once; one that appears between two runs is read from its start."""

    def __init__(self, source: PartitionedSource[Any]) -> None:
        self._source = source
        self._known: set[str] = set()

    def discover(self) -> Sequence[str]:
        names = list(self._source.list_partitions())
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise FatalError(
                f"list_partitions() of {self._source.name!r} names {twice[0]!r} twice; a partition "
                "is read by one reader, so each needs a name of its own"
            )
        new = [name for name in names if name not in self._known]
        self._known.update(new)
        return new

    def snapshot(self) -> Any:
        return sorted(self._known)

    def restore(self, state: Any) -> None:
        self._known = set(state)
