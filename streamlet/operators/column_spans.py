"""Adds batches of columns to windows or slices: folded by span and key first, then merged in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import FoldsOfSchema
from streamlet.columns import to_rows
from streamlet.elements import ColumnBatch, KeyColumn, RowBatch
from streamlet.eventtime.windows import Span
from streamlet.operators.agg_contents import AggContents
from streamlet.state.log import MISSING, NestedTable

Numbers = npt.NDArray[np.int64]

MAX_TIME: Final = 2**61
"""Times beyond, either way, are left to Python's ints, which do not overflow."""
CELLS_PER_ROW: Final = 8
"""With more pairs of span and key than so many per row, sorting is cheaper than counting all."""


NO_ROWS: Final = RowBatch([], [], [])


@dataclass(frozen=True, slots=True)
class SpanKeys:
    """The keys with rows in one span; their groups stand side by side, in the same order."""

    number: int
    keys: list[Any]
    groups: slice


class ColumnSpans:
    """Spans of one size side by side, each with an accumulator per key in keyed state.

    It keeps what rows would keep, to the last bit, and in the same table.
    """

    def __init__(
        self,
        contents: AggContents,
        table: NestedTable,
        open_span: Callable[[Span], dict[Any, Any]],
        size_ms: int,
        offset_ms: int,
    ) -> None:
        self._contents = contents
        self._table = table
        self._open_span = open_span
        self._size_ms = size_ms
        self._offset_ms = offset_ms
        self._folds = FoldsOfSchema(contents.named)

    def add(self, batch: ColumnBatch, is_open: Callable[[int], bool]) -> RowBatch:
        """Adds the rows whose span is open; gives the others, which must go one by one.

        `is_open` tells from a span's start; what starts after an open span is open, too.
        """
        numbers = self._numbers(batch)
        if numbers is None:
            return to_rows(batch)
        if is_open(self._span(int(numbers.min()))[0]):
            return NO_ROWS if self._fold_in(batch, numbers) else to_rows(batch)
        distinct, positions = np.unique(numbers, return_inverse=True)
        opened = np.array([is_open(self._span(number)[0]) for number in distinct.tolist()])
        is_taken = opened[positions]
        if not is_taken.any() or not self._fold_in(batch.filter(is_taken), numbers[is_taken]):
            return to_rows(batch)
        return to_rows(batch.filter(~is_taken))

    def _numbers(self, batch: ColumnBatch) -> Numbers | None:
        """For each row the number of its span; None: there are times that need Python's ints."""
        times = batch.timestamps
        if times is None or max(-int(times.min()), int(times.max())) > MAX_TIME:
            return None
        return np.floor_divide(times - self._offset_ms, self._size_ms)

    def _fold_in(self, batch: ColumnBatch, numbers: Numbers) -> bool:
        """Adds all rows to their spans. False: they must be added row by row, none was."""
        folds = self._folds.of(batch.records.schema)
        if folds is None:
            return False
        assert batch.keys is not None
        if (int(numbers.max()) - int(numbers.min()) + 1) * len(batch.keys.distinct) > MAX_TIME:
            return False
        groups, spans = group_by_span(batch.keys, numbers)
        before = [kept for span in spans for kept in self._kept(span)]
        folded = folds.fold(groups, batch.records, before)
        if folded is None:
            return False
        for span in spans:
            changes = self._open_span(self._span(span.number))
            changes.update(zip(span.keys, folded[span.groups], strict=True))
        return True

    def _span(self, number: int) -> Span:
        start = number * self._size_ms + self._offset_ms
        return start, start + self._size_ms

    def _kept(self, keys: SpanKeys) -> list[list[Any]]:
        """Each key's accumulator so far; folding changes none of them, so new ones may be one."""
        span, fresh = self._span(keys.number), self._contents.create()
        changes = self._open_span(span)
        kept: list[Any] = list(map(changes.get, keys.keys))
        if None not in kept:
            return kept
        if all(layer is changes for layer in self._table.layers_of(span)):
            return [accumulator or fresh for accumulator in kept]
        below = self._table.load
        return [
            accumulator or (fresh if (found := below(span, key)) is MISSING else found)
            for key, accumulator in zip(keys.keys, kept, strict=True)
        ]


def group_by_span(keys: KeyColumn, numbers: Numbers) -> tuple[Groups, list[SpanKeys]]:
    """A group for each span and key that has rows; spans ascending.

    >>> keys = KeyColumn(np.array([1, 0, 1]), ["a", "b"])
    >>> groups, spans = group_by_span(keys, np.array([7, 7, 8]))
    >>> groups.codes.tolist(), [(span.number, span.keys) for span in spans]
    ([1, 0, 2], [(7, ['a', 'b']), (8, ['b'])])
    """
    first, width = int(numbers.min()), len(keys.distinct)
    present, codes = _numbered(numbers, first, keys, width)
    span_of, key_of = np.divmod(present, width)
    stops = [*(np.flatnonzero(np.diff(span_of)) + 1).tolist(), len(present)]
    spans, start = [], 0
    for stop in stops:
        positions = key_of[start:stop].tolist()
        number = first + int(span_of[start])
        own_keys = list(map(keys.distinct.__getitem__, positions))
        spans.append(SpanKeys(number, own_keys, slice(start, stop)))
        start = stop
    return Groups(codes, len(present)), spans


def _numbered(
    numbers: Numbers, first: int, keys: KeyColumn, width: int
) -> tuple[Numbers, npt.NDArray[np.integer[Any]]]:
    """The cells (span, key) that have rows, ascending; for each row the position of its cell."""
    cells = (numbers - first) * width + keys.codes
    number_of_cells = (int(numbers.max()) - first + 1) * width
    if number_of_cells > CELLS_PER_ROW * len(cells):
        present, codes = np.unique(cells, return_inverse=True)
        return present, codes
    has_rows = np.zeros(number_of_cells, np.bool_)
    has_rows[cells] = True
    position = np.cumsum(has_rows) - 1
    return np.flatnonzero(has_rows), position[cells]
