"""List and map state: handles with many values per key (ST-1, ST-2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Generic

from typing_extensions import TypeVar

from streamlet.errors import RecordError, StateTypeError
from streamlet.state.cells import Cell, MapCell
from streamlet.state.codec import ATOMS, DEFAULT_CODEC, Codec, Encoded, decode, encode, handed_out
from streamlet.state.descriptors import ListStateDescriptor, MapStateDescriptor
from streamlet.state.keys import canonical_key
from streamlet.state.layout import MISSING
from streamlet.state.single_states import kept_as_is, kept_value

T = TypeVar("T", default=Any)
K = TypeVar("K", default=Any)
V = TypeVar("V", default=Any)

_PLAIN_MAP_KEYS: Final = frozenset({str, int, bytes})


class ListState(Generic[T]):
    """A list of values per key; None is refused before anything is written (ST-2)."""

    __slots__ = ("_cell", "_codec", "_name", "_takes_as_is")

    def __init__(self, descriptor: ListStateDescriptor[T], cell: Cell) -> None:
        self._cell = cell
        self._name = descriptor.name
        self._codec = descriptor.codec
        self._takes_as_is = kept_as_is(self._codec) - {type(None)}

    def get(self) -> list[T]:
        """The elements in the order they were added; a list of the caller's own."""
        elements = self._cell.get()
        if elements is MISSING:
            return []
        if ATOMS.issuperset(map(type, elements)):
            return list(elements)
        codec = self._codec
        return [handed_out(element, codec) for element in elements]

    def add(self, value: T) -> None:
        self._extend([self._kept(value)])

    def add_all(self, values: Iterable[T]) -> None:
        """Adds all or, when one is refused, none."""
        self._extend([self._kept(value) for value in values])

    def update(self, values: Iterable[T]) -> None:
        """Replaces the list; no values clear it."""
        elements = [self._kept(value) for value in values]
        if elements:
            self._cell.put(elements)
        else:
            self._cell.remove()

    def clear(self) -> None:
        self._cell.remove()

    def _kept(self, value: T) -> Any:
        if type(value) in self._takes_as_is:
            return value
        if value is None:
            raise TypeError(f"list state {self._name!r} cannot hold None")
        return kept_value(value, self._codec, self._name)

    def _extend(self, added: list[Any]) -> None:
        if not added:
            return
        elements = self._cell.for_update()
        if elements is MISSING:
            self._cell.put(added)
        else:
            elements.extend(added)


class MapState(Generic[K, V]):
    """A map per key. It iterates by ascending map key, on every store.

    Map keys follow the rules of `key_by`: `True`, `1` and `1.0` are the map key 1. Where they do
    not compare with each other, their encoding gives the order.
    """

    __slots__ = ("_cell", "_codec", "_name", "_takes_as_is")

    def __init__(self, descriptor: MapStateDescriptor[K, V], cell: MapCell) -> None:
        self._cell = cell
        self._name = descriptor.name
        self._codec = descriptor.codec
        self._takes_as_is = kept_as_is(self._codec)

    def get(self, key: K) -> V | None:
        """The value, or None when there is none."""
        kept = self._cell.get(key if type(key) in _PLAIN_MAP_KEYS else self._map_key(key))
        if kept is MISSING:
            return None
        if kept.__class__ not in ATOMS:
            kept = handed_out(kept, self._codec)
        return kept  # type: ignore[no-any-return]

    def put(self, key: K, value: V) -> None:
        if type(value) not in self._takes_as_is:
            value = kept_value(value, self._codec, self._name)
        self._cell.put(key if type(key) in _PLAIN_MAP_KEYS else self._map_key(key), value)

    def put_all(self, entries: Mapping[K, V]) -> None:
        """Puts all entries or, when one is refused, none."""
        kept = [
            (self._map_key(key), kept_value(value, self._codec, self._name))
            for key, value in entries.items()
        ]
        for map_key, value in kept:
            self._cell.put(map_key, value)

    def remove(self, key: K) -> None:
        self._cell.remove(self._map_key(key))

    def contains(self, key: K) -> bool:
        return self._cell.get(self._map_key(key)) is not MISSING

    def items(self) -> list[tuple[K, V]]:
        codec = self._codec
        return [(key, handed_out(kept, codec)) for key, kept in self._cell.scan()]

    def keys(self) -> list[K]:
        return [key for key, _ in self._cell.scan()]

    def values(self) -> list[V]:
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        return self._cell.is_empty()

    def clear(self) -> None:
        self._cell.drop()

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __getitem__(self, key: K) -> V:
        """The value; raises KeyError when there is none."""
        kept = self._cell.get(self._map_key(key))
        if kept is MISSING:
            raise KeyError(key)
        return handed_out(kept, self._codec)  # type: ignore[no-any-return]

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        if not self.contains(key):
            raise KeyError(key)
        self.remove(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def _map_key(self, key: K) -> Any:
        if type(key) in _PLAIN_MAP_KEYS:
            return key
        try:
            return canonical_key(key)
        except RecordError as error:
            raise StateTypeError(f"map state {self._name!r}: {error}") from None


class ElementsCodec:
    """A list state's elements as one value, when each is encoded by the user's own codec."""

    def __init__(self, inner: Codec) -> None:
        self.inner = inner

    def encode(self, elements: list[Encoded], /) -> bytes:
        return encode([element.payload for element in elements])

    def decode(self, payload: bytes, /) -> list[Encoded]:
        return [Encoded(element) for element in decode(payload)]


def elements_codec(codec: Codec) -> Codec:
    """The codec of a whole list whose elements have this codec."""
    return DEFAULT_CODEC if codec is DEFAULT_CODEC else ElementsCodec(codec)
