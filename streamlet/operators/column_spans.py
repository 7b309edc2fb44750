"""Adds batches of columns to windows or slices: folded by span and key first, then merged in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import FoldsOfSchema, NamedFolds
from streamlet.columns import to_rows
from streamlet.elements import ColumnBatch, KeyColumn, RowBatch
from streamlet.eventtime.windows import Span
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.kept_keys import Elsewhere, accumulators_of, parts_of, slots_of
from streamlet.operators.key_order import by_key
from streamlet.operators.results import Results
from streamlet.state.arrays import Part, as_objects
from streamlet.state.key_index import ABSENT, Slots
from streamlet.state.key_numbers import KeyNumbers, NumberedArrays
from streamlet.state.log import NestedTable

Numbers = npt.NDArray[np.int64]

MAX_TIME: Final = 2**61
"""Times beyond, either way, are left to Python's ints, which do not overflow."""
MOST_AT_ONCE: Final = 100_000
"""Entries of a span that are read and sorted in one go; more would stall the loop."""
FORGOTTEN_FROM: Final = 8_192
"""So many keys are numbered before those that no span has any more are forgotten: each span has
room for all numbers."""
NAMES_PER_KEY: Final = 8
"""Or so many times the keys of a span, if that is more."""
CELLS_PER_ROW: Final = 8
"""With more pairs of span and key than so many per row, sorting is cheaper than counting all."""


NO_ROWS: Final = RowBatch([], [], [])


@dataclass(frozen=True, slots=True)
class SpanKeys:
    """The keys with rows in one span; their groups stand side by side, in the same order."""

    number: int
    positions: npt.NDArray[np.intp]
    """Of its keys among the distinct keys of the batch."""
    groups: slice


class ColumnSpans:
    """Spans of one size side by side, each with an accumulator per key in keyed state.

    It keeps what rows would keep, to the last bit, and in the same table.
    """

    def __init__(
        self,
        contents: AggContents,
        table: NestedTable,
        open_span: Callable[[Span], None],
        size_ms: int,
        offset_ms: int,
    ) -> None:
        self._contents = contents
        self._table = table
        self._open_span = open_span
        self._size_ms = size_ms
        self._offset_ms = offset_ms
        self._folds = FoldsOfSchema(contents.named)
        self._names = KeyNumbers()

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
        names = self._names.of(batch.keys.distinct)
        kept = [self._kept(span, batch.keys, names, folds) for span in spans]
        older = _joined([of.arrays.read(of.slots) for of in kept])
        is_new = np.concatenate([of.slots for of in kept]) == ABSENT
        folded = folds.fold(groups, batch.records, older, is_new)
        if folded is None:
            return False
        for of, keys in zip(kept, spans, strict=True):
            parts = [part[keys.groups] for part in folded]
            self._table.put_in_arrays(of.span, of.names, of.slots, parts)
        self._forget_names()
        return True

    def fire(self, span: Span, results: Results) -> list[Any] | None:
        """Fires the span as a window and gives its keys; None: it must be fired as rows are.

        That is so where not all of it stands in arrays, or more than should be sorted at once.
        """
        arrays, folds = self._table.arrays_of(span), self._folds.latest
        if arrays is None or folds is None or len(arrays) > MOST_AT_ONCE:
            return None
        keys, parts = arrays.columns()
        leading, columns = self._contents.key_arrays(keys), folds.results(parts)
        ordered = None if leading is None or columns is None else by_key(leading, columns)
        if ordered is None:
            return None
        starts, ends = np.full(len(keys), span[0]), np.full(len(keys), span[1])
        self._contents.fire_arrays(ordered[0], starts, ends, ordered[1], results)
        fired: list[Any] = keys.tolist()
        return fired

    def _span(self, number: int) -> Span:
        start = number * self._size_ms + self._offset_ms
        return start, start + self._size_ms

    def _kept(self, keys: SpanKeys, of_batch: KeyColumn, names: Slots, folds: NamedFolds) -> _Kept:
        """Where the span keeps the keys; what it has elsewhere moves into its arrays."""
        span = self._span(keys.number)
        self._open_span(span)
        arrays = self._table.arrays.get(span)
        if arrays is None:
            arrays = NumberedArrays(accumulators_of, folds.dtypes, self._names)
            self._table.arrays[span] = arrays
        if arrays.numbers is self._names:
            own_names = names[keys.positions]
        else:
            own_names = arrays.numbers.of(of_batch.distinct[keys.positions])
        if all(layer is arrays for layer in self._table.layers_of(span)):
            return _Kept(span, arrays, own_names, arrays.find(own_names))
        take, to_parts = partial(self._table.take, span), partial(parts_of, folds=folds)
        elsewhere = Elsewhere(self._table.layers(span), take, to_parts)
        return _Kept(span, arrays, own_names, slots_of(arrays, own_names, elsewhere))

    def _forget_names(self) -> None:
        """Further spans begin with new names when most keys are likely to be gone."""
        if len(self._names) <= FORGOTTEN_FROM:
            return
        most = max(map(len, self._table.arrays.values()), default=0)  # a new span has few as yet
        if len(self._names) > NAMES_PER_KEY * most:
            self._names = KeyNumbers()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a span keeps the keys of a batch."""

    span: Span
    arrays: NumberedArrays
    names: Slots
    slots: Slots


def _joined(parts: Sequence[Sequence[Part]]) -> list[Part]:
    """One after the other what several spans have, part by part."""
    joined = []
    for same in zip(*parts, strict=True):
        are_alike = len({part.dtype for part in same}) == 1
        joined.append(np.concatenate(same if are_alike else list(map(as_objects, same))))
    return joined


def group_by_span(keys: KeyColumn, numbers: Numbers) -> tuple[Groups, list[SpanKeys]]:
    """A group for each span and key that has rows; spans ascending.

    >>> keys = KeyColumn(np.array([1, 0, 1]), np.array([30, 40]))
    >>> groups, spans = group_by_span(keys, np.array([7, 7, 8]))
    >>> groups.codes.tolist(), [(span.number, span.positions.tolist()) for span in spans]
    ([1, 0, 2], [(7, [0, 1]), (8, [1])])
    """
    first, width = int(numbers.min()), len(keys.distinct)
    present, codes = _numbered(numbers, first, keys, width)
    span_of, key_of = np.divmod(present, width)
    stops = [*(np.flatnonzero(np.diff(span_of)) + 1).tolist(), len(present)]
    spans, start = [], 0
    for stop in stops:
        number = first + int(span_of[start])
        spans.append(SpanKeys(number, key_of[start:stop], slice(start, stop)))
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
