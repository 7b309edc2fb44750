"""How much memory entries of state take, roughly: measured on a few of them, not on all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from sys import getsizeof
from typing import Any, Final

from streamlet.state.codec import ATOMS, Encoded
from streamlet.state.layout import Absent

_SLOT_BYTES: Final = 100
"""What a dict needs for an entry while it grows, on average."""
_DICT_BYTES: Final = 232
_FIRST_GUESS_BYTES: Final = 300
_SAMPLES: Final = 8
_SHARED: Final = frozenset({bool, type(None), Absent})
"""Of these there is one of each in the process."""
_LEVELS: Final = 4
_COUNTED_OUTERS: Final = 64


class Weight:
    """The bytes that an entry of one table takes, key and place in the dict included."""

    __slots__ = ("_is_nested", "_is_noted", "entry_bytes")

    def __init__(self, is_nested: bool) -> None:
        self.entry_bytes: float = _FIRST_GUESS_BYTES
        self._is_nested = is_nested
        self._is_noted = False

    def note(self, entry: Any, value: Any) -> None:
        """Takes one more entry into the moving average."""
        measured = _SLOT_BYTES + size_of(entry) + size_of(value)
        share = 1 / _SAMPLES if self._is_noted else 1
        self.entry_bytes += (measured - self.entry_bytes) * share
        self._is_noted = True

    def note_newest(self, layer: Mapping[Any, Any]) -> None:
        """Measures a few of the entries that came last."""
        for entry in islice(reversed(layer), _SAMPLES):
            value = layer[entry]
            if not self._is_nested:
                self.note(entry, value)
                continue
            alone = size_of(entry) + _SLOT_BYTES + _DICT_BYTES
            for inner in islice(reversed(value), 1):
                self.note(inner, value[inner])
                self.entry_bytes += alone / len(value) / _SAMPLES

    def of(self, entries: int) -> int:
        """The bytes of so many entries."""
        return int(self.entry_bytes * entries)


def entries_in(layer: Mapping[Any, Mapping[Any, Any]]) -> int:
    """How many entries a nested layer has; an estimate when there are very many outers."""
    outers = len(layer)
    counted = sum(map(len, islice(layer.values(), _COUNTED_OUTERS)))
    return counted if outers <= _COUNTED_OUTERS else counted * outers // _COUNTED_OUTERS


def size_of(value: Any, levels: int = _LEVELS) -> int:
    """The bytes of an object and what it holds; of many alike a few are measured.

    >>> size_of("x" * 1_000) > 1_000 and size_of([list(range(1_000))] * 1_000) > 1_000_000
    True
    """
    kind = type(value)
    if kind in _SHARED:
        return 0
    size = getsizeof(value)
    if kind in ATOMS or levels == 0:
        return size
    if kind is Encoded:
        return size + getsizeof(value.payload)
    parts = _parts(value)
    few = list(islice(parts, _SAMPLES))
    if few:
        size += sum(size_of(part, levels - 1) for part in few) * max(1, _length(value) // len(few))
    return size


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain.from_iterable(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    return getattr(value, "__dict__", {}).values()


def _length(value: Any) -> int:
    if isinstance(value, dict):
        return 2 * len(value)
    return len(value) if isinstance(value, list | tuple | set | frozenset) else 1
