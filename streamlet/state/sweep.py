"""Removes expired entries that nobody reads any more, a few at each access of their state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

from streamlet.clock import Clock
from streamlet.state.flat_table import FlatTable
from streamlet.state.layout import MISSING
from streamlet.state.nested_table import NestedTable

ENTRIES_PER_ACCESS: Final = 5
"""More than one access can add, so that a table cannot outgrow its sweep (TTL-6)."""
_PASSES_PER_TTL: Final = 4

Trim: TypeAlias = Callable[[Any, int], Any]
"""(stored value, limit_ms) -> the same object, what is left of it, or MISSING."""


class Sweep:
    """Walks over all entries of a table with a TTL, again and again, as long as it is used.

    A pass over the table begins a quarter of the TTL after the one before at the earliest, so that
    a small table is not searched all the time.
    """

    __slots__ = ("_clock", "_next_pass_ms", "_pass", "_table", "_trim", "ttl_ms")

    def __init__(
        self, table: FlatTable | NestedTable, trim: Trim, ttl_ms: int, clock: Clock
    ) -> None:
        self._table = table
        self._trim = trim
        self._clock = clock
        self._pass: Iterator[tuple[Any, Any]] | None = None
        self._next_pass_ms = clock.now_ms()
        self.ttl_ms = ttl_ms

    def step(self) -> None:
        """Looks at the next few entries; called at each access, after it."""
        now_ms = self._clock.now_ms()
        if self._pass is None:
            if now_ms < self._next_pass_ms:
                return
            self._next_pass_ms = now_ms + self.ttl_ms // _PASSES_PER_TTL
            self._pass = self._table.walk()
        limit_ms, seen = now_ms - self.ttl_ms, 0
        for entry, value in islice(self._pass, ENTRIES_PER_ACCESS):
            seen += 1
            if self._trim(value, limit_ms) is not value:
                self._clean(entry, limit_ms)
        if seen < ENTRIES_PER_ACCESS:
            self._pass = None

    def _clean(self, entry: Any, limit_ms: int) -> None:
        """The walk may have met an old copy: only what the table says now counts."""
        table: Any = self._table
        parts = entry if isinstance(table, NestedTable) else (entry,)
        value = table.get(*parts, MISSING)
        if value is MISSING:
            return
        left = self._trim(value, limit_ms)
        if left is MISSING:
            table.remove(*parts)
        elif left is not value:
            table.put(*parts, left)
