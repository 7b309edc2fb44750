"""Finds, for a batch of records, the accumulators of the windows or slices that they are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlet.eventtime.windows import Span
from streamlet.state.log import MISSING, NestedTable


class Buckets(dict[int, Callable[[Any], Any]]):
    """Spans of one size side by side: their number to the look-up of keys among their changes.

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
        self._fresh: dict[int, dict[Any, Any]] = {}
        """The changes of spans that are nothing but changes."""

    def __missing__(self, number: int) -> Callable[[Any], Any]:
        span = self._span(number)
        changes = self._open_span(span)
        if all(layer is changes for layer in self._table.layers_of(span)):
            self._fresh[number] = changes
        lookup = self[number] = changes.get
        return lookup

    def accumulators(self, keys: list[Any], timestamps: list[int]) -> list[list[Any]]:
        """For each record that of its key and span, to be changed in place."""
        size_ms, offset_ms = self._size_ms, self._offset_ms
        number = (min(timestamps) - offset_ms) // size_ms
        if number == (max(timestamps) - offset_ms) // size_ms:
            lookup = self[number]
            known = list(map(lookup, keys))
            return known if all(known) else [lookup(k) or self._of_new(k, number) for k in keys]
        return [
            self[(timestamp - offset_ms) // size_ms](key)
            or self._of_new(key, (timestamp - offset_ms) // size_ms)
            for key, timestamp in zip(keys, timestamps, strict=True)
        ]

    def _of_new(self, key: Any, number: int) -> Any:
        changes = self._fresh.get(number)
        if changes is not None:
            accumulator = changes[key] = self._create()
            return accumulator
        span = self._span(number)
        kept = self._table.for_update(span, key)
        if kept is MISSING:
            kept = self._create()
            self._table.put(span, key, kept)
        return kept

    def _span(self, number: int) -> Span:
        start = number * self._size_ms + self._offset_ms
        return start, start + self._size_ms
