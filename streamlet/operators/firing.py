"""What window operators share: the windows that are due, and firing them piece by piece.

A window of a million keys is read, sorted, fired and dropped in many calls of `advance_watermark`,
between which the task sends and breathes; see `streamlet.state.pieces`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from streamlet.eventtime.windows import Span, Window
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import OperatorContext, Output
from streamlet.operators.place import note_firing
from streamlet.operators.results import Results
from streamlet.operators.window_contents import WindowContents

T = TypeVar("T")

Work: TypeAlias = Iterator[int]
"""Work in steps; each gives how many entries it has read, sorted, fired or dropped."""

_FIRED_AT_ONCE: Final = 1_024
_READS_PER_FIRING: Final = 4
"""To read, sort or drop an entry costs about a quarter of firing it."""


class DueSpans:
    """Windows by their last millisecond, each once."""

    __slots__ = ("_heap", "_known")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Span]] = []
        self._known: set[Span] = set()

    def add(self, span: Span, due_ms: int) -> None:
        """Does nothing when the span is there already."""
        if span not in self._known:
            self._known.add(span)
            heapq.heappush(self._heap, (due_ms, span))

    def pop_due(self, watermark_ms: int) -> Span | None:
        """The next span that is due, or None."""
        if not self._heap or self._heap[0][0] > watermark_ms:
            return None
        span = heapq.heappop(self._heap)[1]
        self._known.discard(span)
        return span


class Firings:
    """Fires keys of windows and gathers what they give, within a budget per call."""

    def __init__(self, contents: WindowContents) -> None:
        self._contents = contents
        self._work: Work | None = None
        self.at_once = _FIRED_AT_ONCE
        """How many keys to fire before the budget is looked at."""
        self.results = Results()

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._log = keyed_state(ctx)

    def go_on(self, begin: Callable[[], Work], budget: int, out: Output) -> bool:
        """Works off about `budget` firings of what `begin` gives; True when all of it is done.

        Nothing else may enter the operator before; then the next call begins anew.
        """
        if self._work is None:
            self._work = begin()
        self.at_once = max(1, min(budget, _FIRED_AT_ONCE))
        for done in self._work:
            budget -= done
            if budget <= 0:
                break
        else:
            self._work = None
        self.results.emit(out)
        self.results = Results()
        return self._work is None

    def fire_all(self, span: Span, keys: Iterable[Any], kept_of: Callable[[Any], Any]) -> Work:
        """Fires the window for the keys in their order."""
        window, remaining = Window(*span), iter(keys)
        while some := list(islice(remaining, self.at_once)):
            self.fire(window, some, list(map(kept_of, some)), self.results)
            yield len(some)

    def fire(
        self, window: Window, keys: Sequence[Any], contents: Sequence[Any], results: Results
    ) -> None:
        """Fires the window for some keys now."""
        fired = len(results.values)
        try:
            if self._contents.fire_all(keys, window, contents, results):
                return
        except Exception:
            del results.values[fired:]  # one by one it fails again, and shows the key
        for key, kept in zip(keys, contents, strict=True):
            self._log.key = key
            try:
                self._contents.fire(key, window, kept, results)
            except Exception as error:
                place = f"window [{window.start}, {window.end})"
                note_firing(error, self._ctx, key, place)
                raise

    def clear_all(self, span: Span, keys: list[Any]) -> Work:
        """Tells the window function that the window is cleaned up for the keys."""
        window = Window(*span)
        for key in keys:
            self._log.key = key
            self._contents.clear(key, window)
            yield 1

    def close(self) -> None:
        """Lets go of what is being read: an open iterator would keep a database locked."""
        self._work = None


def read_pieces(
    work: Generator[int, None, T], per_firing: int = _READS_PER_FIRING
) -> Generator[int, None, T]:
    """Reading or sorting, counted as firings; gives what it gives."""
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        yield done // per_firing + 1


def count_pieces(work: Iterator[int]) -> Work:
    """Dropping, counted as firings."""
    for done in work:
        yield done // _READS_PER_FIRING + 1
