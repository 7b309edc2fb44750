"""Row keys of the RocksDB store: state id, then the encoded parts of the entry.

    KEY     id key               MAP     id key map_key
    TIMER   id key timestamp     WINDOW  id (start, end) key

An encoding says where it ends, so the entries of one outer are exactly the rows that begin with its
id and encoding. There is no key group: the database is filled anew for each attempt, with the rows
of its own key groups only, and without them a window is one range instead of one per key group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from streamlet.errors import InternalError
from streamlet.state.codec import decode, encode, encode_all
from streamlet.state.layout import Layout

ID_BYTES: Final = 2


class RowKeys:
    """Entries to row keys and back, for one table."""

    __slots__ = ("_to_entry", "of", "prefix")

    def __init__(self, layout: Layout, prefix: bytes) -> None:
        self.prefix = prefix
        self.of: Callable[[Any], bytes]
        self._to_entry: Callable[[bytes], Any]
        if layout is Layout.KEY:
            self.of = lambda entry: prefix + encode(entry)
            self._to_entry = decode
        elif layout is Layout.TIMER:
            self.of = lambda entry: prefix + encode(entry[1]) + encode(entry[0])
            self._to_entry = _timer
        else:
            self.of = lambda entry: prefix + encode(entry[0]) + encode(entry[1])
            self._to_entry = _pair

    def of_all(self, keys: Iterable[Any]) -> list[bytes]:
        """`of` each key of a KEY table."""
        prefix = self.prefix
        return [prefix + encoded for encoded in encode_all(keys)]

    def entry_of(self, row_key: bytes) -> Any:
        """The entry that `of` gave this row key for."""
        return self._to_entry(row_key[ID_BYTES:])

    def outer_prefix(self, outer: Any) -> bytes:
        """What all row keys of one outer begin with."""
        return self.prefix + encode(outer)


def cut_outer(row_key: bytes) -> bytes:
    """The `outer_prefix` of a row key."""
    return row_key[: _end_of_first(row_key, ID_BYTES)]


def end_of_range(prefix: bytes) -> bytes:
    """The least bytes above everything that begins with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else b"\xff" * 64


def _pair(parts: bytes) -> tuple[Any, Any]:
    end = _end_of_first(parts, 0)
    return decode(parts[:end]), decode(parts[end:])


def _timer(parts: bytes) -> tuple[Any, Any]:
    key, timestamp = _pair(parts)
    return timestamp, key


_FIXED: Final = {
    **dict.fromkeys([*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3], 1),
    **{0xA0 + size: 1 + size for size in range(32)},
    0xCA: 5,
    0xCB: 9,
    0xCC: 2,
    0xCD: 3,
    0xCE: 5,
    0xCF: 9,
    0xD0: 2,
    0xD1: 3,
    0xD2: 5,
    0xD3: 9,
    0xD4: 3,
    0xD5: 4,
    0xD6: 6,
    0xD7: 10,
    0xD8: 18,
}
"""First byte of a MessagePack object to its size, where the byte says it all."""

_SIZED: Final = {
    0xC4: (1, 0),
    0xC5: (2, 0),
    0xC6: (4, 0),
    0xD9: (1, 0),
    0xDA: (2, 0),
    0xDB: (4, 0),
    0xC7: (1, 1),
    0xC8: (2, 1),
    0xC9: (4, 1),
}
"""First byte to (bytes of the length, bytes of the extension code) where a length follows."""


def _end_of_first(parts: bytes, start: int) -> int:
    """Where the first encoded object ends; keys are atoms and extensions, never bare containers."""
    first = parts[start]
    size = _FIXED.get(first)
    if size is not None:
        return start + size
    if first not in _SIZED:
        raise InternalError(f"a row key has a part that begins with the byte {first:#x}")
    length_bytes, code_bytes = _SIZED[first]
    length_end = start + 1 + length_bytes
    return length_end + code_bytes + int.from_bytes(parts[start + 1 : length_end], "big")
