"""What a window of `agg(...)` keeps: a list with an accumulator for each named aggregate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Any

from streamlet.aggregates import NamedAggregates
from streamlet.elements import ColumnBatch, RowBatch
from streamlet.eventtime.windows import Window
from streamlet.operators.keyed import key_columns
from streamlet.operators.operator import OperatorContext
from streamlet.operators.place import note_record, select_at
from streamlet.operators.results import Results
from streamlet.operators.window_contents import WindowContents, WindowScope

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from streamlet.state.key_index import Keys


class AggContents(WindowContents):
    """`agg(**named)`: a dict of the key, the window's bounds and the named aggregates.

    Accumulators change in place and are never empty, so that those of a whole batch can be looked
    up first and then folded, one aggregate after the other; results are made many at once, too.
    """

    kind = "window agg"
    is_owned = True

    def __init__(self, named: NamedAggregates, key_fields: tuple[str, ...]) -> None:
        self.named = named
        self._key_fields = key_fields
        self._rows = named.row_builder((*key_fields, "window_start", "window_end"))
        # A copy of a list is quicker than making its entries anew, where those never change.
        self.create = named.create().copy if named.is_replaced else named.create
        """The accumulator before the first record."""
        self.gives_columns = False
        """Whether results are columns: they are once the operator has got columns."""

    def open(self, ctx: OperatorContext, scope: WindowScope) -> None:
        self._ctx = ctx

    @property
    def copy(self) -> Callable[[Any], Any] | None:
        return list if self.named.is_replaced else None

    def prepare(self, values: Sequence[Any]) -> Sequence[Any]:
        return select_at(self._ctx, self.named.parts, values)

    def fold(self, accumulators: Sequence[list[Any]], batch: RowBatch) -> None:
        """Adds each record to the accumulator at its position, in order."""
        columns = select_at(self._ctx, self.named.columns, batch.values)
        for at, aggregate in enumerate(self.named.aggregates):
            remaining = iter(accumulators)
            try:
                aggregate.fold(remaining, at, columns[at])
            except Exception as error:
                index = len(accumulators) - length_hint(remaining) - 1
                note_record(error, self._ctx, batch, index)
                raise

    def first(self, element: Any) -> Any:
        return self.named.add(self.named.create(), element)

    @property
    def add(self) -> Callable[[Any, Any], Any]:  # a property: one call less per record
        return self.named.add

    def merge(self, older: Any, newer: Any) -> Any:
        return self.named.merge(older, newer)

    def merge_all(
        self, merged: dict[Any, Any], keys: Iterable[Any], newer: Collection[list[Any]]
    ) -> None:
        """Merges the accumulators of some keys into those by key, which are new or change in place.

        Those of order-free aggregates stay as they are in `newer`. This is where the slices of a
        window come together.
        """
        if not merged:
            merged.update(zip(keys, map(list.copy, newer), strict=True))
            return
        merged_of, create = merged.get, self.create

        def new(key: Any) -> Any:
            accumulator = merged[key] = create()
            return accumulator

        self.named.merge_all([merged_of(key) or new(key) for key in keys], newer)

    def fire(self, key: Any, window: Window, contents: Any, results: Results) -> None:
        self.fire_all([key], window, [contents], results)

    def fire_all(
        self, keys: Sequence[Any], window: Window, contents: Sequence[Any], results: Results
    ) -> bool:
        self.fire_results(keys, window, self.named.results(contents), results)
        return True

    def fire_results(
        self,
        keys: Sequence[Any],
        window: Window,
        folded: Sequence[Sequence[Any]],
        results: Results,
    ) -> None:
        """Fires for each key what stands at its position, in a column per aggregate."""
        starts, ends, timestamps = ([time] * len(keys) for time in (*window, window.end - 1))
        columns = [*key_columns(self._key_fields, list(keys)), starts, ends, *folded]
        self._give(columns, timestamps, results)

    def fire_spans(
        self,
        keys: Sequence[Any],
        starts: list[int],
        ends: list[int],
        contents: Sequence[Any],
        results: Results,
    ) -> None:
        """Fires for each key a window of its own."""
        columns = [*key_columns(self._key_fields, list(keys)), starts, ends]
        columns += self.named.results(contents)
        self._give(columns, [end - 1 for end in ends], results)

    def _give(self, columns: list[Sequence[Any]], timestamps: list[int], results: Results) -> None:
        if self.gives_columns and self._fire_columns(columns, timestamps, results):
            return
        results.values += self._rows(*columns)
        results.timestamps += timestamps

    def key_arrays(self, keys: Keys) -> list[pa.Array] | None:
        """The keys as the leading columns of results; None: Arrow would change one."""
        from streamlet.operators.key_order import key_arrays

        return key_arrays(self._key_fields, keys)

    def fire_arrays(
        self,
        leading: Sequence[pa.Array],
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        arrays: Sequence[pa.Array],
        results: Results,
    ) -> None:
        """Fires for each key, in `leading`, a window of its own; per aggregate an array."""
        import pyarrow as pa

        columns = [*leading, pa.array(starts), pa.array(ends), *arrays]
        self._add_columns(columns, ends - 1, results)

    def _fire_columns(
        self, columns: list[Sequence[Any]], timestamps: list[int], results: Results
    ) -> bool:
        """Fires as columns; False: one has no type that Arrow knows, or is beyond it."""
        import numpy as np

        from streamlet.column_folds.forms import as_arrays

        arrays = as_arrays(columns)
        if arrays is None:
            return False
        self._add_columns(arrays, np.array(timestamps, np.int64), results)
        return True

    def _add_columns(
        self, arrays: list[Any], stamps: npt.NDArray[np.int64], results: Results
    ) -> None:
        import pyarrow as pa

        names = [*self._key_fields, "window_start", "window_end", *self.named.names]
        results.add_columns(ColumnBatch(pa.RecordBatch.from_arrays(arrays, names), stamps))
