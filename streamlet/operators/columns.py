"""filter, select and map_batches: stateless operators that work on Arrow columns.

They take rows as well, dicts or NamedTuples, which become columns here, batch by batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from streamlet.columns import dicts_of, numbers_of, to_columns, uniform_parts
from streamlet.elements import Batch, ColumnBatch, RowBatch
from streamlet.errors import RecordError, note_place
from streamlet.expressions import describe_fields, evaluate
from streamlet.operators.operator import Operator, OperatorContext, Output

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

IS_KEPT: Final = ""
"""The column that says which records a filter keeps; errors show its expression alone."""


class ColumnOperator(Operator, ABC):
    """Base of operators that make something of each batch of columns."""

    takes_columns = True

    def open(self, ctx: OperatorContext) -> None:
        self.ctx = ctx

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        try:
            for given, columns in self._parts(batch):
                out.emit(self._processed(given, columns))
        except Exception as error:
            note_place(error, self.ctx.place())
            raise

    @abstractmethod
    def _processed(self, given: Batch, columns: ColumnBatch) -> Batch:
        """What the operator emits for a batch, which is there as it came and as columns."""

    def _parts(self, batch: Batch) -> Iterator[tuple[Batch, ColumnBatch]]:
        if isinstance(batch, ColumnBatch):
            yield batch, batch
            return
        import numpy as np

        place = repr(self.ctx.name)
        dicts = dicts_of(batch.values, place)
        stamps = None if batch.timestamps is None else np.array(batch.timestamps, np.int64)
        for rows in uniform_parts(dicts):
            columns = to_columns(dicts[rows], place)
            part_stamps = None if stamps is None else stamps[rows]
            yield batch.slice(rows.start, rows.stop), ColumnBatch(columns, part_stamps)


class FilterColumnsOperator(ColumnOperator):
    """The records for which an expression is true: neither false nor null."""

    def __init__(self, expression: pc.Expression) -> None:
        self._expression = expression

    def _processed(self, given: Batch, columns: ColumnBatch) -> Batch:
        is_true = evaluate({IS_KEPT: self._expression}, columns.records).column(IS_KEPT)
        if not _is_boolean(is_true):
            raise RecordError(
                f"filter({self._expression}) gives {is_true.type} values; a filter needs an "
                'expression that is true or false, like pc.field("price") > 100\n'
                f"  fields: {describe_fields(columns.records.schema)}"
            )
        is_kept = numbers_of(is_true.cast("bool").fill_null(False))
        if isinstance(given, RowBatch):
            return given.take(is_kept.nonzero()[0].tolist())
        return columns.filter(is_kept)


class SelectOperator(ColumnOperator):
    """New columns, each an expression over the old ones."""

    def __init__(self, columns: Mapping[str, pc.Expression]) -> None:
        self._expressions = columns

    def _processed(self, given: Batch, columns: ColumnBatch) -> Batch:
        return ColumnBatch(evaluate(self._expressions, columns.records), columns.timestamps)


class MapBatchesOperator(ColumnOperator):
    """What a function makes of each RecordBatch."""

    def __init__(self, fn: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
        self._function = fn

    def _processed(self, given: Batch, columns: ColumnBatch) -> Batch:
        import pyarrow as pa

        result = self._function(columns.records)
        if not isinstance(result, pa.RecordBatch):
            raise RecordError(
                f"map_batches needs a function that returns a pyarrow RecordBatch, it returned "
                f"{type(result).__name__}; of a Table make one with "
                "table.combine_chunks().to_batches()[0]"
            )
        if columns.timestamps is not None and result.num_rows != columns.records.num_rows:
            raise RecordError(
                f"map_batches got {columns.records.num_rows} records and returned "
                f"{result.num_rows}: which record has which timestamp? Give one row for each, in "
                "their order; leave records out with filter(...)"
            )
        return ColumnBatch(result, columns.timestamps)


def _is_boolean(column: pa.Array) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(column.type) or pa.types.is_null(column.type))
