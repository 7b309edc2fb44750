"""What travels through channels: batches of records, and the control elements between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias

from typing_extensions import TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MIN_TIMESTAMP: Final = -(2**63)
"""The watermark before any other; as a record's timestamp it means "none"."""

MAX_TIMESTAMP: Final = 2**63 - 1
"""The watermark after the last record of a bounded input."""

T = TypeVar("T", default=Any)


class OutputTag(Generic[T]):
    """Names a side output. Tags are equal by id.

    >>> OutputTag("late") == OutputTag("late")
    True
    """

    __slots__ = ("id", "type")

    def __init__(self, id: str, type: type[T] | None = None) -> None:  # noqa: A002 - api.md names
        if not isinstance(id, str) or not id:
            raise ValueError(f"an OutputTag needs a non-empty string id, got {id!r}")
        self.id = id
        self.type = type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and other.id == self.id

    def __hash__(self) -> int:
        return hash((OutputTag, self.id))

    def __repr__(self) -> str:
        return f"OutputTag({self.id!r})"


@dataclass(slots=True)
class RowBatch:
    """Records as parallel lists, in arrival order.

    `timestamps` (epoch ms) is None when no record of the batch has one; `keys` holds the canonical
    keys after a `key_by`, and None elsewhere. A batch is never changed once it was emitted:
    several consumers may share it.
    """

    values: list[Any]
    timestamps: list[int] | None = None
    keys: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def slice(self, start: int, stop: int) -> RowBatch:
        """The records in [start, stop)."""
        if start == 0 and stop >= len(self.values):
            return self
        return RowBatch(
            self.values[start:stop],
            None if self.timestamps is None else self.timestamps[start:stop],
            None if self.keys is None else self.keys[start:stop],
        )

    def take(self, positions: Sequence[int]) -> RowBatch:
        """The records at these positions, in that order."""
        return RowBatch(
            [self.values[i] for i in positions],
            None if self.timestamps is None else [self.timestamps[i] for i in positions],
            None if self.keys is None else [self.keys[i] for i in positions],
        )


@dataclass(slots=True)
class KeyColumn:
    """The canonical keys of a batch of columns: row i has the key `distinct[codes[i]]`.

    `distinct` is an array of int64, or of Python's objects. No two are equal; some may have no
    row, as slices of a batch share them.
    """

    codes: npt.NDArray[np.integer[Any]]
    distinct: npt.NDArray[Any]


@dataclass(slots=True)
class ColumnBatch:
    """Records as Arrow columns, in arrival order.

    `timestamps` (int64, epoch ms) is None when no record has one; `keys` stands after a `key_by`.
    To Python code each record is what `make` makes of the names of the columns and lists of their
    values, None: a dict of its fields.
    Never changed once it was emitted, as a RowBatch.
    """

    records: pa.RecordBatch
    timestamps: npt.NDArray[np.int64] | None = None
    keys: KeyColumn | None = None
    make: Callable[[Sequence[str], Sequence[list[Any]]], list[Any]] | None = None

    def __len__(self) -> int:
        rows: int = self.records.num_rows
        return rows

    def slice(self, start: int, stop: int) -> ColumnBatch:
        """The records in [start, stop); copies nothing."""
        if start == 0 and stop >= len(self):
            return self
        return self._part(self.records.slice(start, stop - start), slice(start, stop))

    def filter(self, is_kept: npt.NDArray[np.bool_]) -> ColumnBatch:
        """The records for which the mask is true, in their order."""
        import pyarrow as pa

        return self._part(self.records.filter(pa.array(is_kept)), is_kept)

    def _part(self, records: pa.RecordBatch, rows: Any) -> ColumnBatch:
        keys = self.keys
        return ColumnBatch(
            records,
            None if self.timestamps is None else self.timestamps[rows],
            None if keys is None else KeyColumn(keys.codes[rows], keys.distinct),
            self.make,
        )


Batch: TypeAlias = RowBatch | ColumnBatch
"""Records that travel together."""


@dataclass(frozen=True, slots=True)
class SideBatch:
    """A batch for one side output; only consumers of that tag see it."""

    tag_id: str
    batch: Batch


@dataclass(frozen=True, slots=True)
class Watermark:
    """Says: no further record with a timestamp <= `timestamp_ms`."""

    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """Says whether a channel takes part in event time (active) or is silent (idle)."""

    is_idle: bool


@dataclass(frozen=True, slots=True)
class Barrier:
    """Separates the records before checkpoint `checkpoint_id` from those after it."""

    checkpoint_id: int
    savepoint_directory: str | None = None
    """Where a savepoint's files go; None: it is a checkpoint."""
    keeps_state: bool = True
    """False: it only marks the end of input for sinks, in a job without checkpoints."""
    is_last: bool = False
    """True: the job stops at it, and no record follows."""


@dataclass(frozen=True, slots=True)
class CancelBarrier:
    """Says: checkpoint `checkpoint_id` was aborted; do not wait for its barrier."""

    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Says: no record will follow on this channel. Barriers still do."""


Element: TypeAlias = (
    Batch | SideBatch | Watermark | StreamStatus | Barrier | CancelBarrier | EndOfInput
)
