"""[count, total] of each key, in lists as rows change them and in arrays as columns do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamlet.column_folds.kept import INTS, kept_array
from streamlet.operators.kept_keys import Elsewhere, accumulators_of, slots_of
from streamlet.state.arrays import Arrays, KeyedArrays, Part
from streamlet.state.key_index import ABSENT, Slots, keys_array, unique
from streamlet.state.key_numbers import KeyNumbers, NumberedArrays
from streamlet.state.log import Generation


def add(kept: list[Any], number: Any) -> None:
    """One more record of a key."""
    kept[0] += 1
    kept[1] += number


def counts_in_arrays() -> KeyedArrays:
    """Of no key yet."""
    return KeyedArrays(accumulators_of, (INTS, INTS))


def counts_by_number(numbers: KeyNumbers) -> NumberedArrays:
    """The same, with numbers for keys that others have, too."""
    return NumberedArrays(accumulators_of, (INTS, INTS), numbers)


def added(
    arrays: Arrays, keys: Sequence[Any], elsewhere: Elsewhere, number: Any
) -> tuple[Slots, list[Part]]:
    """Of each key once its slot, and what it has with one more record; keys may come twice."""
    names = arrays.names_of(keys_array(keys))
    found = slots_of(arrays, names, elsewhere)
    assert found.tolist() == arrays.find(names).tolist()
    slots = arrays.find(unique(names))
    kept = accumulators_of([part.tolist() for part in arrays.read(slots)])
    for at, is_new in enumerate((slots == ABSENT).tolist()):
        kept[at] = [0, 0] if is_new else kept[at]
        add(kept[at], number)
    return slots, counts(kept)


def counts(kept: Sequence[Sequence[Any]]) -> list[Part]:
    """As arrays; of objects where there is more than whole numbers."""
    return [kept_array(part, INTS) for part in zip(*kept, strict=True)]


def arrays_in(generation: Generation) -> list[Any]:
    """The frozen layers that are in arrays."""
    layers = [layer for _, layer in generation.layers]
    return [layer for layer in layers if _is_in_arrays(layer)]


def _is_in_arrays(layer: Any) -> bool:
    first = next(iter(layer.values()), None)
    return isinstance(layer, Arrays) or isinstance(first, Arrays)
