"""Which slot each key has: of whole numbers in numpy arrays, of any other keys in a dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.kept import INTS, objects

Keys: TypeAlias = npt.NDArray[Any]
"""Keys, in an array of int64 or of Python's objects; `tolist` gives the keys as rows have them."""
Slots: TypeAlias = npt.NDArray[np.intp]

ABSENT: Final = -1

_FIRST_PLACES: Final = 256
_PIECE: Final = 16_384
"""Places that are read at a time, so that what is made of them stays in a cache."""
_EMPTY: Final = -1
_REMOVED: Final = -2
_FIRST_MULTIPLIER: Final = 0x9E3779B97F4A7C15
"""The golden ratio of 64 bits: consecutive numbers are spread evenly over the upper bits."""
_SECOND_MULTIPLIER: Final = 0xD6E8FEB86659FD93
"""So are numbers with any fixed step, such as ids that begin with a time, once both halves of the
first product are mixed."""
_HALF: Final = 32
_BITS: Final = 64
_ALL_BITS: Final = 2**_BITS - 1
_INT_RANGE: Final = range(-(2**63), 2**63)


def keys_array(keys: Sequence[Any]) -> Keys:
    """The keys as an array.

    >>> keys_array([2, 1]).dtype, keys_array([2, "a"]).dtype
    (dtype('int64'), dtype('O'))
    """
    if {int}.issuperset(map(type, keys)):
        try:
            return np.array(keys, INTS)
        except OverflowError:
            pass
    return objects(keys)


def joined(parts: Sequence[Keys]) -> Keys:
    """The keys of all parts, one after the other.

    >>> joined([np.array([1]), keys_array(["a"])]).tolist()
    [1, 'a']
    """
    if len({part.dtype for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts) if parts else keys_array([])


class ObjectIndex(dict[Any, int]):
    """Of keys of any kind.

    >>> index = ObjectIndex()
    >>> index.remember(keys_array(["a", "b"]), np.array([0, 1]))
    >>> index.find(keys_array(["b", "c"])).tolist()
    [1, -1]
    """

    def find(self, keys: Keys) -> Slots:
        """The slot of each key, or ABSENT."""
        return np.fromiter(map(self.get, keys.tolist(), repeat(ABSENT)), np.intp, len(keys))

    def remember(self, keys: Keys, slots: Slots) -> None:
        """Adds keys that are not there."""
        self.update(zip(keys.tolist(), slots.tolist(), strict=True))

    def forget(self, keys: Keys) -> Slots:
        """Removes keys that are there; gives the slots they had."""
        return np.fromiter(map(self.pop, keys.tolist()), np.intp, len(keys))

    def all(self) -> tuple[Keys, Slots]:
        """All keys, and their slots."""
        slots = np.fromiter(self.values(), np.intp, len(self))
        return np.fromiter(self, object, len(self)), slots

    def pieces(self, size: int) -> Iterator[tuple[Keys, Slots]]:
        """The same, so many at a time; none may change meanwhile."""
        keys, slots = iter(self), iter(self.values())
        for _ in range(0, len(self), size):
            piece = np.fromiter(islice(keys, size), object)
            yield piece, np.fromiter(islice(slots, size), np.intp)


class IntIndex:
    """Of whole numbers of 64 bits: a hash table with linear probing, many keys in a few steps.

    >>> index = IntIndex()
    >>> index.remember(np.array([7, -3]), np.array([0, 1]))
    >>> index.find(np.array([-3, 8])).tolist(), index.get(7, ABSENT)
    ([1, -1], 0)
    """

    __slots__ = ("_free", "_key_views", "_keys", "_shift", "_size", "_slot_views", "_slots")

    def __init__(self) -> None:
        self._size = 0
        self._make_places(_FIRST_PLACES)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        for keys, _ in self.pieces(_PIECE):
            yield from keys.tolist()

    def __reversed__(self) -> Iterator[int]:
        """In no particular order, as `iter`: which came last is not known."""
        return iter(self)

    def find(self, keys: Keys) -> Slots:
        """The slot of each key, or ABSENT."""
        if keys.dtype != INTS:
            return np.fromiter(map(self.get, keys.tolist(), repeat(ABSENT)), np.intp, len(keys))
        places = self._find(keys)
        slots = self._slots[places].astype(np.intp)
        slots[places == ABSENT] = ABSENT
        return slots

    def get(self, key: Any, default: int) -> int:
        """The slot of one key; quicker than `find`."""
        place = self._place_of(key)
        return default if place == ABSENT else self._slot_views[place]

    def pop(self, key: Any, default: int) -> int:
        """Removes the key if it is there; gives the slot it had."""
        place = self._place_of(key)
        if place == ABSENT:
            return default
        slot = self._slot_views[place]
        self._slot_views[place] = _REMOVED
        self._size -= 1
        return slot

    def remember(self, keys: Keys, slots: Slots) -> None:
        """Adds keys, each once, that are not there."""
        if self._free < len(keys):
            known = self.pieces(_PIECE)
            self._make_places(3 * (self._size + len(keys)))
            for piece in known:
                self._insert(*piece)
        self._insert(keys, slots)
        self._size += len(keys)

    def forget(self, keys: Keys) -> Slots:
        """Removes keys that are there; gives the slots they had."""
        if keys.dtype != INTS:
            return np.fromiter(map(self.pop, keys.tolist(), repeat(ABSENT)), np.intp, len(keys))
        places = self._find(keys)
        slots = self._slots[places].astype(np.intp)
        self._slots[places] = _REMOVED
        self._size -= len(keys)
        return slots

    def all(self) -> tuple[Keys, Slots]:
        """All keys, and their slots."""
        is_used = self._slots >= 0
        return self._keys[is_used], self._slots[is_used].astype(np.intp)

    def pieces(self, size: int) -> Iterator[tuple[Keys, Slots]]:
        """The same, about so many at a time; none may change meanwhile."""
        return _pieces(self._keys, self._slots, size)

    def _make_places(self, count: int) -> None:
        """At least so many, all empty; no more than half will be used."""
        bits = max(count, _FIRST_PLACES - 1).bit_length()
        self._shift = _BITS - bits
        self._keys = np.zeros(1 << bits, INTS)
        self._slots = np.full(1 << bits, _EMPTY, np.int32)
        self._free = 1 << (bits - 1)
        # One by one they are read far quicker so.
        self._key_views, self._slot_views = self._keys.data, self._slots.data

    def _home(self, keys: Keys) -> Slots:
        """Where the search for each key begins."""
        spread = keys.view(np.uint64) * np.uint64(_FIRST_MULTIPLIER)
        spread ^= spread >> np.uint64(_HALF)
        spread *= np.uint64(_SECOND_MULTIPLIER)
        spread >>= np.uint64(self._shift)
        return spread.view(np.intp)

    def _find(self, keys: Keys) -> Slots:
        """The place of each key, or ABSENT. Those that are removed are passed over."""
        places, last = self._home(keys), len(self._keys) - 1
        searching = np.arange(len(keys))
        at, sought = places.copy(), keys
        while len(searching):
            slots = self._slots[at]
            is_empty = slots == _EMPTY
            goes_on = ~is_empty & ((self._keys[at] != sought) | (slots < 0))
            places[searching[is_empty]] = ABSENT
            searching = searching[goes_on]
            at = places[searching] = (at[goes_on] + 1) & last
            sought = keys[searching]
        return places

    def _insert(self, keys: Keys, slots: Slots) -> None:
        """Gives each key the first place that is free; where several want it, one gets it."""
        at, last = self._home(keys), len(self._keys) - 1
        while len(keys):
            taken = self._slots[at]
            is_free = taken < 0
            self._keys[at[is_free]] = keys[is_free]
            gets_it = is_free & (self._keys[at] == keys)
            self._free -= int(np.count_nonzero(gets_it & (taken == _EMPTY)))
            self._slots[at[gets_it]] = slots[gets_it]
            waits = ~gets_it
            keys, slots, at = keys[waits], slots[waits], (at[waits] + 1) & last

    def _place_of(self, key: Any) -> int:
        if key.__class__ is not int or key not in _INT_RANGE:
            return ABSENT
        keys, slots = self._key_views, self._slot_views
        spread = key * _FIRST_MULTIPLIER & _ALL_BITS
        spread = (spread ^ spread >> _HALF) * _SECOND_MULTIPLIER & _ALL_BITS
        place, last = spread >> self._shift, len(keys) - 1
        while (slot := slots[place]) != _EMPTY:
            if slot >= 0 and keys[place] == key:
                return place
            place = (place + 1) & last
        return ABSENT


def _pieces(keys: Keys, slots: npt.NDArray[np.int32], size: int) -> Iterator[tuple[Keys, Slots]]:
    for start in range(0, len(keys), size):
        piece = slice(start, start + size)
        is_used = slots[piece] >= 0
        yield keys[piece][is_used], slots[piece][is_used].astype(np.intp)


KeyIndex: TypeAlias = IntIndex | ObjectIndex


def as_object_index(index: KeyIndex) -> ObjectIndex:
    """The same keys, so that any others may be added."""
    if isinstance(index, ObjectIndex):
        return index
    objects = ObjectIndex()
    objects.remember(*index.all())
    return objects


def unique(keys: Keys) -> Keys:
    """Each key once, in the order in which they first come.

    >>> unique(np.array([3, 1, 3])).tolist()
    [3, 1]
    """
    if keys.dtype != INTS:
        once: Iterable[Any] = dict.fromkeys(keys.tolist())
        return np.fromiter(once, object)
    firsts = np.unique(keys, return_index=True)[1]
    return keys[np.sort(firsts)]
