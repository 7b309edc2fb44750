"""Evaluates pyarrow expressions over the columns of a batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from streamlet.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

_FIELDS_SHOWN: Final = 12

_NO_FIELD: Final = re.compile(r"No match for FieldRef\.Name\((.*)\) in ")
"""How Arrow says that an expression names a field which is not there."""


def evaluate(expressions: Mapping[str, pc.Expression], records: pa.RecordBatch) -> pa.RecordBatch:
    """One column per expression, row by row what it says of the records.

    Raises RecordError when a field is lacking or of a type that an expression cannot take.
    """
    import pyarrow as pa

    try:
        return _projected(expressions, records)
    except _problems():
        # Nulls of no type may have to be of another type for each.
        columns = [_evaluate_one(name, each, records) for name, each in expressions.items()]
        return pa.RecordBatch.from_arrays(columns, list(expressions))


def describe_fields(schema: pa.Schema) -> str:
    """How errors name the fields that there are."""
    shown = [f"{field.name}: {field.type}" for field in list(schema)[:_FIELDS_SHOWN]]
    rest = len(schema) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _evaluate_one(name: str, expression: pc.Expression, records: pa.RecordBatch) -> pa.Array:
    try:
        return _projected({name: expression}, records).column(0)
    except _problems() as error:
        for typed in _with_typed_nulls(records):
            with suppress(*_problems()):
                return _projected({name: expression}, typed).column(0)
        shown = f"{name} = {expression}" if name else str(expression)
        raise RecordError(
            f"cannot evaluate {shown:.300}: {_why(error, records.schema)}\n"
            f"  fields: {describe_fields(records.schema)}"
        ) from error


def _why(error: Exception, schema: pa.Schema) -> str:
    """What Arrow says, where the problem is a field that is not there in plainer words."""
    import pyarrow as pa

    said = str(error).splitlines()[0]
    missing = _NO_FIELD.match(said)
    if missing is not None:
        near = get_close_matches(missing[1], schema.names, 1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return f"there is no field {missing[1]!r} in the records{guess}"
    if isinstance(error, pa.ArrowNotImplementedError):
        return f"{said}; a value of another type can be cast before: pc.field(...).cast(...)"
    return said


def _problems() -> tuple[type[Exception], ...]:
    """What Arrow raises when an expression does not fit the records."""
    import pyarrow as pa

    return pa.ArrowException, ValueError, TypeError


def _projected(expressions: Mapping[str, pc.Expression], records: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa
    from pyarrow import acero

    steps = [
        acero.Declaration(
            "table_source", acero.TableSourceNodeOptions(pa.Table.from_batches([records]))
        ),
        acero.Declaration(
            "project", acero.ProjectNodeOptions([*expressions.values()], [*expressions])
        ),
    ]
    # On one thread: more would give the rows in any order.
    return _single_batch(acero.Declaration.from_sequence(steps).to_table(use_threads=False))


def _with_typed_nulls(records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The records, if a field is null in all of them: then its type is unknown, and any will do.

    Not every function takes a column without a type, and whether a batch has one is chance.
    """
    import pyarrow as pa

    unknown = [field.name for field in records.schema if pa.types.is_null(field.type)]
    for kind in (pa.string(), pa.bool_(), pa.timestamp("us", "UTC")) if unknown else ():
        for name in unknown:
            nulls = pa.nulls(records.num_rows, kind)
            records = records.set_column(records.schema.names.index(name), name, nulls)
        yield records


def _single_batch(table: pa.Table) -> pa.RecordBatch:
    """All rows of the table in one batch."""
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=table.schema)
    return pa.concat_batches(batches)
