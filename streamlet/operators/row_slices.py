"""Fires windows of rows whose slices are large enough to be merged as arrays."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from streamlet.eventtime.windows import Span, Window
from streamlet.folds import Count, Max, Min, Sum
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.firing import Firings, Work, count_pieces, read_pieces
from streamlet.state.log import NestedTable
from streamlet.state.pieces import collect, release

if TYPE_CHECKING:
    from streamlet.operators.slice_arrays import SliceArrays

ARRAYS_FROM: Final = 1_000
"""Entries of a slice from which on it is merged as arrays. Those of many fewer would gain as well,
but loading numpy takes as long as merging a thousand such windows."""


class RowSlices:
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
        if len(spans) < 2 or not self._may_merge or self._contents.gives_columns:
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
        yield from self._fire_merged(Window(*window), *merged)
        return True

    def _learn(self, span: Span) -> Generator[int, None, bool]:
        layers = self._slices.layers_of(span)
        if self._arrays is None:
            if max(len(each) if isinstance(each, dict) else 0 for each in layers) < ARRAYS_FROM:
                return False
            from streamlet.operators.slice_arrays import SliceArrays  # loads numpy

            self._arrays = SliceArrays(self._contents.named.aggregates)
        entries = yield from read_pieces(collect(layers))
        is_learnt = self._arrays.learn(span, entries)
        yield from count_pieces(release(entries, layers))
        if not is_learnt:
            self._give_up()
        return is_learnt

    def _give_up(self) -> None:
        """Slices like those that could not be merged are likely to come again."""
        self._arrays, self._may_merge = None, False

    def _fire_merged(self, window: Window, keys: list[Any], columns: list[list[Any]]) -> Work:
        """Fires for the keys in their order; per aggregate a column of results."""
        firings = self._firings
        for start in range(0, len(keys), firings.at_once):
            piece = slice(start, start + firings.at_once)
            folded = [column[piece] for column in columns]
            self._contents.fire_results(keys[piece], window, folded, firings.results)
            yield len(folded[0])
