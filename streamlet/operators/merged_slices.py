"""Fires windows of slices that are merged as arrays: those of columns, and large ones of rows."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.eventtime.windows import Span, Window
from streamlet.folds import Count, Max, Min, Sum
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.firing import Firings, Work, count_pieces, read_pieces
from streamlet.state.nested_table import NestedTable
from streamlet.state.pieces import Entries, collect, release

if TYPE_CHECKING:
    from streamlet.operators.slice_arrays import Merged, SliceArrays

MOST_AT_ONCE: Final = 50_000
"""Entries of one slice that are read in one go; more would stall the loop."""
ARRAYS_FROM: Final = 1_000
"""Entries of a slice of rows from which on it is merged as arrays. Those of many fewer would gain
as well, but loading numpy takes as long as merging a thousand such windows."""


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
        if len(spans) < 2 or not self._may_merge:
            return False
        for span in spans:
            is_learnt = self._arrays is not None and self._arrays.knows(span)
            if not is_learnt and not (yield from self._learn(span)):
                return False
        assert self._arrays is not None
        merged = self._arrays.merged(spans)
        if merged is None:
            self._give_up()
            return False
        yield self._firings.at_once  # for the merging
        if not self._contents.gives_columns or not self._fire_columns(Window(*window), merged):
            yield from self._fire_rows(Window(*window), merged)
        return True

    def _learn(self, span: Span) -> Generator[int, None, bool]:
        """Has the slice as arrays from now on; False: that cannot be, or is not worth it."""
        layers = self._slices.layers_of(span)
        if not self._contents.gives_columns and not self._is_worth_it(layers):
            return False
        kept = self._slices.arrays_of(span)
        if kept is not None:
            if not 0 < len(kept) <= MOST_AT_ONCE:
                return False
            is_learnt = self._merging().learn_arrays(span, kept)
        else:
            entries = yield from read_pieces(collect(layers))
            if not 0 < len(entries) <= MOST_AT_ONCE:
                yield from count_pieces(release(entries, layers))
                return False
            is_learnt = self._merging().learn(span, entries)
            yield from count_pieces(iter([len(entries)]))
            yield from count_pieces(release(entries, layers))
        if not is_learnt:
            self._give_up()
        return is_learnt

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

    def _fire_columns(self, window: Window, merged: Merged) -> bool:
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

    def _fire_rows(self, window: Window, merged: Merged) -> Work:
        keys: list[Any] = merged.keys()
        columns = [column.tolist() for column in merged.columns]
        firings = self._firings
        for start in range(0, len(keys), firings.at_once):
            piece = slice(start, start + firings.at_once)
            folded = [column[piece] for column in columns]
            self._contents.fire_results(keys[piece], window, folded, firings.results)
            yield len(folded[0])
