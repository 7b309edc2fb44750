"""CSV read as columns by Arrow, where that gives what rows give.

Arrow splits records into fields; they become numbers and dates by the function that rows are
cast by. Where its idea of quotes or line ends is not Python's, records are read as rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from streamlet.connectors.files.lines import Block
from streamlet.connectors.files.text_columns import (
    InDoubt,
    as_field,
    bytes_of,
    check_returns,
    is_text,
    schema_of_columns,
    starts_of,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

_MAX_RECORD_BYTES: Final = 100_000
"""A longer record may be one that Python's csv refuses."""

_QUOTE: Final = ord('"')


class CsvColumns:
    """Makes blocks of CSV records columns: of the schema, or all of them as text."""

    def __init__(self, names: Sequence[str], delimiter: str, schema: pa.Schema | None) -> None:
        import pyarrow as pa

        fields = schema or pa.schema([(name, pa.string()) for name in names])
        known = schema_of_columns(fields) if names else fields
        assert known is not None
        self.schema: pa.Schema = known
        self._names = list(names)
        self._fields = list(fields)
        self._delimiter = delimiter
        self._is_plain = delimiter.isascii() and (delimiter.isprintable() or delimiter == "\t")

    def __call__(self, block: Block) -> pa.RecordBatch:
        """The records of the block; raises InDoubt."""
        import pyarrow as pa

        if not self._names or not self._is_plain or self._delimiter == '"':
            raise InDoubt("no column, or a delimiter that Arrow has not")
        record_count = self._count_records(block)
        try:
            table = self._read(block.text)
            if table.num_rows != record_count:
                raise InDoubt("a record is not one row")
            arrays = [
                _column(table.column(field.name).combine_chunks(), field) for field in self._fields
            ]
        except pa.ArrowException as error:
            raise InDoubt(str(error)) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _count_records(self, block: Block) -> int:
        """How many records are not blank; InDoubt unless their quotes are where they must be."""
        import numpy as np

        text, ends = block.text, block.ends
        view = bytes_of(text)
        check_returns(text)
        if b'"' in text:
            self._check_quotes(view, ends)
        starts = starts_of(ends)
        lengths = ends - starts
        if lengths.max() > _MAX_RECORD_BYTES:
            raise InDoubt("a long record")
        is_blank = lengths == 0
        if b"\r" in text:
            is_blank |= (lengths == 1) & (view[np.minimum(starts, len(view) - 1)] == ord("\r"))
        return len(ends) - int(np.count_nonzero(is_blank))

    def _check_quotes(self, view: npt.NDArray[Any], ends: npt.NDArray[Any]) -> None:
        """An opening quote begins a field, a closing one ends it; two together are one inside."""
        import numpy as np

        quotes = np.flatnonzero(view == _QUOTE)
        if len(quotes) % 2 or (quotes.searchsorted(ends) % 2).any():
            raise InDoubt("an open quote")
        around = np.zeros(256, np.bool_)
        around[[ord(self._delimiter), ord("\n"), _QUOTE]] = True
        opening, closing = quotes[::2], quotes[1::2]
        padded = np.append(view, ord("\n"))
        before = padded[opening - 1]  # of the first byte: the newline that was appended
        around_closing = around.copy()
        around_closing[ord("\r")] = True
        if not (around[before].all() and around_closing[padded[closing + 1]].all()):
            raise InDoubt("a quote within a field")

    def _read(self, text: bytes) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        wanted = [field.name for field in self._fields]
        return csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=self._names),
            csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=b'"' in text),
            csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )


def _column(column: pa.Array, field: pa.Field) -> pa.Array:
    if is_text(field.type) and column.null_count:
        column = column.fill_null("")
    return as_field(column, field)
