"""What keyed state holds for the keys of a batch of columns, as arrays to fold into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from streamlet.column_folds.kept import kept_array
from streamlet.column_folds.named import NamedFolds
from streamlet.state.arrays import Arrays, Names, Part
from streamlet.state.key_index import ABSENT, Keys, Slots, keys_array, unique
from streamlet.state.layout import MISSING


def accumulators_of(parts: Sequence[list[Any]]) -> list[list[Any]]:
    """The accumulators of each key, as rows keep them, from those of each aggregate."""
    return list(map(list, zip(*parts, strict=True)))


def parts_of(accumulators: Sequence[Sequence[Any]], folds: NamedFolds) -> list[Part]:
    """The other way round, for at least one key."""
    columns = zip(*accumulators, strict=True)
    return [kept_array(column, dtype) for column, dtype in zip(columns, folds.dtypes, strict=True)]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where state of keys may stand that is not in arrays."""

    layers: Sequence[Mapping[Any, Any]]
    """Newest first, those of a frozen generation and what is dirty."""
    take: Callable[[Any], Any]
    """Takes one entry out, of these and of all that lies below; MISSING: there is none."""
    to_parts: Callable[[Sequence[Any]], list[Part]]
    """Makes arrays of what was taken."""


def slots_of(arrays: Arrays, names: Names, elsewhere: Elsewhere) -> Slots:
    """The slot of each key, or ABSENT; what stands elsewhere is moved into the arrays."""
    slots = arrays.find(names)
    is_absent = slots == ABSENT
    if is_absent.any():
        absent = names[is_absent]
        # Each key once: a second look would find what lies below the value that was taken.
        _move_in(arrays, unique(arrays.keys_of(absent)), elsewhere)
        slots[is_absent] = arrays.find(absent)
    return slots


def _move_in(arrays: Arrays, keys: Keys, elsewhere: Elsewhere) -> None:
    """Adds the keys of which there is state: from frozen arrays all at once, else one by one."""
    singly: list[Any] = []
    for layer in elsewhere.layers:
        if isinstance(layer, Arrays) and not layer.has_objects():
            slots = layer.find_keys(keys)
            is_there = slots != ABSENT
            arrays.insert(arrays.names_of(keys[is_there]), layer.read(slots[is_there]))
            keys = keys[~is_there]
        elif layer:
            found = map(layer.__contains__, keys.tolist())
            is_there = np.fromiter(found, np.bool_, len(keys))
            singly += keys[is_there].tolist()
            keys = keys[~is_there]
    take, rest = elsewhere.take, chain(singly, keys.tolist())
    taken = {key: value for key in rest if (value := take(key)) is not MISSING}
    if taken:
        names = arrays.names_of(keys_array(list(taken)))
        arrays.insert(names, elsewhere.to_parts(list(taken.values())))
