"""Values of state as bytes: self-describing MessagePack that gives back exactly what it was given.

What MessagePack lacks travels in extensions; classes travel by field name under a type tag
(`typetags.py`). Anything else is refused: a state must be readable without running foreign code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Any, Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Raw
from msgspec.msgpack import Decoder, Encoder, Ext

from streamlet.errors import StateTypeError
from streamlet.state.typetags import parts_of, rebuilt

ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""The types whose values are kept as they are: nobody can change them."""

ENCODED_ADVICE: Final = "store a dict, list, tuple or dataclass, or give the descriptor a codec=..."


class Codec(Protocol):
    """Turns values into bytes and back; given to a descriptor as `codec=`."""

    def encode(self, value: Any, /) -> bytes: ...

    def decode(self, payload: bytes, /) -> Any: ...


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


_pack: Final = Encoder().encode
_PLAIN: Final = ATOMS | {list}
_PLAIN_LEVELS: Final = 4
_TUPLE_HEADERS: Final = [bytes((0xC7, size, _Code.TUPLE)) for size in range(256)]
_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1


def encode(value: Any) -> bytes:
    """The value as bytes; raises StateTypeError for what could not be read back as it was."""
    kind = type(value)
    try:
        if kind in ATOMS:
            return _pack(value)
        if kind is tuple and ATOMS.issuperset(map(type, value)):
            return _tuple_payload(value)
    except (OverflowError, UnicodeEncodeError):
        pass  # an int beyond 64 bits or a lone surrogate: the way below knows them
    try:
        return _pack(_packable(value))
    except RecursionError:
        raise StateTypeError(
            f"a value of type {kind.__qualname__} is nested too deeply, or contains itself; "
            "state cannot keep it"
        ) from None


def encode_all(values: Iterable[Any]) -> list[bytes]:
    """`encode` of each, quick when all are atoms, lists of them, or tuples of atoms."""
    values = values if isinstance(values, list) else list(values)
    kinds = set(map(type, values))
    try:
        if kinds == {tuple} and ATOMS.issuperset(map(type, chain.from_iterable(values))):
            return list(map(_tuple_payload, values))
        if _is_plain(values, kinds):
            return list(map(_pack, values))
    except (OverflowError, UnicodeEncodeError):
        pass  # as in `encode`
    return list(map(encode, values))


def _is_plain(values: list[Any], kinds: set[type]) -> bool:
    """Whether there are only atoms and lists of them, which MessagePack has as they are.

    Looked at level by level, so that the looping is done in C.
    """
    for _ in range(_PLAIN_LEVELS):
        if kinds <= ATOMS:
            return True
        if not kinds <= _PLAIN:
            return False
        lists = values if kinds == {list} else [value for value in values if type(value) is list]
        values = list(chain.from_iterable(lists))
        kinds = set(map(type, values))
    return False


def keep(value: Any, codec: Codec) -> Any:
    """The value as state keeps it: an atom or a flat tuple of atoms as it is, else Encoded."""
    if codec is DEFAULT_CODEC:
        kind = type(value)
        if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, value))):
            return value
    return Encoded(codec.encode(value))


def keep_payload(payload: bytes, codec: Codec) -> Any:
    """What `keep` gives for the value of this payload, decoding it only when it must."""
    if codec is DEFAULT_CODEC and payload[0] not in _CONTAINER_BYTES:
        value = decode(payload)
        kind = type(value)
        if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, value))):
            return value
    return Encoded(payload)


def handed_out(kept: Any, codec: Codec) -> Any:
    """A value of state that the caller may change: decoded anew unless nobody can change it."""
    kind = type(kept)
    if kind is Encoded:
        return codec.decode(kept.payload)
    if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, kept))):
        return kept
    return _copied(kept) if codec is DEFAULT_CODEC else codec.decode(codec.encode(kept))


def _copied(value: Any) -> Any:
    """What `decode(encode(value))` would give, sooner for lists and dicts."""
    kind = type(value)
    if kind is list:
        return [part if type(part) in ATOMS else _copied(part) for part in value]
    if kind is tuple and ATOMS.issuperset(map(type, value)):
        return value
    if kind is dict and ATOMS.issuperset(map(type, value)):
        return {key: part if type(part) in ATOMS else _copied(part) for key, part in value.items()}
    return decode(encode(value))


def _tuple_payload(value: tuple[Any, ...]) -> bytes:
    body = _pack(value)
    if len(body) < 256:
        return _TUPLE_HEADERS[len(body)] + body
    return _pack(Ext(_Code.TUPLE, body))


def _packable(value: Any) -> Any:
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
    return [_packable(element) for element in value]


def _packable_dict(value: dict[Any, Any]) -> Any:
    if ATOMS.issuperset(map(type, value)):
        keys = [_packable(key) for key in value]
        if not any(type(key) is Ext for key in keys):
            return dict(zip(keys, map(_packable, value.values()), strict=True))
    return Ext(_Code.PAIRS, _pack(_packable_list(chain.from_iterable(value.items()))))


def _packable_datetime(value: datetime) -> Ext:
    parts = [*value.timetuple()[:6], value.microsecond, value.fold]
    return Ext(_Code.DATETIME, _pack([*parts, *_zone_parts(value.tzinfo)]))


def _packable_time(value: time) -> Ext:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return Ext(_Code.TIME, _pack([*parts, *_zone_parts(value.tzinfo)]))


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
        advice = "store its .item(), a value of Python's own" if is_array_scalar else ENCODED_ADVICE
        raise StateTypeError(f"state cannot keep a value of type {_name(type(value))}; {advice}")
    return Ext(_Code.TAGGED, _pack(_packable_list(parts)))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _packed_list(code: int) -> Callable[[Any], Ext]:
    return lambda value: Ext(code, _pack(_packable_list(value)))


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
    date: lambda value: Ext(_Code.DATE, _pack(value.toordinal())),
    time: _packable_time,
    timedelta: lambda value: Ext(
        _Code.TIMEDELTA, _pack([value.days, value.seconds, value.microseconds])
    ),
    Decimal: lambda value: Ext(_Code.DECIMAL, str(value).encode()),
    UUID: lambda value: Ext(_Code.UUID, value.bytes),
    # elements of a list that the engine owns are kept encoded: they go in as they are
    Encoded: lambda value: Raw(value.payload),
}

_CONTAINER_BYTES: Final = frozenset(
    [*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF]  # maps and arrays: never an atom nor a tuple
)


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
    year, month, day, hour, minute, second, microsecond, fold, *zone = _unpack(body)
    return datetime(
        year, month, day, hour, minute, second, microsecond, tzinfo=_zone(zone), fold=fold
    )


def _unpacked_time(body: memoryview) -> time:
    hour, minute, second, microsecond, fold, *zone = _unpack(body)
    return time(hour, minute, second, microsecond, tzinfo=_zone(zone), fold=fold)


def _unpacked_pairs(body: memoryview) -> dict[Any, Any]:
    flat = _unpack(body)
    return dict(zip(flat[::2], flat[1::2], strict=True))


_UNPACKED: Final[dict[int, Callable[[memoryview], Any]]] = {
    _Code.TUPLE: lambda body: tuple(_unpack(body)),
    _Code.SET: lambda body: set(_unpack(body)),
    _Code.FROZENSET: lambda body: frozenset(_unpack(body)),
    _Code.BIG_INT: lambda body: int.from_bytes(body, "big", signed=True),
    _Code.DATETIME: _unpacked_datetime,
    _Code.DATE: lambda body: date.fromordinal(_unpack(body)),
    _Code.TIME: _unpacked_time,
    _Code.TIMEDELTA: lambda body: timedelta(*_unpack(body)),
    _Code.DECIMAL: lambda body: Decimal(str(body, "ascii")),
    _Code.UUID: lambda body: UUID(bytes=bytes(body)),
    _Code.TAGGED: lambda body: rebuilt(_unpack(body)),
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


_unpack: Final[Callable[[bytes | memoryview], Any]] = Decoder(ext_hook=_unpack_extension).decode

decode: Final[Callable[[bytes], Any]] = _unpack
"""The value of a payload that `encode` gave; raises StateTypeError when its class is unknown."""


class MessagePackCodec:
    """The codec of every state that is not given another."""

    encode = staticmethod(encode)
    decode = staticmethod(decode)

    def __repr__(self) -> str:
        return "MessagePackCodec()"


DEFAULT_CODEC: Final[Codec] = MessagePackCodec()
