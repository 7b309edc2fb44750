"""Fires windows of slices that are merged as arrays: those of columns, and large ones of rows."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.eventtime.windows import Span, Window
from streamlet.folds import Count, Max, Min, Sum
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.firing import Firings, Work, read_pieces
from streamlet.state.nested_table import NestedTable
from streamlet.state.pieces import Entries

if TYPE_CHECKING:
    from streamlet.operators.merged_keys import Merged, MergedKeys
    from streamlet.operators.slice_arrays import SliceArrays

ARRAYS_FROM: Final = 1_000
"""Entries of a slice of rows from which on it is merged as arrays. Those of many fewer would gain
as well, but loading numpy takes as long as merging a thousand such windows."""
_LEARNT_PER_FIRING: Final = 2
"""So many entries are learnt in the time of firing one key as a row,"""
_MERGED_PER_FIRING: Final = 64
"""so many are merged,"""
_COLUMNS_PER_FIRING: Final = 8
"""and so many keys are fired as columns."""


class MergedSlices:
    """Merges slices as arrays, until it meets some that cannot be.

    The results are those of merging one accumulator after the other.
    """

    def __init__(self, contents: AggContents, firings: Firings) -> None:
        self._contents = contents
        self._firings = firings
        self._arrays: SliceArrays | None = None
        kinds = {type(aggregate) for aggregate in contents.named.aggregates}
        self._may_merge = kinds <= {Count, Sum, Min, Max}

    def open(self, slices: NestedTable) -> None:
        self._slices = slices

    def forget(self, span: Span) -> None:
        """The slice changes, or is gone."""
        if self._arrays is not None:
            self._arrays.forget(span)

    def fire(self, window: Span, spans: list[Span]) -> Generator[int, None, bool]:
        """Fires the window of these slices; False: nothing was done."""
        if not spans or not self._may_merge:
            return False
        for span in reversed(spans):  # the newest has the numbers that further slices will have
            is_learnt = self._arrays is not None and self._arrays.knows(span)
            if not is_learnt and not (yield from self._learn(span)):
                return False
        merged = yield from self._merge(spans)
        if merged is None:
            self._give_up()
            return False
        for keys in merged.by_key():
            if not self._contents.gives_columns or not self._fire_columns(Window(*window), keys):
                yield from self._fire_rows(Window(*window), keys)
            else:
                yield len(keys.columns[0]) // _COLUMNS_PER_FIRING + 1
        return True

    def _learn(self, span: Span) -> Generator[int, None, bool]:
        """Has the slice as arrays from now on; False: that cannot be, or is not worth it."""
        layers = self._slices.layers_of(span)
        if not self._contents.gives_columns and not self._is_worth_it(layers):
            return False
        learning = self._merging().learning(span, layers)
        is_learnt = yield from read_pieces(learning, _LEARNT_PER_FIRING)
        if not is_learnt:
            self._give_up()
        return is_learnt

    def _merge(self, spans: list[Span]) -> Generator[int, None, Merged | None]:
        """None: these slices, or their keys, are none for arrays."""
        assert self._arrays is not None
        if not (yield from read_pieces(self._arrays.ordering())):
            return None
        return (yield from read_pieces(self._arrays.merging(spans), _MERGED_PER_FIRING))

    def _is_worth_it(self, layers: list[Entries]) -> bool:
        if self._arrays is not None:
            return True
        return any(isinstance(each, dict) and len(each) >= ARRAYS_FROM for each in layers)

    def _merging(self) -> SliceArrays:
        if self._arrays is None:
            from streamlet.operators.slice_arrays import SliceArrays  # loads numpy

            self._arrays = SliceArrays(self._contents.named.aggregates)
        return self._arrays

    def _give_up(self) -> None:
        """Slices like those that could not be merged are likely to come again."""
        self._arrays, self._may_merge = None, False

    def _fire_columns(self, window: Window, merged: MergedKeys) -> bool:
        """Fires for the keys in their order; False: not as columns."""
        import numpy as np
        import pyarrow as pa

        leading = merged.key_arrays(self._contents.key_arrays)
        if leading is None or not MIN_TIMESTAMP <= window.start < window.end <= MAX_TIMESTAMP:
            return False
        count = len(merged.columns[0])
        starts, ends = np.full(count, window.start), np.full(count, window.end)
        arrays = [pa.array(column) for column in merged.columns]
        self._contents.fire_arrays(leading, starts, ends, arrays, self._firings.results)
        return True

    def _fire_rows(self, window: Window, merged: MergedKeys) -> Work:
        keys: list[Any] = merged.keys()
        columns = [column.tolist() for column in merged.columns]
        firings = self._firings
        for start in range(0, len(keys), firings.at_once):
            piece = slice(start, start + firings.at_once)
            folded = [column[piece] for column in columns]
            self._contents.fire_results(keys[piece], window, folded, firings.results)
            yield firings.at_once  # also for the last few, or more would follow in this call
