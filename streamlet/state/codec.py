"""Values of state as bytes: self-describing MessagePack that gives back exactly what it got."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final, Protocol

from streamlet.errors import StateTypeError
from streamlet.state.extensions import ATOMS, Encoded, pack, packable, packed_tuple, unpack

__all__ = [
    "ATOMS",
    "DEFAULT_CODEC",
    "Codec",
    "Encoded",
    "MessagePackCodec",
    "decode",
    "encode",
    "encode_all",
    "handed_out",
    "keep",
    "keep_payload",
]

_PLAIN: Final = ATOMS | {list}
_PLAIN_LEVELS: Final = 4
_CONTAINER_BYTES: Final = frozenset(
    [*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF]  # maps and arrays: never an atom nor a tuple
)


class Codec(Protocol):
    """Turns values into bytes and back; given to a descriptor as `codec=`."""

    def encode(self, value: Any, /) -> bytes: ...

    def decode(self, payload: bytes, /) -> Any: ...


def encode(value: Any) -> bytes:
    """The value as bytes; raises StateTypeError for what could not be read back as it was."""
    kind = type(value)
    try:
        if kind in ATOMS:
            return pack(value)
        if kind is tuple and ATOMS.issuperset(map(type, value)):
            return packed_tuple(value)
    except (OverflowError, UnicodeEncodeError):
        pass  # an int beyond 64 bits or a lone surrogate: the way below knows them
    try:
        return pack(packable(value))
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
            return list(map(packed_tuple, values))
        if _is_plain(values, kinds):
            return list(map(pack, values))
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


decode: Final[Callable[[bytes], Any]] = unpack
"""The value of a payload that `encode` gave; raises StateTypeError when its class is unknown."""


class MessagePackCodec:
    """The codec of every state that is not given another."""

    encode = staticmethod(encode)
    decode = staticmethod(decode)

    def __repr__(self) -> str:
        return "MessagePackCodec()"


DEFAULT_CODEC: Final[Codec] = MessagePackCodec()
