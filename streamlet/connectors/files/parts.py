"""The files a sink writer has open, and those of text formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from streamlet.columns import records_of
from streamlet.connectors.files.encoders import TextEncoder

if TYPE_CHECKING:
    import pyarrow as pa


class Part(Protocol):
    """A file being written."""

    @property
    def size_bytes(self) -> int:
        """About how long the file would be if it were closed now."""

    def write(self, values: Sequence[Any]) -> None: ...

    def write_columns(self, records: pa.RecordBatch) -> None:
        """Makes of the rows what `write` makes of them as dicts."""

    def close(self) -> None: ...


class PartFormat(Protocol):
    """Makes the files of one writer, which share their columns."""

    extension: str

    rows_because: str | None
    """Why it needs Python objects, for the plan; None: it takes columns as well."""

    def begin(self, file: BinaryIO) -> Part:
        """Writes into a new file, which the part closes."""


class TextParts:
    """Files of a text format."""

    rows_because: str | None = "text is encoded record by record"

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.extension = encoder.extension

    def begin(self, file: BinaryIO) -> Part:
        return _TextPart(file, self._encoder)


class _TextPart:
    def __init__(self, file: BinaryIO, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._file = file
        self.size_bytes = 0

    def write(self, values: Sequence[Any]) -> None:
        if self.size_bytes == 0:
            self.size_bytes += self._file.write(self._encoder.header(values))
        self.size_bytes += self._file.write(self._encoder.encode(values))

    def write_columns(self, records: pa.RecordBatch) -> None:
        self.write(records_of(records))

    def close(self) -> None:
        self._file.close()
