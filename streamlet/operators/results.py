"""Gathers what process functions yield: main results and side outputs, with their timestamps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from streamlet.elements import OutputTag, RowBatch
from streamlet.errors import FatalError
from streamlet.operators.operator import Output

_NO_RESULTS: Final = (str, bytes, dict)


class Results:
    """The results of one batch or one run of firings, emitted as batches at its end."""

    __slots__ = ("_side", "timestamps", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.timestamps: list[int | None] = []
        self._side: dict[str, tuple[list[Any], list[int | None]]] = {}

    def add(self, yielded: Iterable[Any] | None, timestamp: int | None) -> None:
        """Takes everything a function yielded; `(tag, value)` goes to that side output."""
        self.add_timed(yielded, timestamp, timestamp)

    def add_timed(
        self, yielded: Iterable[Any] | None, timestamp: int | None, side_timestamp: int | None
    ) -> None:
        """As `add`, where side outputs carry another timestamp than the main output (TM-10)."""
        if yielded is None:
            return
        if isinstance(yielded, _NO_RESULTS):
            raise FatalError(
                f"a process function must yield its results (or return a list of them), "
                f"it returned {type(yielded).__name__} {yielded!r:.80}"
            )
        for result in yielded:
            if result.__class__ is tuple and len(result) == 2 and result[0].__class__ is OutputTag:
                self.add_side(result[0].id, result[1], side_timestamp)
            else:
                self.values.append(result)
                self.timestamps.append(timestamp)

    def add_value(self, value: Any, timestamp: int | None) -> None:
        """Takes one main result as it is."""
        self.values.append(value)
        self.timestamps.append(timestamp)

    def add_side(self, tag_id: str, value: Any, timestamp: int | None) -> None:
        """Takes one record for a side output."""
        values, timestamps = self._side.setdefault(tag_id, ([], []))
        values.append(value)
        timestamps.append(timestamp)

    def emit(self, out: Output) -> None:
        """Emits everything gathered: the main output first."""
        for batch in _batches(self.values, self.timestamps):
            out.emit(batch)
        for tag_id, (values, timestamps) in self._side.items():
            for batch in _batches(values, timestamps):
                out.emit_side(tag_id, batch)


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
