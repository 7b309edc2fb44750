"""What MessagePack lacks, as its extensions: Python values to what it can pack, and back.

Classes travel by field name under a type tag (`typetags.py`). Anything else is refused: a state
must be readable without running foreign code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Raw
from msgspec.msgpack import Decoder, Encoder, Ext

from streamlet.errors import StateTypeError
from streamlet.state.typetags import parts_of, rebuilt

ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""The types whose values are kept as they are: nobody can change them."""

_ADVICE: Final = "store a dict, list, tuple or dataclass, or give the descriptor a codec=..."


class Encoded:
    """A value that state keeps as bytes, so that nobody else can change it."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        return type(other) is Encoded and other.payload == self.payload

    def __hash__(self) -> int:
        return hash(self.payload)

    def __repr__(self) -> str:
        return f"Encoded({self.payload!r})"


class _Code:
    """Extension codes; they are on disk, so a code is never given another meaning."""

    TUPLE = 1
    SET = 2
    FROZENSET = 3
    BIG_INT = 4
    DATETIME = 5
    DATE = 6
    TIME = 7
    TIMEDELTA = 8
    DECIMAL = 9
    UUID = 10
    TAGGED = 11
    PAIRS = 12
    SURROGATE_STR = 13


pack: Final = Encoder().encode
"""What MessagePack has, or `packable` made of a value, as bytes."""
_TUPLE_HEADERS: Final = [bytes((0xC7, size, _Code.TUPLE)) for size in range(256)]
_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1


def packed_tuple(value: tuple[Any, ...]) -> bytes:
    """A tuple of atoms as bytes: quicker than by way of `packable`."""
    body = pack(value)
    if len(body) < 256:
        return _TUPLE_HEADERS[len(body)] + body
    return pack(Ext(_Code.TUPLE, body))


def packable(value: Any) -> Any:
    """The value in terms of what MessagePack has; containers of atoms go through untouched."""
    to_packable = _PACKABLE.get(type(value))
    if to_packable is None:
        return _packable_tagged(value)
    return to_packable(value)


def _as_it_is(value: Any) -> Any:
    return value


def _packable_int(value: int) -> Any:
    if _INT64_MIN <= value <= _UINT64_MAX:
        return value
    size = value.bit_length() // 8 + 1
    return Ext(_Code.BIG_INT, value.to_bytes(size, "big", signed=True))


def _packable_str(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return Ext(_Code.SURROGATE_STR, value.encode("utf-8", "surrogatepass"))
    return value


def _packable_list(value: Iterable[Any]) -> list[Any]:
    return [packable(element) for element in value]


def _packable_dict(value: dict[Any, Any]) -> Any:
    if ATOMS.issuperset(map(type, value)):
        keys = [packable(key) for key in value]
        if not any(type(key) is Ext for key in keys):
            return dict(zip(keys, map(packable, value.values()), strict=True))
    return Ext(_Code.PAIRS, pack(_packable_list(chain.from_iterable(value.items()))))


def _packable_datetime(value: datetime) -> Ext:
    parts = [*value.timetuple()[:6], value.microsecond, value.fold]
    return Ext(_Code.DATETIME, pack([*parts, *_zone_parts(value.tzinfo)]))


def _packable_time(value: time) -> Ext:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return Ext(_Code.TIME, pack([*parts, *_zone_parts(value.tzinfo)]))


def _zone_parts(zone: Any) -> list[Any]:
    """[]: naive; [key]: a ZoneInfo; [microseconds] or [microseconds, name]: a fixed offset."""
    if zone is None:
        return []
    if type(zone) is ZoneInfo and zone.key is not None:
        return [zone.key]
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        microseconds = offset // timedelta(microseconds=1)
        name = zone.tzname(None)
        return [microseconds] if name == timezone(offset).tzname(None) else [microseconds, name]
    raise StateTypeError(
        f"state cannot keep a time with a tzinfo of type {_name(type(zone))}; "
        "use datetime.timezone or zoneinfo.ZoneInfo(key)"
    )


def _packable_tagged(value: Any) -> Ext:
    parts = parts_of(value)
    if parts is None:
        is_array_scalar = type(value).__module__ == "numpy" and hasattr(value, "item")
        advice = "store its .item(), a value of Python's own" if is_array_scalar else _ADVICE
        raise StateTypeError(f"state cannot keep a value of type {_name(type(value))}; {advice}")
    return Ext(_Code.TAGGED, pack(_packable_list(parts)))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _packed_list(code: int) -> Callable[[Any], Ext]:
    return lambda value: Ext(code, pack(_packable_list(value)))


_PACKABLE: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): _as_it_is,
    bool: _as_it_is,
    float: _as_it_is,
    bytes: _as_it_is,
    int: _packable_int,
    str: _packable_str,
    list: _packable_list,
    dict: _packable_dict,
    tuple: _packed_list(_Code.TUPLE),
    set: _packed_list(_Code.SET),
    frozenset: _packed_list(_Code.FROZENSET),
    datetime: _packable_datetime,
    date: lambda value: Ext(_Code.DATE, pack(value.toordinal())),
    time: _packable_time,
    timedelta: lambda value: Ext(
        _Code.TIMEDELTA, pack([value.days, value.seconds, value.microseconds])
    ),
    Decimal: lambda value: Ext(_Code.DECIMAL, str(value).encode()),
    UUID: lambda value: Ext(_Code.UUID, value.bytes),
    # elements of a list that the engine owns are kept encoded: they go in as they are
    Encoded: lambda value: Raw(value.payload),
}


def _zone(parts: list[Any]) -> Any:
    if not parts:
        return None
    if type(parts[0]) is str:
        return ZoneInfo(parts[0])
    offset = timedelta(microseconds=parts[0])
    if len(parts) == 2:
        return timezone(offset, parts[1])
    return timezone(offset) if offset else UTC


def _unpacked_datetime(body: memoryview) -> datetime:
    year, month, day, hour, minute, second, microsecond, fold, *zone = unpack(body)
    return datetime(
        year, month, day, hour, minute, second, microsecond, tzinfo=_zone(zone), fold=fold
    )


def _unpacked_time(body: memoryview) -> time:
    hour, minute, second, microsecond, fold, *zone = unpack(body)
    return time(hour, minute, second, microsecond, tzinfo=_zone(zone), fold=fold)


def _unpacked_pairs(body: memoryview) -> dict[Any, Any]:
    flat = unpack(body)
    return dict(zip(flat[::2], flat[1::2], strict=True))


_UNPACKED: Final[dict[int, Callable[[memoryview], Any]]] = {
    _Code.TUPLE: lambda body: tuple(unpack(body)),
    _Code.SET: lambda body: set(unpack(body)),
    _Code.FROZENSET: lambda body: frozenset(unpack(body)),
    _Code.BIG_INT: lambda body: int.from_bytes(body, "big", signed=True),
    _Code.DATETIME: _unpacked_datetime,
    _Code.DATE: lambda body: date.fromordinal(unpack(body)),
    _Code.TIME: _unpacked_time,
    _Code.TIMEDELTA: lambda body: timedelta(*unpack(body)),
    _Code.DECIMAL: lambda body: Decimal(str(body, "ascii")),
    _Code.UUID: lambda body: UUID(bytes=bytes(body)),
    _Code.TAGGED: lambda body: rebuilt(unpack(body)),
    _Code.PAIRS: _unpacked_pairs,
    _Code.SURROGATE_STR: lambda body: str(body, "utf-8", "surrogatepass"),
}


def _unpack_extension(code: int, body: memoryview) -> Any:
    unpacked = _UNPACKED.get(code)
    if unpacked is None:
        raise StateTypeError(
            f"state has a value with the unknown extension code {code}: it was written by a later "
            "version of streamlet; restore it with that version"
        )
    return unpacked(body)


unpack: Final[Callable[[bytes | memoryview], Any]] = Decoder(ext_hook=_unpack_extension).decode
"""What the bytes were made of; raises StateTypeError when a class is unknown."""
