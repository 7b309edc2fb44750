"""Gathers what process functions yield: main results and side outputs, with their timestamps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any, Final, Protocol

from streamlet.elements import ColumnBatch, OutputTag, RowBatch
from streamlet.errors import FatalError
from streamlet.operators.operator import Output

_USUAL: Final = frozenset({GeneratorType, tuple, list})


class HasTime(Protocol):
    """The context of a process function; the timestamp of the record at hand."""

    now: int | None


class HasKey(Protocol):
    """Where state finds the key of the record at hand."""

    key: Any


class Results:
    """The results of one batch or one run of firings, emitted as batches at its end."""

    __slots__ = ("_earlier", "_side", "timestamps", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.timestamps: list[int | None] = []
        self._earlier: list[RowBatch | ColumnBatch] = []
        self._side: dict[str, tuple[list[Any], list[int | None]]] = {}

    def add(self, yielded: Iterable[Any] | None, timestamp: int | None) -> None:
        """Takes everything a function yielded; `(tag, value)` goes to that side output."""
        if yielded is None:
            return
        if yielded.__class__ not in _USUAL:
            _check_results(yielded)
        for result in yielded:
            if result.__class__ is tuple and len(result) == 2 and result[0].__class__ is OutputTag:
                self.add_side(result[0].id, result[1], timestamp)
            else:
                self.values.append(result)
                self.timestamps.append(timestamp)

    def add_processed(
        self,
        process: Callable[[Any, Any], Iterable[Any] | None],
        records: Iterable[tuple[Any, Any, int | None]],
        context: HasTime,
        log: HasKey,
    ) -> None:
        """Calls `process(value, context)` for each (value, key, timestamp), and takes the results.

        This is the loop of every process function, so `add` is written out in it.
        """
        values, timestamps = self.values, self.timestamps
        for value, log.key, context.now in records:
            yielded = process(value, context)
            if yielded is None:
                continue
            if yielded.__class__ not in _USUAL:
                _check_results(yielded)
            for result in yielded:
                if (
                    result.__class__ is tuple
                    and len(result) == 2
                    and result[0].__class__ is OutputTag
                ):
                    self.add_side(result[0].id, result[1], context.now)
                else:
                    values.append(result)
                    timestamps.append(context.now)

    def add_value(self, value: Any, timestamp: int | None) -> None:
        """Takes one main result as it is."""
        self.values.append(value)
        self.timestamps.append(timestamp)

    def add_columns(self, batch: ColumnBatch) -> None:
        """Takes many main results as columns."""
        self._earlier += _batches(self.values, self.timestamps)
        self._earlier.append(batch)
        self.values, self.timestamps = [], []

    def add_side(self, tag_id: str, value: Any, timestamp: int | None) -> None:
        """Takes one record for a side output."""
        values, timestamps = self._side.setdefault(tag_id, ([], []))
        values.append(value)
        timestamps.append(timestamp)

    def emit(self, out: Output, *, is_main_stamped: bool = True) -> None:
        """Emits everything gathered: the main output first, if need be without its timestamps."""
        for earlier in self._earlier:
            out.emit(earlier)
        if is_main_stamped:
            for batch in _batches(self.values, self.timestamps):
                out.emit(batch)
        else:
            out.emit(RowBatch(self.values))
        for tag_id, (values, timestamps) in self._side.items():
            for batch in _batches(values, timestamps):
                out.emit_side(tag_id, batch)


def _check_results(yielded: Any) -> None:
    if isinstance(yielded, str | bytes | dict):
        raise FatalError(
            f"a process function must yield its results (or return a list of them), "
            f"it returned {type(yielded).__name__} {yielded!r:.80}"
        )


def _batches(values: list[Any], timestamps: list[Any]) -> Iterable[RowBatch]:
    """Cuts where records with a timestamp meet records without: a batch has all or none."""
    if None not in timestamps:
        yield RowBatch(values, timestamps)
        return
    start = 0
    for position in range(1, len(values) + 1):
        is_cut = position == len(values) or (
            (timestamps[position] is None) != (timestamps[start] is None)
        )
        if is_cut:
            stamps = None if timestamps[start] is None else timestamps[start:position]
            yield RowBatch(values[start:position], stamps)
            start = position
