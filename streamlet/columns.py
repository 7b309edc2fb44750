"""What is done to batches of Arrow columns: to rows and back, and their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamlet.elements import Batch, ColumnBatch, RowBatch
from streamlet.errors import RecordError
from streamlet.row_builder import row_builder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Codes: TypeAlias = npt.NDArray[np.integer[Any]]
    """Per row the position of its value among the distinct ones."""

_PLAIN: Final = frozenset({bool, int, float, str, bytes})


def to_rows(batch: Batch) -> RowBatch:
    """The same records as Python objects, dicts where they were columns, in the same order."""
    if isinstance(batch, RowBatch):
        return batch
    keys, names = batch.keys, batch.records.schema.names
    columns = [values_of(column) for column in batch.records.columns]
    return RowBatch(
        (batch.make or rows_of)(names, columns) if names else [{} for _ in range(len(batch))],
        _timestamps_of(batch, columns),
        None if keys is None else keys.distinct[keys.codes].tolist(),
    )


def _timestamps_of(batch: ColumnBatch, columns: Sequence[list[Any]]) -> list[int] | None:
    """As Python ints: those of the column that they are, if they are one, as that saves making
    them twice."""
    import pyarrow as pa

    if batch.timestamps is None:
        return None
    place, width = batch.timestamps.__array_interface__, batch.timestamps.itemsize
    address, is_dense = place["data"][0], place["strides"] is None and len(batch) > 0
    for column, values in zip(batch.records.columns, columns, strict=True):
        is_whole = is_dense and pa.types.is_int64(column.type) and not column.null_count
        if is_whole and column.buffers()[1].address + column.offset * width == address:
            return values
    timestamps: list[int] = batch.timestamps.tolist()
    return timestamps


def records_of(columns: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """The rows of columns as dicts."""
    names = columns.schema.names
    if not names:
        return [{} for _ in range(columns.num_rows)]
    return rows_of(names, [values_of(column) for column in columns.columns])


def rows_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of Python values as dicts."""
    return row_builder(names)(*columns)


def values_of(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The column as Python values; numbers by the short way, which gives the same."""
    import pyarrow as pa

    kind = column.type
    if column.null_count == 0 and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        numbers: list[Any] = numbers_of(column).tolist()
        return numbers
    values: list[Any] = in_microseconds(column).to_pylist()
    return values


def numbers_of(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of numbers without nulls as numpy has it."""
    import pyarrow as pa

    is_chunked = isinstance(column, pa.ChunkedArray)
    numbers: npt.NDArray[Any] = (
        column.to_numpy() if is_chunked else column.to_numpy(zero_copy_only=False)
    )
    return numbers


def in_microseconds(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column with its nanoseconds, which datetime lacks, cut to microseconds at any depth."""
    kind = _without_nanoseconds(column.type)
    return column if kind == column.type else column.cast(kind, safe=False)


def _without_nanoseconds(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if getattr(kind, "unit", None) == "ns":
        if pa.types.is_timestamp(kind):
            return pa.timestamp("us", kind.tz)
        return pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
    if pa.types.is_dictionary(kind):
        value_type = _without_nanoseconds(kind.value_type)
        return kind if value_type == kind.value_type else value_type
    return _nested_without_nanoseconds(kind)


def _nested_without_nanoseconds(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    def cut(field: pa.Field) -> pa.Field:
        return field.with_type(_without_nanoseconds(field.type))

    if pa.types.is_struct(kind):
        return pa.struct([cut(field) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(cut(kind.key_field), cut(kind.item_field), kind.keys_sorted)
    if pa.types.is_list(kind):
        return pa.list_(cut(kind.value_field))
    if pa.types.is_large_list(kind):
        return pa.large_list(cut(kind.value_field))
    return kind


def dicts_of(records: Sequence[Any], place: str) -> Sequence[dict[str, Any]]:
    """Records that can become columns: dicts, and NamedTuples as dicts; RecordError for others."""
    if set(map(type, records)) == {dict} and all(records):
        return records
    return [_dict_of(record, place) for record in records]


def _dict_of(record: Any, place: str) -> dict[str, Any]:
    fields = record if isinstance(record, dict) else getattr(record, "_asdict", dict)()
    if not fields:
        raise RecordError(
            f"{place} works on columns, and only dicts with fields and NamedTuples can become "
            f"columns; it got {record!r:.80} of type {type(record).__name__}. Make dicts of the "
            "records before it, with map(), or give it a Python function"
        )
    return fields


def uniform_parts(records: Sequence[dict[str, Any]]) -> Iterator[slice]:
    """Cuts records wherever a field comes, goes or changes its type, None apart.

    Arrow makes one type of several, floats of ints or texts of bytes, and a null of what is not
    there; then what becomes of a record would depend on those it shares a batch with.
    """
    columns = _columns_of(records)
    mixed = [name for name, values in columns.items() if len(_shapes(values)) > 1]
    has_gaps = any(len(record) < len(columns) for record in records)
    start, seen = 0, dict[str, Any]()
    for position, record in enumerate(records if mixed or has_gaps else ()):
        shapes = {name: _shape(value) for name in mixed if (value := record.get(name)) is not None}
        if records[start].keys() != record.keys() or any(
            seen.get(name, shape) != shape for name, shape in shapes.items()
        ):
            yield slice(start, position)
            start, seen = position, {}
        seen |= shapes
    if records:
        yield slice(start, len(records))


def _columns_of(records: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """The values of each field, None where a record lacks it."""
    names = list(next(iter(records), {}))
    if set(map(type, records)) == {dict} and set(map(len, records)) == {len(names)}:
        with suppress(KeyError):  # the same number of fields, and none lacks one: they are the same
            return {name: list(map(itemgetter(name), records)) for name in names}
    names = list(dict.fromkeys(name for record in records for name in record))
    return {name: [record.get(name) for record in records] for name in names}


def _shapes(values: Sequence[Any]) -> set[Any]:
    kinds: set[Any] = set(map(type, values)) - {type(None)}
    return kinds if kinds <= _PLAIN else {_shape(value) for value in values if value is not None}


def _shape(value: Any) -> Any:
    """Values of one shape have one Arrow type, whatever they are."""
    if isinstance(value, datetime):
        return datetime, value.tzinfo is None
    if isinstance(value, dict):
        return tuple((name, _shape(part)) for name, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return list, frozenset(map(_shape, value))
    return type(value)


def to_columns(records: Sequence[dict[str, Any]], place: str) -> pa.RecordBatch:
    """Dicts as columns, with the types that Arrow sees in them; RecordError if it sees none."""
    import pyarrow as pa

    columns = _columns_of(records)
    arrays = []
    for name, values in columns.items():
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise RecordError(
                f"{place} works on columns, and Arrow has no column for the field {name!r}: "
                f"{error}\n  Leave the field out or convert it before, with map()"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, list(columns))


def encode_fields(records: pa.RecordBatch, names: Sequence[str]) -> tuple[Codes, npt.NDArray[Any]]:
    """The values of the fields row by row, as codes, and the distinct ones.

    Those of one field of whole numbers as int64, others as Python's objects: of several fields
    tuples; of none None for every row.
    """
    import numpy as np

    if not names:
        return np.zeros(records.num_rows, np.int64), np.full(1, None)
    codes, dictionary = _encoded(records.column(names[0]))
    if len(names) == 1:
        return codes, _distinct(dictionary)
    tuples = [(value,) for value in values_of(dictionary)]
    for name in names[1:]:
        others, dictionary = _encoded(records.column(name))
        values = values_of(dictionary)
        pairs = codes.astype(np.int64) * max(len(values), 1) + others
        found, codes = np.unique(pairs, return_inverse=True)
        tuples = [
            (*tuples[pair // len(values)], values[pair % len(values)]) for pair in found.tolist()
        ]
    return codes, np.fromiter(tuples, object, len(tuples))


def _distinct(dictionary: pa.Array) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if not dictionary.null_count and pa.types.is_integer(dictionary.type):
        numbers = numbers_of(dictionary)
        if numbers.dtype != np.uint64 or not (numbers >> 63).any():
            return numbers.astype(np.int64)
    values = values_of(dictionary)
    return np.fromiter(values, object, len(values))


def _encoded(column: pa.Array) -> tuple[Codes, pa.Array]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)  # its dictionary may say one value twice
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    return numbers_of(encoded.indices), encoded.dictionary
