"""CSV: finds the records, which quoted newlines spread over lines."""

from __future__ import annotations

import csv
from typing import Final

from streamlet.connectors.files.lines import Block, LineCursor
from streamlet.connectors.files.malformed import MalformedError

_MAX_RECORD_BYTES: Final = 128 << 10
"""A quote left open takes no more than this with it (what Python's csv allows in a field)."""


class QuotedLines:
    """The CSV records of a file, newlines inside quotes included."""

    def __init__(self, cursor: LineCursor, delimiter: str) -> None:
        self._cursor = cursor
        self._delimiter = delimiter
        self._line_counts: list[int] = []
        self.disk = cursor.disk
        self.path = cursor.path
        self.is_range = cursor.is_range
        self.lines_before = cursor.lines_before

    @property
    def offset(self) -> int:
        """Where the next record begins."""
        return self._cursor.offset

    @property
    def is_finished(self) -> bool:
        """Whether every record was taken and none will follow."""
        return self._cursor.is_finished

    def pending(self, wanted: int) -> list[bytes]:
        """The next up to `wanted` whole records, not yet taken."""
        lines = self._cursor.pending(wanted)
        if b'"' not in b"".join(lines):
            self._line_counts = [1] * len(lines)
            return lines
        records: list[bytes] = []
        self._line_counts = []
        index = 0
        while index < len(lines):
            record, count = lines[index], 1
            if record.count(b'"') % 2:
                count = self._count_lines(index)
                if count == 0:
                    break
                record = b"\n".join(self._cursor.pending(index + count)[index:])
            records.append(record)
            self._line_counts.append(count)
            index += count
        return records

    def _count_lines(self, start: int) -> int:
        """How many lines the record at `start` has; 0: its end is not written yet.

        1 also for a quote that is never closed: that line is malformed, the next one is read.
        """
        size = 0
        stop = start + 1
        while size <= _MAX_RECORD_BYTES:
            lines = self._cursor.pending(stop)
            if len(lines) < stop:
                if self._cursor.read_more():
                    continue
                return 1 if self._cursor.has_met_end else 0
            last = lines[-1]
            size += len(last) + 1
            if last.count(b'"') % 2 and self._is_whole(lines[start:]):
                return stop - start
            stop += 1
        return 1

    def _is_whole(self, lines: list[bytes]) -> bool:
        try:
            parse_rows([b"\n".join(lines)], self._delimiter)
        except MalformedError as error:
            return not isinstance(error, _OpenQuoteError)
        except UnicodeDecodeError:
            return True
        return True

    def take(self, count: int) -> int:
        """Passes `count` of the pending records; how many lines of the file that were."""
        return self._cursor.take(sum(self._line_counts[:count]))

    def block(self, wanted: int) -> Block:
        """As `pending`, as one piece of text; empty also where an open quote is in the way."""
        import numpy as np

        lines = self._cursor.block(wanted)
        if b'"' not in lines.text:
            return lines
        quotes = np.flatnonzero(np.frombuffer(lines.text, np.uint8) == ord('"'))
        ends = lines.ends[quotes.searchsorted(lines.ends) % 2 == 0]
        return Block(lines.text[: ends[-1] + 1] if len(ends) else b"", ends)

    def take_block(self, block: Block) -> int:
        """Passes a block that is pending; how many lines of the file that were."""
        return self._cursor.take_block(block)

    def close(self) -> None:
        """Closes the file."""
        self._cursor.close()


class _OpenQuoteError(MalformedError):
    """A quote that the text does not close."""


def parse_rows(records: list[bytes], delimiter: str) -> list[list[str]]:
    """The fields of each record; raises MalformedError unless each is one row by itself."""
    try:
        texts = list(map(bytes.decode, records))
        rows = list(csv.reader(texts, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _OpenQuoteError("a quote is never closed") from error
        raise MalformedError(str(error)) from error
    if len(rows) != len(records):
        raise _OpenQuoteError("a quote is never closed")
    return rows
