"""Reads records that are one line each: text, JSON lines, CSV without quoted newlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.lines import Block, Lines
from streamlet.connectors.files.malformed import MalformedError, MalformedRecords, Place
from streamlet.connectors.files.records import RecordShape, from_mirror, mirror_type
from streamlet.connectors.files.streams import open_plain, reading
from streamlet.source import PartitionReader

Decode = Callable[[list[bytes]], list[Any]]
"""The records of these lines, blank ones perhaps left out; raises MALFORMED for the whole batch."""

Start = Callable[["LinePlaces"], Decode | None]
"""Makes the decoder when lines are first asked for; None: what it needs is not written yet."""

MALFORMED: Final = (MalformedError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What says that a record is malformed, as opposed to a bug."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class FileReader(PartitionReader[Any]):
    """What readers of all formats share: the records they left out."""

    def __init__(self, malformed: MalformedRecords) -> None:
        self._malformed = malformed

    @property
    def skipped(self) -> int:
        """Malformed records left out so far, dead letters included."""
        return self._malformed.skipped

    def dead_letters(self) -> list[dict[str, Any]]:
        """Malformed records since this was last asked, when `on_error` is a tag.

        Dicts of `file`, `line` (or byte `offset`, or Parquet `row`), `text` and `error`.
        """
        return self._malformed.take_letters()


class LineReader(FileReader):
    """Decodes batches of lines; a batch with a malformed line is decoded line by line."""

    def __init__(self, lines: Lines, start: Start, malformed: MalformedRecords) -> None:
        super().__init__(malformed)
        self._lines = lines
        self._start = start
        self._decode: Decode | None = None
        self.places = LinePlaces(lines)

    def poll(self, max_records: int) -> list[Any] | None:
        """The next records; an empty list while a followed file has no new whole line."""
        if self._decode is None:
            self._decode = self._start(self.places)
        while self._decode is not None and (lines := self._lines.pending(max_records)):
            records = self._records(self._decode, lines)
            self.places.take(len(lines))
            # A batch of blank lines is no reason to say that nothing is there yet.
            if records or self._malformed.letters:
                return records
        return None if self._lines.is_finished else []

    def _records(self, decode: Decode, lines: list[bytes]) -> list[Any]:
        if self._lines.offset == 0:
            lines = [lines[0].removeprefix(BYTE_ORDER_MARK), *lines[1:]]
        try:
            return decode(lines)
        except MALFORMED:
            return self._one_by_one(decode, lines)

    def _one_by_one(self, decode: Decode, lines: list[bytes]) -> list[Any]:
        records: list[Any] = []
        line_count = byte_count = 0
        for line in lines:
            try:
                records.extend(decode([line]))
            except MALFORMED as error:
                place = self.places.finder(line_count, byte_count)
                self._malformed.add(place, line.decode("utf-8", "backslashreplace"), error)
            line_count += 1 + line.count(b"\n")
            byte_count += len(line) + 1
        return records

    def position(self) -> int:
        """The offset of the next line; in a compressed file, of its uncompressed content."""
        return self._lines.offset

    def close(self) -> None:
        self._lines.close()


class LinePlaces:
    """Tells line numbers, counting what was passed before only when an error asks for it."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self._start = lines.offset
        self._before = lines.lines_before
        self._taken = 0

    def take(self, count: int) -> None:
        """Passes that many of the pending records."""
        self._taken += self.lines.take(count)

    def take_block(self, block: Block) -> None:
        """Passes a pending block."""
        self._taken += self.lines.take_block(block)

    def finder(self, line_count: int, byte_count: int) -> Callable[[], Place]:
        """Finds the place that many lines and bytes after what was taken."""

        def find() -> Place:
            if self.lines.is_range:
                return Place("offset", self.lines.offset + byte_count)
            if self._before is None:
                self._before = _count_lines(self.lines.disk, self.lines.path, self._start)
            return Place("line", self._before + self._taken + line_count + 1)

        return find


def _count_lines(disk: FileDisk, path: str, stop: int) -> int:
    stream = open_plain(disk, path, 0)
    count = 0
    with reading(path):
        while stop > 0 and (chunk := stream.read(min(1 << 20, stop))):
            count += chunk.count(b"\n")
            stop -= len(chunk)
    stream.close()
    return count


def decode_text(lines: list[bytes]) -> list[Any]:
    r"""The lines as text, without their \r."""
    joined = b"\n".join(lines)
    texts = joined.decode().split("\n")
    if b"\r" in joined:
        texts = [text.removesuffix("\r") for text in texts]
    return texts


def json_decode(schema: Any | None, record_type: type | None) -> Decode:
    """Decodes one JSON value per line; blank lines are left out."""
    shape = None if schema is None else RecordShape(schema, record_type, from_text=False)
    if shape is not None or record_type is None:
        parse: Callable[[bytes], Any] = msgspec.json.Decoder().decode
    else:
        parse = _typed_parse(record_type)

    def decode(lines: list[bytes]) -> list[Any]:
        if b"" in lines or b"\r" in lines:
            lines = [line for line in lines if line not in (b"", b"\r")]
        rows = list(map(parse, lines))
        return rows if shape is None else shape.apply(rows)

    return decode


def _typed_parse(record_type: type) -> Callable[[bytes], Any]:
    mirror = mirror_type(record_type)
    parse: Callable[[bytes], Any] = msgspec.json.Decoder(mirror).decode
    if mirror is record_type:
        return parse
    return lambda line: from_mirror(record_type, parse(line))
