"""Cells of states with a TTL: each value is stored as `(time of its last use, value)`.

A read treats what is expired as absent and removes it (TTL-3); background removal is `sweep.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlet.state.cells import Cell, MapCell
from streamlet.state.codec import DEFAULT_CODEC, Codec, Encoded, decode, encode, keep
from streamlet.state.layout import MISSING
from streamlet.state.sweep import Sweep
from streamlet.state.ttl import Expiry, Timed


class TimedCell:
    """A Cell over one whose value carries a time."""

    __slots__ = ("_cell", "_expiry", "_sweep")

    def __init__(self, cell: Cell, expiry: Expiry, sweep: Sweep) -> None:
        self._cell = cell
        self._expiry = expiry
        self._sweep = sweep

    def get(self) -> Any:
        value = self._read()
        self._sweep.step()
        return value

    def for_update(self) -> Any:
        """A `put` follows it; until then no sweep may come between."""
        timed = self._cell.for_update()
        if timed is MISSING:
            return MISSING
        return self._expired(timed[1]) if timed[0] <= self._expiry.limit_ms() else timed[1]

    def put(self, value: Any) -> None:
        self._cell.put((self._expiry.now_ms(), value))
        self._sweep.step()

    def remove(self) -> None:
        self._cell.remove()

    def _read(self) -> Any:
        timed = self._cell.get()
        if timed is MISSING:
            return MISSING
        if timed[0] <= self._expiry.limit_ms():
            return self._expired(timed[1])
        if self._expiry.is_renewed_by_reading:
            # not `timed` itself: it may belong to a frozen layer, and an accumulator is mutable
            timed = self._cell.for_update()
            self._cell.put((self._expiry.now_ms(), timed[1]))
        return timed[1]

    def _expired(self, value: Any) -> Any:
        self._cell.remove()
        return value if self._expiry.is_shown_when_expired else MISSING


class TimedMapCell:
    """A MapCell over one whose values carry a time each (TTL-4)."""

    __slots__ = ("_cell", "_expiry", "_sweep")

    def __init__(self, cell: MapCell, expiry: Expiry, sweep: Sweep) -> None:
        self._cell = cell
        self._expiry = expiry
        self._sweep = sweep

    def get(self, inner: Any) -> Any:
        timed = self._cell.get(inner)
        value = MISSING if timed is MISSING else self._read(inner, timed)
        self._sweep.step()
        return value

    def put(self, inner: Any, value: Any) -> None:
        self._cell.put(inner, (self._expiry.now_ms(), value))
        self._sweep.step()

    def remove(self, inner: Any) -> None:
        self._cell.remove(inner)

    def scan(self) -> list[tuple[Any, Any]]:
        read = [(inner, self._read(inner, timed)) for inner, timed in self._cell.scan()]
        self._sweep.step()
        return [item for item in read if item[1] is not MISSING]

    def is_empty(self) -> bool:
        """Whether there is nothing, not even expired entries (TTL-5)."""
        return self._cell.is_empty()

    def drop(self) -> None:
        self._cell.drop()

    def _read(self, inner: Any, timed: Timed) -> Any:
        if timed[0] <= self._expiry.limit_ms():
            self._cell.remove(inner)
            return timed[1] if self._expiry.is_shown_when_expired else MISSING
        if self._expiry.is_renewed_by_reading:
            self._cell.put(inner, (self._expiry.now_ms(), timed[1]))
        return timed[1]


class TimedCodec:
    """A value with its time as a row: `(time, value)` in the encoding of streamlet itself."""

    def __init__(
        self, inner: Codec, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]
    ) -> None:
        self.inner = inner
        self._pack = pack
        self._unpack = unpack

    def encode(self, timed: Timed, /) -> bytes:
        return encode((timed[0], self._pack(timed[1])))

    def decode(self, payload: bytes, /) -> Timed:
        used_ms, value = decode(payload)
        return used_ms, self._unpack(value)


class TimedElementsCodec:
    """A list state's elements with a time each, as one row."""

    def __init__(
        self, inner: Codec, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]
    ) -> None:
        self.inner = inner
        self._pack = pack
        self._unpack = unpack

    def encode(self, elements: list[Timed], /) -> bytes:
        pack = self._pack
        return encode([(used_ms, pack(value)) for used_ms, value in elements])

    def decode(self, payload: bytes, /) -> list[Timed]:
        unpack = self._unpack
        return [(used_ms, unpack(value)) for used_ms, value in decode(payload)]


def timed_codec(codec: Codec) -> Codec:
    """For values as `keep` gives them: a codec of the user's gives bytes within the row."""
    return TimedCodec(codec, *_parts(codec))


def timed_elements_codec(codec: Codec) -> Codec:
    """The same for a whole list."""
    return TimedElementsCodec(codec, *_parts(codec))


def timed_accumulator_codec(codec: Codec) -> Codec:
    """For accumulators, which are kept decoded."""
    if codec is DEFAULT_CODEC:
        return TimedCodec(codec, _same, _same)
    return TimedCodec(codec, codec.encode, codec.decode)


def _parts(codec: Codec) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if codec is DEFAULT_CODEC:
        return _same, _kept
    return _payload, Encoded


def _same(value: Any) -> Any:
    return value


def _kept(value: Any) -> Any:
    return keep(value, DEFAULT_CODEC)


def _payload(value: Encoded) -> bytes:
    return value.payload
