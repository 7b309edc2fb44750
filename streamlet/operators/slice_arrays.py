"""What slices hold as arrays, so that a window of many keys merges them in few steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np

from streamlet.eventtime.windows import Span
from streamlet.folds import Aggregate, Best, Max
from streamlet.operators import column_spans
from streamlet.operators.merged_keys import Mask, Merged, Numbers
from streamlet.operators.ordered_keys import OrderedKeys
from streamlet.state import key_numbers
from streamlet.state.arrays import Part, grown
from streamlet.state.key_numbers import KeyNumbers, NumberedArrays
from streamlet.state.pieces import Entries, pieces_of

_LEARNT_AT_ONCE: Final = 8_192
_MERGED_AT_ONCE: Final = 65_536
_INT64_END: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class _Slice:
    numbers: key_numbers.Numbers
    """Those of its keys, ascending."""
    columns: list[Numbers]
    """Per aggregate the accumulators, at the position of their key."""
    largest: list[int]
    """Per aggregate what no whole number goes beyond, below 0 or above."""


class SliceArrays:
    """Keeps of each slice, from its first firing until it changes, its keys and accumulators.

    Only for count, sum, min and max over whole numbers of 64 bits and finite floats: there arrays
    give to the last bit what merging one accumulator after the other gives, oldest slice first.
    What takes its time here gives after each piece how many entries it worked on.
    """

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        self._aggregates = aggregates
        self._keys = KeyNumbers()
        self._ordered = OrderedKeys(self._keys)
        self._slices: dict[Span, _Slice] = {}

    def _begin_anew(self, keys: KeyNumbers) -> None:
        if keys is not self._keys:
            self._keys, self._ordered = keys, OrderedKeys(keys)
        self._slices.clear()

    def forget(self, span: Span) -> None:
        """The slice changes, or is gone."""
        self._slices.pop(span, None)

    def knows(self, span: Span) -> bool:
        """Whether it has learnt what the slice holds."""
        return span in self._slices

    def learning(self, span: Span, layers: Sequence[Entries]) -> Generator[int, None, bool]:
        """Takes what the slice holds, oldest layer first; False: there are not only such numbers.

        Also when there is nothing at all.
        """
        for layer in layers[-1:]:
            if isinstance(layer, NumberedArrays) and not self._slices:
                self._begin_anew(layer.numbers)
        found = _Found()
        for layer in layers:
            for numbers, columns in self._numbered(layer):
                if not found.put(numbers, columns, len(self._keys)):
                    return False
                yield len(numbers)
        if not found.columns:
            return False
        self._slices[span] = found.in_order()
        return True

    def _numbered(
        self, layer: Entries
    ) -> Iterator[tuple[key_numbers.Numbers, list[Numbers | None]]]:
        """The layer's entries in pieces: the numbers of their keys, and a column per aggregate."""
        if not isinstance(layer, NumberedArrays):
            for entries in pieces_of(layer):
                at = range(len(self._aggregates))
                columns = (list(map(itemgetter(each), entries.values())) for each in at)
                yield self._keys.of_each(list(entries)), list(map(_as_numbers, columns))
            return
        own_numbers, parts = layer.numbered_columns()
        for start in range(0, len(own_numbers), _LEARNT_AT_ONCE):
            piece = slice(start, start + _LEARNT_AT_ONCE)
            numbers = own_numbers[piece]
            if layer.numbers is not self._keys:
                numbers = self._keys.of(layer.keys_of(numbers))
            yield numbers, [_numbers_of(part[piece]) for part in parts]

    def ordering(self) -> Generator[int, None, bool]:
        """Sorts the keys that are new since the last time; False: they do not compare.

        Those of one window alone might.
        """
        try:
            yield from self._ordered.catching_up()
        except TypeError:
            return False
        return True

    def merging(self, spans: Sequence[Span]) -> Generator[int, None, Merged | None]:
        """The accumulators of slices that it knows, by key; to be called after `ordering`.

        None: they cannot be merged as arrays.
        """
        parts = [self._slices[span] for span in spans]
        if not self._may_merge(parts):
            return None
        dtypes = [column.dtype for column in parts[0].columns]
        merged = Merged(dtypes, self._ordered.blocks, len(self._keys))
        for start in range(0, len(self._keys), _MERGED_AT_ONCE):
            yield self._merge(parts, start, start + _MERGED_AT_ONCE, merged)
        self._forget_keys(max(len(part.numbers) for part in parts), len(merged))
        return merged

    def _forget_keys(self, of_slice: int, of_window: int) -> None:
        """Begins with new numbers when most keys are likely to be gone, as tables of columns do.

        But not as long as half of them are in the window: its slices would be learnt each time.
        """
        enough = max(column_spans.NAMES_PER_KEY * of_slice, 2 * of_window)
        if len(self._keys) > max(column_spans.FORGOTTEN_FROM, enough):
            self._begin_anew(KeyNumbers())

    def _may_merge(self, parts: Sequence[_Slice]) -> bool:
        """Whether the slices have numbers of one kind, and no sum of them goes beyond 64 bits."""
        for at, aggregate in enumerate(self._aggregates):
            if len({part.columns[at].dtype for part in parts}) > 1:
                return False
            is_sum = not isinstance(aggregate, Best)
            if is_sum and sum(part.largest[at] for part in parts) >= _INT64_END:
                return False
        return True

    def _merge(self, parts: Sequence[_Slice], start: int, stop: int, merged: Merged) -> int:
        """The keys whose numbers are in [start, stop); gives how many entries that are."""
        count = 0
        for part in parts:
            first, last = np.searchsorted(part.numbers, (start, stop)).tolist()
            numbers = part.numbers[first:last]
            is_new = ~merged.is_there[numbers]
            for aggregate, kept, newer in zip(
                self._aggregates, merged.columns, part.columns, strict=True
            ):
                kept[numbers] = _merged(aggregate, kept[numbers], newer[first:last], is_new)
            merged.is_there[numbers] = True
            count += last - first
        return count


class _Found:
    """What is found of a slice while its layers are read, by the number of the key."""

    def __init__(self) -> None:
        self.columns: list[Numbers] = []
        self._is_there: Mask = np.zeros(0, np.bool_)

    def put(
        self, numbers: key_numbers.Numbers, columns: Sequence[Numbers | None], end: int
    ) -> bool:
        """Takes entries in the place of older ones; `end` is above all numbers.

        False: they are not all of one kind.
        """
        newer = [column for column in columns if column is not None]
        dtypes = [column.dtype for column in newer]
        self.columns = self.columns or [np.zeros(0, dtype) for dtype in dtypes]
        if len(newer) < len(columns) or dtypes != [column.dtype for column in self.columns]:
            return False
        self._is_there = grown(self._is_there, end)
        self._is_there[numbers] = True
        self.columns = [grown(column, end) for column in self.columns]
        for column, values in zip(self.columns, newer, strict=True):
            column[numbers] = values
        return True

    def in_order(self) -> _Slice:
        numbers = np.flatnonzero(self._is_there)
        columns = [column[numbers] for column in self.columns]
        return _Slice(numbers, columns, list(map(_largest, columns)))


def _merged(aggregate: Aggregate, older: Numbers, newer: Numbers, is_new: Mask) -> Numbers:
    """Of equal values the older one stays, as 0.0 and -0.0 are."""
    merged: Numbers
    if isinstance(aggregate, Best):
        is_better = newer > older if isinstance(aggregate, Max) else newer < older
        merged = np.where(is_better | is_new, newer, older)
        return merged
    with np.errstate(over="ignore"):  # of floats: Python's go to infinity as silently
        merged = older + newer
    return merged


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
