"""What is done to batches of Arrow columns: to rows and back, expressions, keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamlet.elements import Batch, RowBatch
from streamlet.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.compute as pc

    Codes: TypeAlias = npt.NDArray[np.integer[Any]]
    """Per row the position of its value among the distinct ones."""

FIELDS_SHOWN: Final = 12


def to_rows(batch: Batch) -> RowBatch:
    """The same records as Python objects, dicts where they were columns, in the same order."""
    if isinstance(batch, RowBatch):
        return batch
    keys = batch.keys
    return RowBatch(
        records_of(batch.records),
        None if batch.timestamps is None else batch.timestamps.tolist(),
        None if keys is None else list(map(keys.distinct.__getitem__, keys.codes.tolist())),
    )


def records_of(columns: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """The rows of columns as dicts."""
    names = columns.schema.names
    return rows_of(names, [values_of(column) for column in columns.columns])


def rows_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of Python values as dicts."""
    return [dict(zip(names, values)) for values in zip(*columns, strict=True)]  # noqa: B905 - speed


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
    """The column with its nanoseconds, which datetime lacks, cut to microseconds."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def to_columns(records: Sequence[Any], place: str) -> pa.RecordBatch:
    """Dicts as columns, with the types that Arrow sees in them; RecordError if it sees none."""
    import pyarrow as pa

    if not all(isinstance(record, dict) for record in records):
        other = next(record for record in records if not isinstance(record, dict))
        raise RecordError(
            f"{place} works on columns, and only dicts can become columns; it got a "
            f"{type(other).__name__}: {other!r:.80}. Make dicts of the records before it"
        )
    names = list(dict.fromkeys(name for record in records for name in record))
    try:
        arrays = [pa.array([record.get(name) for record in records]) for name in names]
        return pa.RecordBatch.from_arrays(arrays, names)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise RecordError(
            f"{place} works on columns, and these records do not fit into any: {error}. "
            "Each field must have one type in all records"
        ) from error


def evaluate(expressions: Mapping[str, pc.Expression], records: pa.RecordBatch) -> pa.RecordBatch:
    """One column per expression, row by row what it says of the records.

    Raises RecordError when a column is lacking or of a type that the expression cannot take.
    """
    import pyarrow as pa
    from pyarrow import acero

    try:
        steps = [
            acero.Declaration(
                "table_source", acero.TableSourceNodeOptions(pa.Table.from_batches([records]))
            ),
            acero.Declaration(
                "project", acero.ProjectNodeOptions([*expressions.values()], [*expressions])
            ),
        ]
        # On one thread: more would give the rows in any order.
        table = acero.Declaration.from_sequence(steps).to_table(use_threads=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        shown = ", ".join(f"{name} = {expression}" for name, expression in expressions.items())
        raise RecordError(
            f"cannot evaluate {shown:.300}: {str(error).splitlines()[0]}\n"
            f"  columns: {describe_columns(records.schema)}"
        ) from error
    return single_batch(table)


def single_batch(table: pa.Table) -> pa.RecordBatch:
    """All rows of the table in one batch."""
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=table.schema)
    return pa.concat_batches(batches)


def describe_columns(schema: pa.Schema) -> str:
    """How errors name the columns that there are."""
    shown = [f"{field.name}: {field.type}" for field in list(schema)[:FIELDS_SHOWN]]
    rest = len(schema) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def encode_fields(records: pa.RecordBatch, names: Sequence[str]) -> tuple[Codes, list[Any]]:
    """The values of the fields row by row, as codes, and the distinct ones.

    Of several fields tuples; of none None for every row.
    """
    import numpy as np

    if not names:
        return np.zeros(records.num_rows, np.int64), [None]
    codes, distinct = _encoded(records.column(names[0]))
    if len(names) == 1:
        return codes, distinct
    tuples = [(value,) for value in distinct]
    for name in names[1:]:
        others, values = _encoded(records.column(name))
        pairs = codes.astype(np.int64) * max(len(values), 1) + others
        found, codes = np.unique(pairs, return_inverse=True)
        tuples = [
            (*tuples[pair // len(values)], values[pair % len(values)]) for pair in found.tolist()
        ]
    return codes, tuples


def _encoded(column: pa.Array) -> tuple[Codes, list[Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)  # its dictionary may say one value twice
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    return numbers_of(encoded.indices), values_of(encoded.dictionary)
