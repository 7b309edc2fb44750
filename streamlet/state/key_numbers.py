"""Numbers that tables share for their keys, so that a batch looks up each of its keys once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.kept import INTS
from streamlet.state.arrays import PIECE, Arrays, Part, ValuesOf, grown
from streamlet.state.key_index import ABSENT, IntIndex, Keys, Slots, unique

Numbers: TypeAlias = npt.NDArray[np.intp]

_FIRST_NUMBERS: Final = 128


class KeyNumbers(dict[Any, int]):
    """Numbers keys from 0 on, in the order in which they are first asked for.

    >>> numbers = KeyNumbers()
    >>> numbers.of_each(["b", "a", "b"]).tolist(), numbers.keys_of(np.array([1])).tolist()
    ([0, 1, 0], ['a'])
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_order: list[Any] = []
        self._ints = IntIndex()
        """Whole numbers that came in arrays of them, so that they are found many at once."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        self._in_order.append(key)
        return number

    def of(self, keys: Keys) -> Numbers:
        """The number of each key."""
        if keys.dtype != INTS:
            return self.of_each(keys.tolist())
        numbers = self._ints.find(keys)
        is_absent = numbers == ABSENT
        if is_absent.any():
            absent = unique(keys[is_absent])
            self._ints.remember(absent, self.of_each(absent.tolist()))
            numbers[is_absent] = self._ints.find(keys[is_absent])
        return numbers

    def of_each(self, keys: list[Any]) -> Numbers:
        """The same for keys that are no array."""
        return np.fromiter(map(self.__getitem__, keys), np.intp, len(keys))

    def keys_of(self, numbers: Numbers) -> Keys:
        """The key of each number."""
        keys = map(self._in_order.__getitem__, numbers.tolist())
        return np.fromiter(keys, object, len(numbers))


class NumberedArrays(Arrays):
    """Entries by the numbers of their keys.

    >>> arrays = NumberedArrays(lambda parts: list(zip(*parts)), [np.dtype(np.int64)], KeyNumbers())
    >>> arrays.insert(arrays.numbers.of_each(["a", "b"]), [np.array([1, 2])])
    >>> arrays.find(arrays.numbers.of_each(["b", "c"])).tolist(), dict(arrays)
    ([1, -1], {'a': (1,), 'b': (2,)})
    """

    __slots__ = ("_count", "_number_of", "_slot_of", "numbers")

    def __init__(
        self, values_of: ValuesOf, dtypes: Iterable[np.dtype[Any]], numbers: KeyNumbers
    ) -> None:
        super().__init__(values_of, dtypes)
        self.numbers = numbers
        self._slot_of = np.full(_FIRST_NUMBERS, ABSENT, np.int32)
        """By number."""
        self._number_of = np.zeros(_FIRST_NUMBERS, np.intp)
        """By slot; of a free one, that of a key which is not there or has another slot."""
        self._count = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all()[0].tolist())

    def __reversed__(self) -> Iterator[Any]:
        for slot in range(self._end - 1, -1, -1):
            number = self._number_of[slot]
            if self._slot_of[number] == slot:
                yield from self.numbers.keys_of(self._number_of[slot : slot + 1]).tolist()

    def __len__(self) -> int:
        return self._count

    def find(self, names: Numbers) -> Slots:
        self._make_room(names)
        return self._slot_of[names].astype(np.intp)

    def find_keys(self, keys: Keys) -> Slots:
        found = map(self.numbers.get, keys.tolist(), repeat(ABSENT))
        numbers = np.fromiter(found, np.intp, len(keys))
        slots = np.full(len(keys), ABSENT)
        has_room = (numbers != ABSENT) & (numbers < len(self._slot_of))
        slots[has_room] = self._slot_of[numbers[has_room]]
        return slots

    def names_of(self, keys: Keys) -> Numbers:
        return self.numbers.of(keys)

    def keys_of(self, names: Numbers) -> Keys:
        return self.numbers.keys_of(names)

    def numbered_columns(self) -> tuple[Numbers, list[Part]]:
        """As `columns`, with the numbers of the keys."""
        slots = self._used()
        return self._number_of[slots], self.read(slots)

    def _slot(self, key: Any) -> int:
        number = self.numbers.get(key, ABSENT)
        return ABSENT if not 0 <= number < len(self._slot_of) else int(self._slot_of[number])

    def _forget(self, key: Any) -> int:
        slot = self._slot(key)
        if slot != ABSENT:
            self._slot_of[self._number_of[slot]] = ABSENT
            self._count -= 1
        return slot

    def _remember(self, names: Numbers, slots: Slots) -> None:
        self._make_room(names)
        self._number_of = grown(self._number_of, self._end)
        self._slot_of[names] = slots
        self._number_of[slots] = names
        self._count += len(slots)

    def _pieces(self) -> Iterator[tuple[Keys, Slots]]:
        for start in range(0, self._end, PIECE):
            slots = np.arange(start, min(start + PIECE, self._end))
            numbers = self._number_of[slots]
            is_used = self._slot_of[numbers] == slots
            yield self.numbers.keys_of(numbers[is_used]), slots[is_used]

    def _all(self) -> tuple[Keys, Slots]:
        slots = self._used()
        return self.numbers.keys_of(self._number_of[slots]), slots

    def _used(self) -> Slots:
        slots = np.arange(self._end)
        if self._count == self._end:
            return slots
        used: Slots = slots[self._slot_of[self._number_of[: self._end]] == slots]
        return used

    def _make_room(self, names: Numbers) -> None:
        known = len(self._slot_of)
        if len(names) and names.max() >= known:
            self._slot_of = grown(self._slot_of, int(names.max()) + 1)
            self._slot_of[known:] = ABSENT
