"""Reads text as columns, and as rows where the two might differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from streamlet.connectors.files.line_reader import (
    BYTE_ORDER_MARK,
    Decode,
    FileReader,
    LinePlaces,
    LineReader,
)
from streamlet.connectors.files.lines import Block, Lines
from streamlet.connectors.files.malformed import MalformedRecords
from streamlet.connectors.files.text_columns import InDoubt

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES: Final = 4 << 20
"""How much is read at once: tens of thousands of records, so that a batch of columns pays."""

_FEW: Final = 1 << 10
_GROWTH: Final = 4
_ALL: Final = 1 << 30
"""More lines than a block ever has."""


class ColumnDecode(Protocol):
    """Makes columns of records that are text."""

    schema: pa.Schema

    def __call__(self, block: Block) -> pa.RecordBatch:
        """The records, blank ones left out; InDoubt if rows might say otherwise."""


@dataclass(frozen=True, slots=True)
class Decoders:
    """Two ways to the same records."""

    columns: ColumnDecode
    rows: Decode


class ColumnReader(FileReader):
    """Gives the records of a split as columns.

    What is in doubt is cut into smaller blocks, and the smallest is read as rows. So one odd
    record costs some thousand others their speed, and a file of them little more than rows do.
    """

    def __init__(
        self,
        lines: Lines,
        start: Callable[[LinePlaces], Decoders | None],
        malformed: MalformedRecords,
    ) -> None:
        super().__init__(malformed)
        self._lines = lines
        self._start = start
        self._decoders: Decoders | None = None
        self._rows = LineReader(lines, self._learn_rows, malformed)
        self._block_lines = _ALL

    def _learn_rows(self, places: LinePlaces) -> Decode | None:
        decoders = self._learn(places)
        return None if decoders is None else decoders.rows

    def _learn(self, places: LinePlaces) -> Decoders | None:
        if self._decoders is None:
            self._decoders = self._start(places)
        return self._decoders

    def poll(self, max_records: int) -> pa.RecordBatch | list[Any] | None:
        """The next records; an empty list while a followed file has no new whole line."""
        decoders = self._learn(self._rows.places)
        while decoders is not None:
            block = self._lines.block(min(max_records, self._block_lines))
            if len(block.ends) == 0:
                break
            try:
                batch = decoders.columns(self._without_mark(block))
            except InDoubt:
                if len(block.ends) <= _FEW:
                    break
                self._block_lines = max(len(block.ends) // _GROWTH, _FEW)
                continue
            self._rows.places.take_block(block)
            self._block_lines = min(max(self._block_lines, len(block.ends)) * _GROWTH, _ALL)
            if batch.num_rows:
                return batch
        return self._poll_rows(min(max_records, _FEW))

    def _without_mark(self, block: Block) -> Block:
        mark = len(BYTE_ORDER_MARK)
        if self._lines.offset or not block.text.startswith(BYTE_ORDER_MARK):
            return block
        return Block(block.text[mark:], block.ends - mark)

    def _poll_rows(self, max_records: int) -> pa.RecordBatch | list[Any] | None:
        records = self._rows.poll(max_records)
        if not records or self._decoders is None:
            return records
        import pyarrow as pa

        return pa.RecordBatch.from_pylist(records, schema=self._decoders.columns.schema)

    def position(self) -> int:
        """The offset of the next line; in a compressed file, of its uncompressed content."""
        return self._lines.offset

    def close(self) -> None:
        self._lines.close()
