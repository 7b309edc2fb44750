"""Event time of records: any selector's values become int epoch milliseconds, or an error."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamlet.columns import in_microseconds, numbers_of, to_rows
from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnBatch, RowBatch
from streamlet.errors import RecordError, note_place
from streamlet.selectors import (
    Selector,
    compile_batch_selector,
    describe_selector,
    show_record,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

TimestampAssigner: TypeAlias = Callable[..., Any] | str | int
"""A selector, or a callable of the record and the timestamp it came with (MIN_TIMESTAMP: none)."""

TimestampExtractor: TypeAlias = Callable[[Sequence[Any], list[int] | None], list[int]]
"""Gives the timestamps of a batch's values; also takes those they came with, or None."""

_UNITS: Final = {"s": (1_000, 1), "ms": (1, 1), "us": (1, 1_000)}
"""Units of Arrow timestamps: what to multiply by, then to divide by, for milliseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST_MS: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def compile_extractor(assigner: TimestampAssigner) -> TimestampExtractor:
    """A function that stamps a batch; it raises RecordError for what is no point in time."""
    if callable(assigner) and _takes_timestamp(assigner):
        return _PairExtractor(assigner)
    return _SelectorExtractor(assigner)


class Stamper:
    """Gives batches the timestamps that an assigner finds in their records."""

    def __init__(self, assigner: TimestampAssigner) -> None:
        self._extract = compile_extractor(assigner)
        self._column = assigner if isinstance(assigner, str) else None

    def stamp(self, batch: Batch) -> Batch:
        """The batch with timestamps; columns stay columns. RecordError for what is no time."""
        if isinstance(batch, RowBatch):
            return RowBatch(batch.values, self._extract(batch.values, batch.timestamps))
        return replace(batch, timestamps=self._column_stamps(batch))

    def _column_stamps(self, batch: ColumnBatch) -> npt.NDArray[np.int64]:
        import numpy as np

        if batch.records.schema.names.count(self._column) == 1:  # of two a dict has the last
            stamps = _milliseconds(batch.records.column(self._column))
            if stamps is not None:
                return stamps
        rows = to_rows(batch)
        return np.array(self._extract(rows.values, rows.timestamps), np.int64)


def _milliseconds(column: pa.Array) -> npt.NDArray[np.int64] | None:
    """A column of ints or instants as epoch ms; None: each must be looked at by itself."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if column.null_count or not len(column):
        return None
    if pa.types.is_signed_integer(kind):
        numbers = numbers_of(column).astype(np.int64, copy=False)
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        in_unit = in_microseconds(column)
        times, parts = _UNITS[in_unit.type.unit]
        numbers = numbers_of(in_unit.cast(pa.int64()))
        least, greatest = int(numbers.min()) * times // parts, int(numbers.max()) * times // parts
        if least < _FIRST_MS or greatest > _LAST_MS:
            return None
        numbers = numbers * times // parts
    else:
        return None
    return numbers if int(numbers.min()) > MIN_TIMESTAMP else None


class _SelectorExtractor:
    """Takes the timestamp out of the record alone."""

    __slots__ = ("_place", "_select")

    def __init__(self, selector: Selector) -> None:
        self._select = compile_batch_selector(selector)
        self._place = describe_selector(selector)

    def __call__(self, values: Sequence[Any], timestamps: list[int] | None = None) -> list[int]:
        return _stamps(self._select(values), values, self._place)


class _PairExtractor:
    """Asks a function of the record and the timestamp it came with."""

    __slots__ = ("_assigner", "_place")

    def __init__(self, assigner: Callable[..., Any]) -> None:
        self._assigner = assigner
        self._place = describe_selector(assigner)

    def __call__(self, values: Sequence[Any], timestamps: list[int] | None = None) -> list[int]:
        came_with = [MIN_TIMESTAMP] * len(values) if timestamps is None else timestamps
        raw: list[Any] = []
        try:
            for value, timestamp in zip(values, came_with, strict=True):
                raw.append(self._assigner(value, timestamp))
        except Exception as error:
            note_place(error, f"in {self._place}, record {show_record(values[len(raw)])}")
            raise
        return _stamps(raw, values, self._place)


def _takes_timestamp(function: Callable[..., Any]) -> bool:
    """Whether the callable must be given two arguments; what cannot be inspected gets one."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed) == 2


def _stamps(raw: list[Any], values: Sequence[Any], place: str) -> list[int]:
    """The selected values as timestamps; `place` says in errors what selected them."""
    if raw and set(map(type, raw)) == {int} and _fits(min(raw)) and _fits(max(raw)):
        return raw
    return [_stamp(item, value, place) for item, value in zip(raw, values, strict=True)]


def _stamp(raw: Any, record: Any, place: str) -> int:
    try:
        timestamp = _to_epoch_ms(raw)
        if _fits(timestamp):
            return timestamp
        problem = "it is outside of what 64 bits hold"
    except _NotATime as error:
        problem = str(error)
    raise RecordError(
        f"cannot stamp the record {show_record(record)}: {place} gave {show_record(raw)} "
        f"({type(raw).__name__}), but {problem}. A timestamp is int epoch milliseconds or an "
        "aware datetime; give with_timestamp_assigner a callable that makes it one"
    )


class _NotATime(Exception):
    """Says in its text why a value is no timestamp."""


def _to_epoch_ms(raw: Any) -> int:
    as_py = getattr(raw, "as_py", None)  # an Arrow scalar
    if as_py is not None:
        raw = as_py()
    if isinstance(raw, datetime):
        return _datetime_ms(raw)
    if raw is None:
        raise _NotATime("a record cannot be without event time here")
    if isinstance(raw, bool):
        raise _NotATime("a bool is no point in time")
    if isinstance(raw, str):
        raise _NotATime("a text is no point in time: say int(text), or parse it with its zone")
    if isinstance(raw, float):
        raise _NotATime("a float may be seconds or milliseconds: say int(seconds * 1000)")
    try:
        return operator.index(raw)  # int, numpy integers
    except TypeError:
        raise _NotATime("that is no point in time") from None


def _datetime_ms(moment: datetime) -> int:
    if moment != moment:  # pandas' missing value, a datetime unlike itself
        raise _NotATime("a record cannot be without event time here")
    if moment.utcoffset() is None:
        raise _NotATime("a datetime without a time zone means another moment on each machine")
    return int((moment - _EPOCH) // _MILLISECOND)


def _fits(timestamp: int) -> bool:
    return MIN_TIMESTAMP < timestamp <= MAX_TIMESTAMP
