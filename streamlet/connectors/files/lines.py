"""Cuts a stream of bytes into lines, and knows the offset of each.

A byte range [start, end) has the lines that begin in it. Both bounds are found by one rule: the
line boundary of byte b > 0 is just after the first newline at or after b - 1. Ranges that touch
therefore share every line exactly once, wherever the cut falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.splits import FileSplit
from streamlet.connectors.files.streams import (
    ByteStream,
    compression_of,
    has_changed,
    open_compressed,
    open_plain,
    reading,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Offsets = npt.NDArray[np.integer[Any]]

LINE_CHUNK_BYTES: Final = 1 << 20
"""How much is read at once where each line becomes an object."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records as they stand in the file; the last one of a file may lack its newline."""

    text: bytes
    ends: Offsets
    """Where in the text the newline after each record is, or would be."""


class Lines(Protocol):
    """Pieces of a file that are one record each, and where they stand."""

    disk: FileDisk
    path: str
    is_range: bool
    lines_before: int | None

    @property
    def offset(self) -> int: ...

    @property
    def is_finished(self) -> bool: ...

    def pending(self, wanted: int) -> list[bytes]: ...

    def take(self, count: int) -> int: ...

    def block(self, wanted: int) -> Block: ...

    def take_block(self, block: Block) -> int: ...

    def close(self) -> None: ...


class LineCursor:
    """The lines of one split in batches: as a list, without newlines, or as a block of text."""

    def __init__(
        self,
        disk: FileDisk,
        split: FileSplit,
        position: int | None,
        *,
        follow: bool,
        chunk_bytes: int = LINE_CHUNK_BYTES,
    ) -> None:
        self.disk = disk
        self.path = split.path
        self.is_compressed = compression_of(split.path) is not None
        self.is_range = split.unit is not None
        self.lines_before: int | None = None
        """Lines passed when the cursor was opened; None: nobody counted them."""
        self._follow = follow and not self.is_compressed
        self._end = split.end
        self._chunk_bytes = chunk_bytes
        # Whole lines that were read; how many of them, and of their bytes, were taken.
        self._text = b""
        self._next = self._taken_bytes = 0
        # Where the lines are in the text, in the form that was asked for.
        self._lines: list[bytes] | None = None
        self._ends: Offsets | None = None
        self._tail = b""
        self._at_eof = False
        self._stream, self.offset = self._open(split.start, position)
        self._read_to = self.offset
        self._size = 0 if self.is_compressed else disk.size_bytes(self.path)

    def _open(self, start: int, position: int | None) -> tuple[ByteStream, int]:
        offset = start if position is None else position
        if self.is_compressed:
            stream, self.lines_before = open_compressed(self.disk, self.path, offset)
            return stream, offset
        if offset == 0:
            self.lines_before = 0
            return open_plain(self.disk, self.path, 0), 0
        stream = open_plain(self.disk, self.path, offset - 1)
        if position is None:
            return stream, _seek_past_newline(stream, offset - 1, self._chunk_bytes)
        with reading(self.path):
            if stream.read(1) != b"\n" and self.disk.size_bytes(self.path) != offset:
                stream.close()
                raise has_changed(self.path, f"no line begins at byte {offset:,}: it was rewritten")
        return stream, offset

    def pending(self, wanted: int) -> list[bytes]:
        """The next up to `wanted` lines, not yet taken; empty: none now, see `is_finished`."""
        if not self._find_some():
            return []
        return self._split()[self._next : self._next + wanted]

    def block(self, wanted: int) -> Block:
        """As `pending`, as one piece of text."""
        if not self._find_some():
            return Block(b"", self._find_ends()[:0])
        ends = self._find_ends()[self._next : self._next + wanted]
        text = self._text[self._taken_bytes : ends[-1] + 1]
        return Block(text, ends - self._taken_bytes)

    def _find_some(self) -> bool:
        """Reads until a line is pending; False: there is none now."""
        while self._taken_bytes >= len(self._text):
            if not self.read_more():
                return False
        return True

    def _split(self) -> list[bytes]:
        if self._lines is None:
            self._lines = self._text.split(b"\n")
            if not self._lines[-1]:
                self._lines.pop()
        return self._lines

    def _find_ends(self) -> Offsets:
        if self._ends is None:
            import numpy as np

            from streamlet.connectors.files.words import find_newlines

            ends = find_newlines(np.frombuffer(self._text, np.uint8))
            if self._text and not self._text.endswith(b"\n"):
                ends = np.append(ends, len(self._text))
            self._ends = ends
        return self._ends

    def take(self, count: int) -> int:
        """Passes `count` of the pending lines; how many lines of the file that were."""
        taken = self._split()[self._next : self._next + count]
        self._pass(len(taken), sum(map(len, taken)) + len(taken))
        return len(taken)

    def take_block(self, block: Block) -> int:
        """As `take`, for a block that is pending, or its beginning."""
        last = self._taken_bytes + int(block.ends[-1])
        line_count = int(self._find_ends().searchsorted(last)) + 1 - self._next
        self._pass(line_count, int(block.ends[-1]) + 1)
        return line_count

    def _pass(self, line_count: int, byte_count: int) -> None:
        self._next += line_count
        self._taken_bytes += byte_count
        self.offset += byte_count
        if self._taken_bytes > len(self._text):
            self.offset -= 1  # the last line of the file lacks its newline

    @property
    def is_finished(self) -> bool:
        """Whether every line was taken and none will follow."""
        return self._at_eof and self._taken_bytes >= len(self._text)

    @property
    def has_met_end(self) -> bool:
        """Whether all lines of the split are pending or taken."""
        return self._at_eof

    def read_more(self) -> bool:
        """Appends lines of the next chunk to the pending ones; False: there are none now."""
        if self._at_eof:
            return False
        if self._end is not None and self._read_to - len(self._tail) >= self._end:
            return self._finish(b"")
        with reading(self.path):
            # Chunks grow with a long line, so that joining its pieces stays linear.
            chunk = self._stream.read(max(self._chunk_bytes, len(self._tail)))
        if not chunk:
            return self._meet_end_of_file()
        self._read_to += len(chunk)
        # The tail is the beginning of one line: newlines are in the chunk alone.
        cut = self._find_end(chunk)
        if cut is not None:
            self._read_to -= len(chunk) - cut
            return self._finish(self._tail + chunk[:cut])
        whole = chunk.rfind(b"\n") + 1
        if whole:
            self._append(b"".join((self._tail, memoryview(chunk)[:whole])))
            self._tail = b""
        self._tail += chunk[whole:]
        return True

    def _find_end(self, chunk: bytes) -> int | None:
        if self._end is None:
            return None
        newline = chunk.find(b"\n", max(self._end - 1 - (self._read_to - len(chunk)), 0))
        return None if newline < 0 else newline + 1

    def _finish(self, rest: bytes) -> bool:
        self._at_eof = True
        self._tail = b""
        self._append(rest)
        return bool(rest)

    def _append(self, text: bytes) -> None:
        """The text, of whole lines, is pending after what is."""
        if text:
            self._text = self._text[self._taken_bytes :] + text
            self._next = self._taken_bytes = 0
            self._lines = self._ends = None

    def _meet_end_of_file(self) -> bool:
        if not self.is_compressed:
            self._check_file()
        # While a file is followed, what has no newline yet is still being written.
        return False if self._follow else self._finish(self._tail)

    def _check_file(self) -> None:
        with reading(self.path):
            size = self.disk.size_bytes(self.path)
            expected = self._read_to if self._follow else max(self._size, self._end or 0)
            if size < expected:
                raise has_changed(self.path, f"it was cut to {size:,} bytes")
            # What is followed is not compressed: its stream is the file itself.
            file = cast(BinaryIO, self._stream)
            if self._follow and not self.disk.names_file(self.path, file):
                raise has_changed(self.path, "it was replaced by another file")

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def _seek_past_newline(stream: ByteStream, offset: int, chunk_bytes: int) -> int:
    """Reads from `offset` to just after the first newline; the offset reached (or of the end)."""
    while chunk := stream.read(chunk_bytes):
        newline = chunk.find(b"\n")
        if newline >= 0:
            stream.seek(offset + newline + 1)
            return offset + newline + 1
        offset += len(chunk)
    return offset
