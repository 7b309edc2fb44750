"""Finds, for a batch of records, the accumulators of the windows or slices that they are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlet.eventtime.windows import Span
from streamlet.state.log import MISSING, NestedTable


class Buckets(dict[int, dict[Any, Any]]):
    """Spans of one size side by side: their number, 0 for the first of the batch, to their changes.

    For one batch only: the changes are others after a freeze. Accumulators are never empty, and no
    key was removed from a span that is open.
    """

    def __init__(
        self,
        table: NestedTable,
        open_span: Callable[[Span], dict[Any, Any]],
        create: Callable[[], list[Any]],
        size_ms: int,
        offset_ms: int,
    ) -> None:
        super().__init__()
        self._table = table
        self._open_span = open_span
        self._create = create
        self._size_ms = size_ms
        self._offset_ms = offset_ms
        self._begin = 0
        self._are_new = True
        """Whether all spans so far are nothing but changes."""

    def __missing__(self, number: int) -> dict[Any, Any]:
        span = self._span(number)
        changes = self[number] = self._open_span(span)
        if any(layer is not changes for layer in self._table.layers_of(span)):
            self._are_new = False
        return changes

    def accumulators(self, keys: list[Any], timestamps: list[int]) -> list[list[Any]]:
        """For each record that of its key and span, to be changed in place."""
        first_ms, size_ms = min(timestamps), self._size_ms
        self._begin = first_ms - (first_ms - self._offset_ms) % size_ms
        if max(timestamps) >= self._begin + size_ms:
            return self._of_several(keys, timestamps)
        known_of = self[0].get
        known: list[Any] = list(map(known_of, keys))
        return known if all(known) else [known_of(key) or self._opened(0, key) for key in keys]

    def _of_several(self, keys: list[Any], timestamps: list[int]) -> list[list[Any]]:
        """In small spans many accumulators are new: their way is written out."""
        begin, size_ms, create = self._begin, self._size_ms, self._create
        accumulators: list[list[Any]] = []
        append = accumulators.append
        for key, timestamp in zip(keys, timestamps, strict=True):
            # From the first span on: Python divides small numbers twice as quickly.
            changes = self[(timestamp - begin) // size_ms]
            accumulator = changes.get(key)
            if accumulator is None:
                if self._are_new:
                    accumulator = changes[key] = create()
                else:
                    accumulator = self._opened((timestamp - begin) // size_ms, key)
            append(accumulator)
        return accumulators

    def _opened(self, number: int, key: Any) -> Any:
        """The accumulator of a key that had none among the changes; now it has."""
        accumulator = MISSING if self._are_new else self._table.for_update(self._span(number), key)
        if accumulator is MISSING:
            accumulator = self[number][key] = self._create()
        return accumulator

    def _span(self, number: int) -> Span:
        start = self._begin + number * self._size_ms
        return start, start + self._size_ms
