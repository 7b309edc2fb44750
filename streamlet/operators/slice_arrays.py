"""What slices hold as arrays, so that a window of many keys merges them in few steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamlet.eventtime.windows import Span
from streamlet.folds import Aggregate, Best, Max
from streamlet.state.arrays import Part
from streamlet.state.key_index import Keys, keys_array
from streamlet.state.key_numbers import Ascending, KeyNumbers, NumberedArrays

FORGOTTEN_FROM: Final = 200_000
"""So many keys are numbered before those that no slice has any more are forgotten."""

Numbers: TypeAlias = npt.NDArray[Any]
"""Of type int64 or float64."""
ToColumns: TypeAlias = Callable[[Keys], "list[pa.Array] | None"]
"""Makes columns of keys, if that can be."""
_INT64_END: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class _Slice:
    numbers: npt.NDArray[np.intp]
    """Those of its keys."""
    columns: list[Numbers]
    """Per aggregate the accumulators, at the position of their key."""
    largest: list[int]
    """Per aggregate what no whole number goes beyond, below 0 or above."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a window holds, by key ascending."""

    _all: Ascending
    _is_there: npt.NDArray[np.bool_]
    columns: list[Numbers]
    """Per aggregate the accumulators of the keys that are there."""

    def keys(self) -> list[Any]:
        return list(compress(self._all.keys, self._is_there.tolist()))

    def key_arrays(self, to_columns: ToColumns) -> list[pa.Array] | None:
        """The keys as columns; None: they cannot be."""
        if self._all.columns is None:
            self._all.columns = to_columns(keys_array(self._all.keys))
        if self._all.columns is None:
            return None
        return [column.filter(pa.array(self._is_there)) for column in self._all.columns]


class SliceArrays:
    """Keeps of each slice, from its first firing until it changes, its keys and accumulators.

    Only for count, sum, min and max over whole numbers of 64 bits and finite floats: there arrays
    give to the last bit what merging one accumulator after the other gives, oldest slice first.
    """

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        self._aggregates = aggregates
        self._keys = KeyNumbers()
        self._slices: dict[Span, _Slice] = {}

    def forget(self, span: Span) -> None:
        """The slice changes, or is gone."""
        self._slices.pop(span, None)

    def knows(self, span: Span) -> bool:
        """Whether it has learnt what the slice holds."""
        return span in self._slices

    def learn(self, span: Span, entries: Mapping[Any, Sequence[Any]]) -> bool:
        """Takes what the slice holds; False: there are not only such numbers."""
        columns = [_as_numbers(values) for values in zip(*entries.values(), strict=True)]
        return self._learn(span, self._keys.of_each(list(entries)), columns)

    def learn_arrays(self, span: Span, entries: NumberedArrays) -> bool:
        """The same where it is in arrays."""
        if not self._slices:
            self._keys = entries.numbers
        numbers, parts = entries.numbered_columns()
        if entries.numbers is not self._keys:
            numbers = self._keys.of(entries.keys_of(numbers))
        return self._learn(span, numbers, [_numbers_of(part) for part in parts])

    def _learn(
        self, span: Span, numbers: npt.NDArray[np.intp], found: Sequence[Numbers | None]
    ) -> bool:
        columns = [column for column in found if column is not None]
        if len(columns) < len(found):
            return False
        self._slices[span] = _Slice(numbers, columns, list(map(_largest, columns)))
        return True

    def merged(self, spans: Sequence[Span]) -> Merged | None:
        """The accumulators of slices that it knows, by key.

        None: they cannot be merged as arrays.
        """
        merged = self._merged(spans)
        if len(self._keys) > FORGOTTEN_FROM:
            self._keys = KeyNumbers()
            self._slices.clear()
        return merged

    def _merged(self, spans: Sequence[Span]) -> Merged | None:
        try:
            keys = self._keys.ascending()
        except TypeError:  # those of this window alone might compare
            return None
        parts = [self._slices[span] for span in spans]
        is_there = np.zeros(len(self._keys), np.bool_)
        for part in parts:
            is_there[part.numbers] = True
        present = is_there[keys.numbers]
        places, columns = keys.numbers[present], []
        for at in range(len(self._aggregates)):
            if (merged := self._merge(at, parts)) is None:
                return None
            columns.append(merged[places])
        return Merged(keys, present, columns)

    def _merge(self, at: int, parts: Sequence[_Slice]) -> Numbers | None:
        """By the number of the key; within a slice no key comes twice."""
        aggregate, kind = self._aggregates[at], parts[0].columns[at].dtype
        if any(part.columns[at].dtype != kind for part in parts):
            return None
        merged = np.zeros(len(self._keys), kind)
        if isinstance(aggregate, Best):
            _find_best(merged, isinstance(aggregate, Max), at, parts)
            return merged
        if kind == np.int64 and sum(part.largest[at] for part in parts) >= _INT64_END:
            return None
        with np.errstate(over="ignore"):  # of floats: Python's go to infinity as silently
            for part in parts:
                merged[part.numbers] += part.columns[at]
        return merged


def _find_best(best: Numbers, is_max: bool, at: int, parts: Sequence[_Slice]) -> None:
    """Of equal values the older one stays, as 0.0 and -0.0 are."""
    is_there = np.zeros(len(best), np.bool_)
    for part in parts:
        numbers, newer = part.numbers, part.columns[at]
        older = best[numbers]
        is_better = newer > older if is_max else newer < older
        best[numbers] = np.where(is_better | ~is_there[numbers], newer, older)
        is_there[numbers] = True


def _as_numbers(values: Sequence[Any]) -> Numbers | None:
    """None: they are not all ints of 64 bits, and not all finite floats."""
    kinds = set(map(type, values))
    try:
        if kinds == {int}:
            return np.array(values, np.int64)
    except OverflowError:
        return None
    if kinds == {float}:
        floats = np.array(values, np.float64)
        return floats if np.isfinite(floats).all() else None
    return None


def _numbers_of(part: Part) -> Numbers | None:
    """The same of what stands in arrays."""
    if part.dtype == object:
        return _as_numbers(part.tolist())
    is_whole = part.dtype == np.int64
    return part if is_whole or np.isfinite(part).all() else None


def _largest(column: Numbers) -> int:
    """What no whole number of it goes beyond, below 0 or above."""
    return max(-int(column.min()), int(column.max())) if column.dtype == np.int64 else 0
