"""The rows of a column batch by group: how many, in which order, which numbers."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers: TypeAlias = npt.NDArray[Any]
"""Of type int64, float64 or bool; or uint64, if some are beyond int64."""
Positions: TypeAlias = npt.NDArray[np.intp]


class Groups:
    """Which rows of a batch belong together: one group per key, or per window and key.

    `codes` says of each row its group, from 0 up to, not including, `count`. What follows from
    them is worked out when first asked for.
    """

    def __init__(self, codes: npt.NDArray[np.integer[Any]], count: int) -> None:
        self.codes: Positions = codes.astype(np.intp, copy=False)
        self.count = count

    def where(self, mask: npt.NDArray[np.bool_]) -> Groups:
        """The same groups with some of their rows."""
        return Groups(self.codes[mask], self.count)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Group -> how many rows it has."""
        return np.bincount(self.codes, minlength=self.count).astype(np.int64, copy=False)

    @cached_property
    def first_rows(self) -> Positions:
        """Group -> its first row; of an empty group a number that is none."""
        first = np.full(self.count, len(self.codes), np.intp)
        np.minimum.at(first, self.codes, np.arange(len(self.codes)))
        return first

    @cached_property
    def last_rows(self) -> Positions:
        """Group -> its last row; of an empty group a number that is none."""
        last = np.full(self.count, -1, np.intp)
        np.maximum.at(last, self.codes, np.arange(len(self.codes)))
        return last

    @cached_property
    def order(self) -> Positions:
        """The rows group by group, and as they came within a group."""
        # Of 16 bits numpy sorts by their digits, several times quicker.
        codes = self.codes.astype(np.uint16) if self.count <= 1 << 16 else self.codes
        return np.argsort(codes, kind="stable")

    @cached_property
    def starts(self) -> Positions:
        """Group -> the position in `order` where it starts."""
        return np.cumsum(self.sizes) - self.sizes

    def in_order(self, of_groups: Numbers) -> Numbers:
        """For each position in `order` what stands for its group."""
        return np.repeat(of_groups, self.sizes)

    def as_they_came(self, ordered: Numbers) -> Numbers:
        """What stands in `order` back in the order of the rows."""
        rows = np.empty_like(ordered)
        rows[self.order] = ordered
        return rows


class GroupedRows:
    """The records of one batch with their groups; looks at each column once."""

    def __init__(self, groups: Groups, records: pa.RecordBatch) -> None:
        self.groups = groups
        self._records = records
        self._numbers: dict[str, tuple[Groups, Numbers]] = {}

    def values(self, field: str) -> pa.Array:
        return self._records.column(field)

    def numbers(self, field: str) -> tuple[Groups, Numbers]:
        """The column without its nulls, and the groups of what is left."""
        found = self._numbers.get(field)
        if found is None:
            column, groups = self.values(field), self.groups
            if column.null_count:
                groups = groups.where(self.has_value(field))
            found = self._numbers[field] = groups, _as_numbers(column.drop_null())
        return found

    def numbers_or_zeros(self, field: str) -> Numbers:
        """The whole column, 0 for null."""
        groups, numbers = self.numbers(field)
        if groups is self.groups:
            return numbers
        whole = np.zeros(len(self.groups.codes), numbers.dtype)
        whole[self.has_value(field)] = numbers
        return whole

    def has_value(self, field: str) -> npt.NDArray[np.bool_]:
        """Row -> whether it is not null."""
        mask: npt.NDArray[np.bool_] = self.values(field).is_valid().to_numpy(zero_copy_only=False)
        return mask


def _as_numbers(column: pa.Array) -> Numbers:
    """A column without nulls, widened: then few types are to be thought of."""
    if pa.types.is_null(column.type):
        return np.empty(0, np.int64)
    numbers: Numbers = column.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float64, copy=False)
    if numbers.dtype == np.bool_ or (numbers.dtype == np.uint64 and largest(numbers) >= 1 << 63):
        return numbers
    return numbers.astype(np.int64, copy=False)


def largest(numbers: Numbers) -> int:
    """How far the whole numbers go from 0, below or above."""
    return max(-int(numbers.min()), int(numbers.max())) if len(numbers) else 0
