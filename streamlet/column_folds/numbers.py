"""The column forms of sum, mean, min and max: how each folds a column of numbers by group."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final

import numpy as np
import pyarrow as pa

from streamlet.column_folds.forms import FieldForm, Running
from streamlet.column_folds.groups import GroupedRows, Groups, Numbers, largest
from streamlet.column_folds.kept import (
    FLOATS,
    INTS,
    OBJECTS,
    Kept,
    Older,
    paired,
    pairs_of,
    with_fresh,
)
from streamlet.folds import Min, Selecting

INT64_END: Final = 1 << 63
EXACT_END: Final = 1 << 53
"""Up to here every whole number is a float."""


class NumberForm(FieldForm):
    """Base of those that can take numbers at once; they step over nulls."""

    def __init__(self, aggregate: Selecting, schema: pa.Schema) -> None:
        column = schema.field(str(aggregate.selector)).type
        self.numbers = _numbers_of(column)
        """What the values are, and their sums; objects where they are no numbers."""
        self.merges = self.numbers == INTS
        """Floats round at each step; and where a NaN comes first it is the least and greatest."""
        super().__init__(aggregate, self.kept_as(column))

    def kept_as(self, column: pa.DataType) -> np.dtype[Any]:
        """The dtype of accumulators over such a column."""
        return self.numbers

    def fold_at_once(self, rows: GroupedRows, older: Older) -> Kept | None:
        typed = self._typed(older)
        return None if typed is None else self.fold_numbers(*rows.numbers(self.field), typed)

    def running_at_once(self, rows: GroupedRows, older: Older) -> Running | None:
        typed = self._typed(older) if self.numbers == INTS else None
        return None if typed is None else self.running_whole(rows, typed)

    def _typed(self, older: Older) -> Older | None:
        is_typed = self.dtype != OBJECTS
        return older.typed(self.dtype, self.aggregate.create()) if is_typed else None

    @abstractmethod
    def fold_numbers(self, groups: Groups, numbers: Numbers, older: Older) -> Kept | None:
        """`fold_at_once` of the numbers that are not null, on top of what is of `dtype`."""

    @abstractmethod
    def running_whole(self, rows: GroupedRows, older: Older) -> Running | None:
        """`running_at_once` over a column of whole numbers, on top of what is of `dtype`."""

    def or_fresh(self, newer: Kept, groups: Groups, older: Older) -> Kept:
        """The same, but a new group without numbers has what is no number of their kind."""
        return with_fresh(newer, older.is_new & (groups.sizes == 0), self.aggregate.create())


class SumForm(NumberForm):
    def fold_numbers(self, groups: Groups, numbers: Numbers, older: Older) -> Kept | None:
        sums = _sums(groups, numbers, older.kept)
        if sums is None or self.numbers == INTS:
            return sums
        return self.or_fresh(sums, groups, older)

    def running_whole(self, rows: GroupedRows, older: Older) -> Running | None:
        sums = _running_sums(rows.groups, rows.numbers_or_zeros(self.field), older.kept, INT64_END)
        newer = None if sums is None else self.fold_numbers(*rows.numbers(self.field), older)
        return None if newer is None else (pa.array(sums), newer)


class MeanForm(NumberForm):
    def kept_as(self, column: pa.DataType) -> np.dtype[Any]:
        return OBJECTS if self.numbers == OBJECTS else pairs_of(self.numbers)

    def fold_numbers(self, groups: Groups, numbers: Numbers, older: Older) -> Kept | None:
        totals = _sums(groups, numbers, older.kept["total"])
        if totals is None:
            return None
        newer = paired(totals, older.kept["count"] + groups.sizes)
        return newer if self.numbers == INTS else self.or_fresh(newer, groups, older)

    def running_whole(self, rows: GroupedRows, older: Older) -> Running | None:
        whole, ones = rows.numbers_or_zeros(self.field), rows.has_value(self.field)
        totals = _running_sums(rows.groups, whole, older.kept["total"], EXACT_END)
        counts = _running_sums(rows.groups, ones, older.kept["count"], EXACT_END)
        if totals is None or counts is None:
            return None
        newer = self.fold_numbers(*rows.numbers(self.field), older)
        return None if newer is None else (_means(totals, counts), newer)

    def results_at_once(self, kept: Kept) -> pa.Array | None:
        totals, counts = kept["total"], kept["count"]
        is_exact = totals.dtype == FLOATS or largest(totals) < EXACT_END
        return _means(totals, counts) if is_exact else None


class BestForm(NumberForm):
    """Min and max."""

    def kept_as(self, column: pa.DataType) -> np.dtype[Any]:
        return OBJECTS if pa.types.is_boolean(column) else self.numbers

    def fold_numbers(self, groups: Groups, numbers: Numbers, older: Older) -> Kept | None:
        if not _has_one_order(numbers):
            return None
        is_min = isinstance(self.aggregate, Min)
        best = np.full(groups.count, _end_of(self.dtype, is_min), self.dtype)
        (np.minimum if is_min else np.maximum).at(best, groups.codes, numbers)
        is_better = best < older.kept if is_min else best > older.kept
        newer = np.where(older.is_new | is_better, best, older.kept)
        return self.or_fresh(newer, groups, older)

    def running_whole(self, rows: GroupedRows, older: Older) -> Running | None:
        groups, numbers = rows.numbers(self.field)
        if groups is not rows.groups or numbers.dtype != INTS or not len(numbers):
            return None
        best = self._running_best(groups, numbers, older)
        newer = None if best is None else self.fold_numbers(groups, numbers, older)
        return None if newer is None else (pa.array(best), newer)

    def _running_best(self, groups: Groups, numbers: Numbers, older: Older) -> Numbers | None:
        is_min, least, most = isinstance(self.aggregate, Min), numbers.min(), numbers.max()
        span = int(most) - int(least) + 1
        if span * groups.count >= INT64_END:
            return None
        olds = np.where(older.is_new, most if is_min else least, older.kept)[groups.codes]
        # Lifted above all that comes before it in the order, each group starts anew.
        floors = groups.in_order(np.arange(groups.count) * span)
        heights = (most - numbers if is_min else numbers - least)[groups.order] + floors
        heights = groups.as_they_came(np.maximum.accumulate(heights) - floors)
        best: Numbers = (
            np.minimum(most - heights, olds) if is_min else np.maximum(least + heights, olds)
        )
        return best


def _numbers_of(column: pa.DataType) -> np.dtype[Any]:
    is_ = pa.types
    if is_.is_floating(column):
        return FLOATS
    is_whole = is_.is_integer(column) or is_.is_boolean(column) or is_.is_null(column)
    return INTS if is_whole else OBJECTS


def _sums(groups: Groups, numbers: Numbers, olds: Kept) -> Kept | None:
    """Each group's numbers added to its older sum one after the other; None: beyond 64 bits."""
    if olds.dtype == INTS:
        if _largest_sum(groups, numbers, olds) >= INT64_END:
            return None
        numbers = numbers.astype(np.int64, copy=False)
    sums = olds.copy()
    with np.errstate(all="ignore"):
        np.add.at(sums, groups.codes, numbers)
    return sums


def _running_sums(groups: Groups, numbers: Numbers, olds: Kept, end: int) -> Numbers | None:
    """The sums after each row; None: one may be as large as `end`, at most 64 bits."""
    if not len(numbers):
        return numbers
    if _largest_sum(groups, numbers, olds) >= end:
        return None
    ordered = numbers.astype(np.int64, copy=False)[groups.order]
    # Over all groups it may well wrap; the difference of two is right again.
    totals = np.cumsum(ordered)
    starts = np.minimum(groups.starts, len(ordered) - 1)  # the last groups may be empty
    totals += groups.in_order(olds - (totals - ordered)[starts])
    return groups.as_they_came(totals)


def _largest_sum(groups: Groups, numbers: Numbers, olds: Kept) -> int:
    """What no sum over some of a group's whole numbers goes beyond, below 0 or above."""
    return largest(olds) + largest(numbers) * int(groups.sizes.max(initial=0))


def _means(totals: Numbers, counts: Numbers) -> pa.Array:
    # Below 2**53 floats divide as Python's ints do: exactly, then rounded once.
    is_none = counts == 0
    with np.errstate(all="ignore"):
        means = np.divide(totals, counts, where=~is_none, out=np.zeros(len(totals)))
    return pa.array(means, mask=is_none)


def _end_of(dtype: np.dtype[Any], is_min: bool) -> int | float:
    """What none of these numbers is better than."""
    if dtype == FLOATS:
        return np.inf if is_min else -np.inf
    return INT64_END - 1 if is_min else -INT64_END


def _has_one_order(numbers: Numbers) -> bool:
    """Whether the best of these is the same in any order: no NaN, and no -0.0 beside 0.0."""
    if numbers.dtype != np.float64:
        return numbers.dtype == np.int64  # and not some beyond
    return not (np.isnan(numbers).any() or np.signbit(numbers[numbers == 0.0]).any())
