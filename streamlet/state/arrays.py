"""Dirty entries as numpy arrays: a slot per key, and an array for each part of their values."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.kept import INTS, objects
from streamlet.state.key_index import (
    ABSENT,
    IntIndex,
    KeyIndex,
    Keys,
    Slots,
    as_object_index,
)
from streamlet.state.layout import MISSING

Part: TypeAlias = npt.NDArray[Any]
"""One item per key or slot; `tolist()` gives Python's own objects."""
ValuesOf: TypeAlias = Callable[[Sequence[list[Any]]], list[Any]]
"""From the parts of some values, parallel lists, to the values that a table gives."""
Names: TypeAlias = npt.NDArray[Any]
"""How batches call keys: an array of them, or of their numbers."""

PIECE: Final = 4_096
"""So many entries are read in one go."""
_FIRST_SLOTS: Final = 128


class Arrays(Mapping[Any, Any]):
    """The part of a table's dirty entries that batches of columns work on.

    As a mapping it has the keys themselves. Whoever asks for one entry gets a value made for it,
    which may be kept and changed.
    """

    __slots__ = ("_end", "_free", "_parts", "_values_of")

    def __init__(self, values_of: ValuesOf, dtypes: Iterable[np.dtype[Any]]) -> None:
        self._values_of = values_of
        self._free = array("q")
        self._end = 0
        """Slots from here on were never used."""
        self._parts: list[Part] = [np.zeros(_FIRST_SLOTS, dtype) for dtype in dtypes]

    @abstractmethod
    def find(self, names: Names) -> Slots:
        """The slot of each key, or ABSENT."""

    @abstractmethod
    def find_keys(self, keys: Keys) -> Slots:
        """The same by the keys themselves; changes nothing."""

    @abstractmethod
    def names_of(self, keys: Keys) -> Names:
        """What batches call these keys."""

    @abstractmethod
    def keys_of(self, names: Names) -> Keys:
        """The keys that are called so."""

    @abstractmethod
    def _slot(self, key: Any) -> int:
        """The key's slot, or ABSENT."""

    @abstractmethod
    def _forget(self, key: Any) -> int:
        """The same, and removes it."""

    @abstractmethod
    def _remember(self, names: Names, slots: Slots) -> None:
        """These slots are those of these keys, which had none."""

    @abstractmethod
    def _all(self) -> tuple[Keys, Slots]:
        """All keys, and their slots."""

    @abstractmethod
    def _pieces(self) -> Iterator[tuple[Keys, Slots]]:
        """The same in pieces: all at once would stall the loop, also from another thread."""

    def __getitem__(self, key: Any) -> Any:
        slot = self._slot(key)
        if slot == ABSENT:
            raise KeyError(key)
        return self._value_at(slot)

    def get(self, key: Any, default: Any = None) -> Any:
        """A value made for whoever asks."""
        slot = self._slot(key)
        return default if slot == ABSENT else self._value_at(slot)

    def __contains__(self, key: Any) -> bool:
        return self._slot(key) != ABSENT

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())})"

    def items(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]
        """All entries; none may change meanwhile. Quicker than one by one."""
        for keys, slots in self._pieces():
            yield from zip(keys.tolist(), self._values_at(slots), strict=True)

    def columns(self) -> tuple[Keys, list[Part]]:
        """All keys, and beside them the parts of their values, copied."""
        keys, slots = self._all()
        return keys, self.read(slots)

    def has_objects(self) -> bool:
        """Whether values have parts that are Python's objects, which others may have, too."""
        return any(part.dtype == object for part in self._parts)

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

    def put(self, names: Names, slots: Slots, parts: Sequence[Part]) -> Names:
        """Sets the values of keys, each once, whose slots `find` gave; gives those that are new."""
        is_new = slots == ABSENT
        new: Names = names[is_new]
        if is_new.all():
            self.insert(names, parts)
        elif is_new.any():
            self.write(slots[~is_new], [part[~is_new] for part in parts])
            self.insert(new, [part[is_new] for part in parts])
        else:
            self.write(slots, parts)
        return new

    def insert(self, names: Names, parts: Sequence[Part]) -> None:
        """Adds keys, each once, that are not there yet."""
        slots = self._unused(len(parts[0]))
        self._remember(names, slots)
        self.write(slots, parts)

    def pop(self, key: Any) -> Any:
        """Removes the entry and gives its value, or MISSING."""
        slot = self._forget(key)
        if slot == ABSENT:
            return MISSING
        self._free.append(slot)
        return self._value_at(slot)

    def discard(self, key: Any) -> None:
        """Removes the entry if it is there."""
        slot = self._forget(key)
        if slot != ABSENT:
            self._free.append(slot)

    def _value_at(self, slot: int) -> Any:
        return self._values_at(np.array([slot]))[0]

    def _values_at(self, slots: Slots) -> list[Any]:
        return self._values_of([part.tolist() for part in self.read(slots)])

    def _unused(self, count: int) -> Slots:
        """So many slots for new keys."""
        rest = max(len(self._free) - count, 0)
        reused = np.array(self._free[rest:], np.intp)
        del self._free[rest:]
        begin, self._end = self._end, self._end + count - len(reused)
        self._parts = [grown(part, self._end) for part in self._parts]
        fresh = np.arange(begin, self._end)
        return np.concatenate([reused, fresh]) if len(reused) else fresh


class KeyedArrays(Arrays):
    """Entries by their keys.

    >>> arrays = KeyedArrays(lambda parts: list(zip(*parts)), [np.dtype(np.int64)] * 2)
    >>> arrays.insert(np.array([7, 5]), [np.array([1, 2]), np.array([10, 20])])
    >>> arrays.find(np.array([5, 6])).tolist(), arrays[7]
    ([1, -1], (1, 10))
    """

    __slots__ = ("_index",)

    def __init__(self, values_of: ValuesOf, dtypes: Iterable[np.dtype[Any]]) -> None:
        super().__init__(values_of, dtypes)
        self._index: KeyIndex = IntIndex()
        """Of whole numbers until another key comes."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._index)

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def find(self, names: Keys) -> Slots:
        return self._index.find(names)

    def find_keys(self, keys: Keys) -> Slots:
        return self._index.find(keys)

    def names_of(self, keys: Keys) -> Keys:
        return keys

    def keys_of(self, names: Keys) -> Keys:
        return names

    def remove(self, keys: Keys) -> None:
        """Removes entries that are there."""
        self._free.extend(self._index.forget(keys).tolist())

    def pop_values(self, keys: Keys) -> list[Any]:
        """Removes entries that are there, and gives their values."""
        slots = self._index.forget(keys)
        self._free.extend(slots.tolist())
        return self._values_at(slots)

    def _slot(self, key: Any) -> int:
        return self._index.get(key, ABSENT)

    def _forget(self, key: Any) -> int:
        return self._index.pop(key, ABSENT)

    def _remember(self, names: Keys, slots: Slots) -> None:
        if names.dtype != INTS:
            self._index = as_object_index(self._index)
        self._index.remember(names, slots)

    def _all(self) -> tuple[Keys, Slots]:
        return self._index.all()

    def _pieces(self) -> Iterator[tuple[Keys, Slots]]:
        return self._index.pieces(PIECE)


def grown(part: Part, size: int) -> Part:
    """The array, or a copy at least twice as long where it has no room for so many items."""
    if size <= len(part):
        return part
    larger = np.zeros(max(size, 2 * len(part)), part.dtype)
    larger[: len(part)] = part
    return larger


def as_objects(part: Part) -> Part:
    """The same items as Python's objects, so that any other may stand beside them.

    >>> as_objects(np.array([1, 2])).tolist(), as_objects(np.array([1, 2])).dtype
    ([1, 2], dtype('O'))
    """
    return part if part.dtype == object else objects(part.tolist())
