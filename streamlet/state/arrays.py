"""Dirty entries as numpy arrays: a slot per key, and an array for each part of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.state.layout import MISSING

Slots: TypeAlias = npt.NDArray[np.intp]
Part: TypeAlias = npt.NDArray[Any]
"""One item per key or slot; `tolist()` gives Python's own objects."""
ValuesOf: TypeAlias = Callable[[Sequence[list[Any]]], list[Any]]
"""From the parts of some values, parallel lists, to the values that a table gives."""

ABSENT: Final = -1
_PIECE: Final = 4_096
_FIRST_SLOTS: Final = 1_024


class KeyedArrays(Mapping[Any, Any]):
    """The part of a table's dirty entries that batches of columns work on.

    Whoever asks for one entry gets a value made for it, which may be kept and changed.

    >>> arrays = KeyedArrays(lambda parts: list(zip(*parts)), [np.dtype(np.int64)] * 2)
    >>> arrays.insert(["a", "b"], [np.array([1, 2]), np.array([10, 20])])
    >>> arrays.find(["b", "c"]).tolist(), dict(arrays)
    ([1, -1], {'a': (1, 10), 'b': (2, 20)})
    """

    __slots__ = ("_end", "_free", "_is_in_order", "_parts", "_slots", "_values_of")

    def __init__(self, values_of: ValuesOf, dtypes: Iterable[np.dtype[Any]]) -> None:
        self._values_of = values_of
        self._slots: dict[Any, int] = {}
        self._free: list[int] = []
        self._is_in_order = True
        """Whether slots ascend in the order of the keys: until one is used again."""
        self._end = 0
        """Slots from here on were never used."""
        self._parts: list[Part] = [np.zeros(_FIRST_SLOTS, dtype) for dtype in dtypes]

    def __getitem__(self, key: Any) -> Any:
        return self._values_at([self._slots[key]])[0]

    def get(self, key: Any, default: Any = None) -> Any:
        """A value made for whoever asks."""
        slot = self._slots.get(key)
        return default if slot is None else self._values_at([slot])[0]

    def __contains__(self, key: Any) -> bool:
        return key in self._slots

    def __iter__(self) -> Iterator[Any]:
        return iter(self._slots)

    def __reversed__(self) -> Iterator[Any]:
        return iter(reversed(self._slots))

    def __len__(self) -> int:
        return len(self._slots)

    def __repr__(self) -> str:
        return f"KeyedArrays({dict(self.items())})"

    def items(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]
        """All entries; none may change meanwhile. Quicker than one by one."""
        remaining = iter(self._slots.items())
        while piece := dict(islice(remaining, _PIECE)):
            yield from zip(piece, self._values_at(list(piece.values())), strict=True)

    def columns(self) -> tuple[list[Any], list[Part]]:
        """All keys, and beside them the parts of their values."""
        keys = list(self._slots)
        if self._is_in_order and len(keys) == self._end:  # a key for each slot, side by side
            return keys, [part[: self._end] for part in self._parts]
        return keys, self.read(np.fromiter(self._slots.values(), np.intp, len(keys)))

    def find(self, keys: Sequence[Any]) -> Slots:
        """The slot of each key, or ABSENT."""
        return np.fromiter(map(self._slots.get, keys, repeat(ABSENT)), np.intp, len(keys))

    def read(self, slots: Slots) -> list[Part]:
        """Each part of the values in these slots, copied; anything where a slot is ABSENT."""
        return [part[slots] for part in self._parts]

    def write(self, slots: Slots, parts: Sequence[Part]) -> None:
        """Sets the values in these slots."""
        for number, newer in enumerate(parts):
            part = self._parts[number]
            if newer.dtype != part.dtype:  # from now on any object may stand there
                newer = as_objects(newer)
                part = self._parts[number] = as_objects(part)
            part[slots] = newer

    def put(self, keys: Sequence[Any], slots: Slots, parts: Sequence[Part]) -> Sequence[Any]:
        """Sets the values of keys, each once, whose slots `find` gave; gives those that are new."""
        is_new = slots == ABSENT
        if is_new.all():
            new = keys
            self.insert(keys, parts)
        elif is_new.any():
            self.write(slots[~is_new], [part[~is_new] for part in parts])
            new = list(map(keys.__getitem__, np.flatnonzero(is_new).tolist()))
            self.insert(new, [part[is_new] for part in parts])
        else:
            new = ()
            self.write(slots, parts)
        return new

    def insert(self, keys: Sequence[Any], parts: Sequence[Part]) -> None:
        """Adds keys, each once, that are not there yet."""
        slots = self._unused(len(keys))
        self._slots.update(zip(keys, slots.tolist(), strict=True))
        self.write(slots, parts)

    def pop(self, key: Any) -> Any:
        """Removes the entry and gives its value, or MISSING."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return MISSING
        self._free.append(slot)
        return self._values_at([slot])[0]

    def discard(self, key: Any) -> None:
        """Removes the entry if it is there."""
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._free.append(slot)

    def remove(self, keys: Iterable[Any]) -> None:
        """Removes entries that are there."""
        self._free += map(self._slots.pop, keys)

    def _values_at(self, slots: list[int]) -> list[Any]:
        at = np.array(slots, np.intp)
        return self._values_of([part[at].tolist() for part in self._parts])

    def _unused(self, count: int) -> Slots:
        """So many slots for new keys."""
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        begin, self._end = self._end, self._end + count - len(reused)
        self._grow(self._end)
        fresh = np.arange(begin, self._end)
        if not reused:
            return fresh
        self._is_in_order = False
        return np.concatenate([np.array(reused, np.intp), fresh])

    def _grow(self, end: int) -> None:
        for number, part in enumerate(self._parts):
            if end > len(part):
                grown = np.zeros(max(end, 2 * len(part)), part.dtype)
                grown[: len(part)] = part
                self._parts[number] = grown


def as_objects(part: Part) -> Part:
    """The same items as Python's objects, so that any other may stand beside them.

    >>> as_objects(np.array([1, 2])).tolist(), as_objects(np.array([1, 2])).dtype
    ([1, 2], dtype('O'))
    """
    return part if part.dtype == object else np.fromiter(part.tolist(), object, len(part))
