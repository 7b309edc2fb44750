"""What keyed state holds for the keys of a batch of columns, as arrays to fold into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streamlet.column_folds.kept import kept_array
from streamlet.column_folds.named import NamedFolds
from streamlet.state.arrays import ABSENT, Arrays, Names, Part, Slots
from streamlet.state.layout import MISSING


def accumulators_of(parts: Sequence[list[Any]]) -> list[list[Any]]:
    """The accumulators of each key, as rows keep them, from those of each aggregate."""
    return list(map(list, zip(*parts, strict=True)))


def parts_of(accumulators: Sequence[Sequence[Any]], folds: NamedFolds) -> list[Part]:
    """The other way round, for at least one key."""
    columns = zip(*accumulators, strict=True)
    return [kept_array(column, dtype) for column, dtype in zip(columns, folds.dtypes, strict=True)]


def slots_of(
    arrays: Arrays[Names],
    names: Names,
    take: Callable[[Any], Any],
    to_parts: Callable[[Sequence[Any]], list[Part]],
) -> Slots:
    """The slot of each key, or ABSENT; what stands elsewhere (`take`) is moved into the arrays."""
    slots = arrays.find(names)
    is_absent = slots == ABSENT
    absent = arrays.where(names, is_absent)
    # Each key once: a second look would find what lies below the value that was taken.
    keys = dict.fromkeys(arrays.keys_of(absent))
    found = {key: value for key in keys if (value := take(key)) is not MISSING}
    if found:
        arrays.insert(arrays.names_of(list(found)), to_parts(list(found.values())))
        slots[is_absent] = arrays.find(absent)
    return slots
