"""What slices of rows hold as arrays, so that a window of many keys merges them in few steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.eventtime.windows import Span
from streamlet.folds import Aggregate, Best, Max

MOST_AT_ONCE: Final = 50_000
"""Entries of one slice that are read in one go; more would stall the loop."""
FORGOTTEN_FROM: Final = 4 * MOST_AT_ONCE
"""So many keys are numbered before those that no slice has any more are forgotten."""

Numbers: TypeAlias = npt.NDArray[Any]
"""Of type int64 or float64."""
_INT64_END: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class _Slice:
    numbers: npt.NDArray[np.intp]
    """Those of its keys."""
    columns: list[Numbers]
    """Per aggregate the accumulators, at the position of their key."""
    largest: list[int]
    """Per aggregate what no whole number goes beyond, below 0 or above."""


class SliceArrays:
    """Keeps of each slice, from its first firing until it changes, its keys and accumulators.

    Only for count, sum, min and max over whole numbers of 64 bits and finite floats: there arrays
    give to the last bit what merging one accumulator after the other gives, oldest slice first.
    """

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        self._aggregates = aggregates
        self._keys = _Numbered()
        self._slices: dict[Span, _Slice] = {}

    def forget(self, span: Span) -> None:
        """The slice changes, or is gone."""
        self._slices.pop(span, None)

    def knows(self, span: Span) -> bool:
        """Whether it has learnt what the slice holds."""
        return span in self._slices

    def learn(self, span: Span, entries: Mapping[Any, Sequence[Any]]) -> bool:
        """Takes what the slice holds; False: there is too much, or not only such numbers."""
        if not 0 < len(entries) <= MOST_AT_ONCE:
            return False
        columns = []
        for values in zip(*entries.values(), strict=True):
            if (numbers := _as_numbers(values)) is None:
                return False
            columns.append(numbers)
        self._slices[span] = _Slice(
            np.fromiter(map(self._keys.__getitem__, entries), np.intp, len(entries)),
            columns,
            [max(-int(column.min()), int(column.max())) for column in columns],
        )
        return True

    def merged(self, spans: Sequence[Span]) -> tuple[list[Any], list[list[Any]]] | None:
        """The keys of slices that it knows, ascending, and per aggregate their accumulators.

        None: they cannot be merged as arrays.
        """
        try:
            keys, order = self._keys.ascending()
        except TypeError:  # those of this window alone might compare
            return None
        parts = [self._slices[span] for span in spans]
        is_there = np.zeros(len(keys), np.bool_)
        for part in parts:
            is_there[part.numbers] = True
        present = is_there[order]
        columns = []
        for at in range(len(self._aggregates)):
            if (merged := self._merge(at, parts)) is None:
                return None
            columns.append(merged[order[present]].tolist())
        if len(keys) > FORGOTTEN_FROM:
            self._keys = _Numbered()
            self._slices.clear()
        return keys[present].tolist(), columns

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


class _Numbered(dict[Any, int]):
    """Numbers keys in the order in which they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._ordered: list[Any] = []
        self._ascending = np.empty(0, np.object_), np.empty(0, np.intp)

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number

    def ascending(self) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.intp]]:
        """All keys, and their numbers. TypeError: they do not compare."""
        if len(self._ordered) < len(self):
            self._ordered += islice(self, len(self._ordered), None)
            self._ordered.sort()  # quick, as most of it is in order
            numbers = map(self.__getitem__, self._ordered)
            self._ascending = (
                np.fromiter(self._ordered, np.object_, len(self)),
                np.fromiter(numbers, np.intp, len(self)),
            )
        return self._ascending
