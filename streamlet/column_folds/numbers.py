"""The column forms of sum, mean, min and max: how each folds a column of numbers by group."""

from __future__ import annotations

from abc import abstractmethod
from operator import add
from typing import Any, Final

import numpy as np
import pyarrow as pa

from streamlet.column_folds.forms import FieldForm, Running
from streamlet.column_folds.groups import GroupedRows, Groups, Numbers, largest_sum
from streamlet.folds import Min, Selecting

INT64_END: Final = 1 << 63
EXACT_END: Final = 1 << 53
"""Up to here every whole number is a float."""


class NumberForm(FieldForm):
    """Base of those that can take numbers at once; they step over nulls."""

    def __init__(self, aggregate: Selecting, schema: pa.Schema) -> None:
        super().__init__(aggregate, schema)
        kind, is_ = schema.field(self.field).type, pa.types
        self._is_float = is_.is_floating(kind)
        self._is_whole = is_.is_integer(kind) or is_.is_boolean(kind) or is_.is_null(kind)
        self.merges = self._is_whole
        """Floats round at each step; and where a NaN comes first it is the least and greatest."""

    def fold_at_once(self, rows: GroupedRows, older: list[Any]) -> list[Any] | None:
        if not (self._is_whole or self._is_float):
            return None
        return self.fold_numbers(*rows.numbers(self.field), older)

    def running_at_once(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        return self.running_whole(rows, older) if self._is_whole else None

    @abstractmethod
    def fold_numbers(self, groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
        """`fold_at_once` of the numbers that are not null."""

    @abstractmethod
    def running_whole(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        """`running_at_once` over a column of whole numbers or bools."""


class SumForm(NumberForm):
    def fold_numbers(self, groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
        return _summed(groups, numbers, older)

    def running_whole(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        sums = self._running_sums(rows, older, INT64_END)
        newer = None if sums is None else self.fold_at_once(rows, older)
        return None if newer is None else (pa.array(sums), newer)

    def _running_sums(self, rows: GroupedRows, older: list[Any], end: int) -> Numbers | None:
        """The sums after each row, none of them as large as `end`."""
        numbers = rows.numbers_or_zeros(self.field)
        if not set(map(type, older)) <= {int}:
            return None
        if largest_sum(numbers) + max(map(abs, older), default=0) >= end:
            return None
        return _running_sums(rows.groups, numbers.astype(np.int64, copy=False), older)


class MeanForm(SumForm):
    def fold_numbers(self, groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
        totals = _summed(groups, numbers, [total for total, _ in older])
        if totals is None:
            return None
        counts = map(add, [count for _, count in older], groups.sizes.tolist())
        return list(zip(totals, counts, strict=True))

    def running_whole(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        # Below 2**53 floats divide as Python's ints do: exactly, then rounded once.
        sums = self._running_sums(rows, [total for total, _ in older], EXACT_END)
        newer = None if sums is None else self.fold_at_once(rows, older)
        if sums is None or newer is None:
            return None
        ones = rows.has_value(self.field).astype(np.int64)
        counts = _running_sums(rows.groups, ones, [count for _, count in older])
        means = np.divide(sums, counts, where=counts > 0, out=np.zeros(len(sums)))
        return pa.array(means, mask=counts == 0), newer


class BestForm(NumberForm):
    """Min and max."""

    def fold_numbers(self, groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
        if not set(map(type, older)) <= _ORDERED or not _has_one_order(numbers):
            return None
        if not len(numbers):
            return list(older)
        if isinstance(self.aggregate, Min):
            best = np.full(groups.count, numbers.max())
            np.minimum.at(best, groups.codes, numbers)
        else:
            best = np.full(groups.count, numbers.min())
            np.maximum.at(best, groups.codes, numbers)
        newer = best.tolist()
        if not groups.sizes.all():
            sizes = groups.sizes.tolist()
            newer = [value if size else None for value, size in zip(newer, sizes, strict=True)]
        return list(map(self.aggregate.merge, older, newer))

    def running_whole(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        groups, numbers = rows.numbers(self.field)
        is_whole = groups is rows.groups and numbers.dtype == np.int64 and len(numbers)
        if not is_whole or not set(map(type, older)) <= {int, type(None)}:
            return None
        best = self._running_best(groups, numbers, older)
        newer = self.fold_numbers(groups, numbers, older)
        return None if best is None or newer is None else (pa.array(best), newer)

    def _running_best(self, groups: Groups, numbers: Numbers, older: list[Any]) -> Numbers | None:
        is_min, least, most = isinstance(self.aggregate, Min), numbers.min(), numbers.max()
        span = int(most) - int(least) + 1
        if span * groups.count >= INT64_END:
            return None
        try:
            begin = most if is_min else least
            olds = np.array([begin if old is None else old for old in older], np.int64)
        except OverflowError:
            return None
        # Lifted above all that comes before it in the order, each group starts anew.
        floors = groups.in_order(np.arange(groups.count) * span)
        heights = (most - numbers if is_min else numbers - least)[groups.order] + floors
        heights = groups.as_they_came(np.maximum.accumulate(heights) - floors)
        best: Numbers = (
            np.minimum(most - heights, olds[groups.codes])
            if is_min
            else np.maximum(least + heights, olds[groups.codes])
        )
        return best


def _summed(groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
    """Each group's numbers added to its older sum one after the other."""
    kinds = set(map(type, older))
    if numbers.dtype != np.float64:
        if kinds <= {int}:
            return list(map(add, older, _int_sums(groups, numbers)))
        if kinds != {float}:
            return None
        numbers = numbers.astype(np.float64)  # as Python does before it adds an int to a float
    return _float_sums(groups, numbers, older) if kinds <= {int, float} else None


def _int_sums(groups: Groups, numbers: Numbers) -> list[int]:
    if largest_sum(numbers) < INT64_END:
        sums: list[int] = _added(groups, numbers).tolist()
        return sums
    # Sums of halves fit; 2**31 rows, the most a batch may have, are not too many.
    high, low = _added(groups, numbers >> 32), _added(groups, numbers & 0xFFFFFFFF)
    return [(h << 32) + rest for h, rest in zip(high.tolist(), low.tolist(), strict=True)]


def _added(groups: Groups, numbers: Numbers) -> Numbers:
    sums = np.zeros(groups.count, np.int64)
    np.add.at(sums, groups.codes, numbers.astype(np.int64, copy=False))
    return sums


def _running_sums(groups: Groups, numbers: Numbers, older: list[int]) -> Numbers:
    """The sums after each row, all of which fit into 64 bits."""
    if not len(numbers):
        return numbers
    ordered = numbers[groups.order]
    # Over all groups it may well wrap; the difference of two is right again.
    totals = np.cumsum(ordered)
    starts = np.minimum(groups.starts, len(ordered) - 1)  # the last groups may be empty
    totals += groups.in_order(np.array(older, np.int64) - (totals - ordered)[starts])
    return groups.as_they_came(totals)


def _float_sums(groups: Groups, numbers: Numbers, older: list[Any]) -> list[Any] | None:
    try:
        sums = np.array(older, np.float64)
    except OverflowError:  # an int beyond all floats
        return None
    with np.errstate(all="ignore"):
        np.add.at(sums, groups.codes, numbers)  # one after the other, as they came
    newer: list[Any] = sums.tolist()
    if int in map(type, older) and not groups.sizes.all():  # an int that met no float stays one
        pairs = zip(older, newer, groups.sizes.tolist(), strict=True)
        return [after if size else before for before, after, size in pairs]
    return newer


_ORDERED: Final = {int, float, bool, type(None)}


def _has_one_order(numbers: Numbers) -> bool:
    """Whether the best of these is the same in any order: no NaN, and no -0.0 beside 0.0."""
    if numbers.dtype != np.float64:
        return True
    return not (np.isnan(numbers).any() or np.signbit(numbers[numbers == 0.0]).any())
