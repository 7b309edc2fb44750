"""Event-time windows, and the assigners that say which windows an element belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from streamlet.elements import MIN_TIMESTAMP
from streamlet.errors import ConfigError, RecordError
from streamlet.selectors import show_record
from streamlet.units import Duration, to_ms, to_positive_ms

T_contra = TypeVar("T_contra", contravariant=True)


class Window(NamedTuple):
    """The half-open span [start, end) of event time, in epoch ms; a tuple, ordered by start."""

    start: int
    end: int

    def max_timestamp(self) -> int:
        """The last millisecond inside; results of the window carry it (WN-21)."""
        return self.end - 1


Span: TypeAlias = tuple[int, int]
"""The [start, end) of a window, or of a slice that windows share, as state names it."""


class WindowAssigner(ABC, Generic[T_contra]):
    """Says which windows an element belongs to."""

    __slots__ = ()

    @abstractmethod
    def assign_windows(
        self, element: T_contra, timestamp: int | None, ctx: Any = None, /
    ) -> Sequence[Window]:
        """The element's windows. `ctx` tells processing time; event time does not need it."""

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether the windows end by the watermark (True) or by the clock."""


@dataclass(frozen=True, slots=True)
class TumblingEventTimeWindows(WindowAssigner[Any]):
    """Windows of one size, side by side: each element is in exactly one.

    >>> TumblingEventTimeWindows.of("10s").assign_windows("x", 12_345)
    [Window(start=10000, end=20000)]
    """

    size_ms: int
    offset_ms: int = 0

    def __post_init__(self) -> None:
        _check_offset("TumblingEventTimeWindows", "size", self.size_ms, self.offset_ms)

    @classmethod
    def of(cls, size: Duration, offset: Duration = 0) -> TumblingEventTimeWindows:
        """Windows start at `offset` and every `size` from there, in both directions (WN-1)."""
        size_ms = to_positive_ms(size, f"the size of {cls.__name__}")
        return cls(size_ms, to_ms(offset))

    @property
    def slide_ms(self) -> int:
        """The distance between two windows: their size."""
        return self.size_ms

    def spans(self, timestamp: int) -> list[Span]:
        """The windows of a timestamp: always one."""
        start = timestamp - (timestamp - self.offset_ms) % self.size_ms
        return [(start, start + self.size_ms)]

    def assign_windows(
        self, element: Any, timestamp: int | None, ctx: Any = None, /
    ) -> list[Window]:
        return [Window(*span) for span in self.spans(_stamped(element, timestamp))]

    def is_event_time(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class SlidingEventTimeWindows(WindowAssigner[Any]):
    """Windows of one size that start every `slide`: they overlap, or leave gaps if size < slide.

    >>> SlidingEventTimeWindows.of("10s", "5s").assign_windows("x", 12_345)
    [Window(start=10000, end=20000), Window(start=5000, end=15000)]
    """

    size_ms: int
    slide_ms: int
    offset_ms: int = 0

    def __post_init__(self) -> None:
        _check_offset("SlidingEventTimeWindows", "slide", self.slide_ms, self.offset_ms)

    @classmethod
    def of(cls, size: Duration, slide: Duration, offset: Duration = 0) -> SlidingEventTimeWindows:
        """An element in a gap between windows belongs to none, and is not late (WN-3)."""
        size_ms = to_positive_ms(size, f"the size of {cls.__name__}")
        slide_ms = to_positive_ms(slide, f"the slide of {cls.__name__}")
        return cls(size_ms, slide_ms, to_ms(offset))

    @property
    def slice_ms(self) -> int | None:
        """How long the slices are that windows share; None: windows are no whole slices."""
        return None if self.size_ms % self.slide_ms else self.slide_ms

    def starts(self, timestamp: int) -> range:
        """Where the windows of a timestamp start, newest first; may be none."""
        newest = timestamp - (timestamp - self.offset_ms) % self.slide_ms
        return range(newest, timestamp - self.size_ms, -self.slide_ms)

    def spans(self, timestamp: int) -> list[Span]:
        """The windows of a timestamp, newest first; may be none."""
        size_ms = self.size_ms
        return [(start, start + size_ms) for start in self.starts(timestamp)]

    def assign_windows(
        self, element: Any, timestamp: int | None, ctx: Any = None, /
    ) -> list[Window]:
        return [Window(*span) for span in self.spans(_stamped(element, timestamp))]

    def is_event_time(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class CumulativeEventTimeWindows(WindowAssigner[Any]):
    """Windows that start together and end `step` after `step`, up to a size: results so far.

    Every `max_size` they begin anew. An element is in all windows that end after it (SQL-2).

    >>> CumulativeEventTimeWindows.of("15s", "5s").assign_windows("x", 7_000)
    [Window(start=0, end=10000), Window(start=0, end=15000)]
    """

    max_size_ms: int
    step_ms: int
    offset_ms: int = 0

    def __post_init__(self) -> None:
        if self.max_size_ms % self.step_ms:
            raise ConfigError(
                "the step of CumulativeEventTimeWindows must divide its max size: "
                f"max size {self.max_size_ms} ms, step {self.step_ms} ms"
            )
        _check_offset("CumulativeEventTimeWindows", "max size", self.max_size_ms, self.offset_ms)

    @classmethod
    def of(
        cls, max_size: Duration, step: Duration, offset: Duration = 0
    ) -> CumulativeEventTimeWindows:
        """The longest window lasts `max_size`, of which `step` is a whole part."""
        max_size_ms = to_positive_ms(max_size, f"the max size of {cls.__name__}")
        step_ms = to_positive_ms(step, f"the step of {cls.__name__}")
        return cls(max_size_ms, step_ms, to_ms(offset))

    @property
    def slice_ms(self) -> int:
        """How long the slices are that windows share: a step."""
        return self.step_ms

    def spans(self, timestamp: int) -> list[Span]:
        """The windows of a timestamp, the one that ends first in front."""
        into_ms = (timestamp - self.offset_ms) % self.max_size_ms
        start = timestamp - into_ms
        first_end = timestamp - into_ms % self.step_ms + self.step_ms
        return [
            (start, end) for end in range(first_end, start + self.max_size_ms + 1, self.step_ms)
        ]

    def assign_windows(
        self, element: Any, timestamp: int | None, ctx: Any = None, /
    ) -> list[Window]:
        return [Window(*span) for span in self.spans(_stamped(element, timestamp))]

    def is_event_time(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class EventTimeSessionWindows(WindowAssigner[Any]):
    """Windows that last until a key was silent for the gap; those that touch are one (WN-10).

    >>> EventTimeSessionWindows.with_gap("30m").assign_windows("x", 0)
    [Window(start=0, end=1800000)]
    """

    gap_ms: int | None
    dynamic_gap: Callable[[Any], Duration] | None = None

    @classmethod
    def with_gap(cls, gap: Duration) -> EventTimeSessionWindows:
        """The same gap for all elements."""
        return cls(to_positive_ms(gap, "the gap of EventTimeSessionWindows"))

    @classmethod
    def with_dynamic_gap(cls, fn: Callable[[Any], Duration]) -> EventTimeSessionWindows:
        """Each element says how long its session lasts from it on; must be > 0."""
        if not callable(fn):
            raise ConfigError(
                "with_dynamic_gap needs a function from an element to a duration, got "
                f"{fn!r}; a gap that never changes goes to with_gap"
            )
        return cls(None, fn)

    def gap_of(self, element: Any) -> int:
        """The element's gap in ms."""
        if self.gap_ms is not None:
            return self.gap_ms
        assert self.dynamic_gap is not None
        gap = self.dynamic_gap(element)
        try:
            gap_ms = to_ms(gap)
        except ConfigError as error:
            raise RecordError(
                f"the dynamic session gap of record {show_record(element)}: {error}"
            ) from None
        if gap_ms <= 0:
            raise RecordError(
                f"the dynamic session gap of record {show_record(element)} is {gap!r}; "
                "it must be longer than zero"
            )
        return gap_ms

    def assign_windows(
        self, element: Any, timestamp: int | None, ctx: Any = None, /
    ) -> list[Window]:
        start = _stamped(element, timestamp)
        return [Window(start, start + self.gap_of(element))]

    def is_event_time(self) -> bool:
        return True


def _check_offset(windows: str, period: str, period_ms: int, offset_ms: int) -> None:
    """WN-2: an offset of a whole period or more is a mistake, as it shifts nothing."""
    if abs(offset_ms) >= period_ms:
        raise ConfigError(
            f"the offset of {windows} must be shorter than its {period}: "
            f"offset {offset_ms} ms, {period} {period_ms} ms"
        )


def _stamped(element: Any, timestamp: int | None) -> int:
    """WN-4: what has no event time is in no event-time window."""
    if timestamp is None or timestamp == MIN_TIMESTAMP:
        raise RecordError(
            f"the record {show_record(element)} has no timestamp, and event-time windows need one; "
            "give the source a WatermarkStrategy with with_timestamp_assigner(...)"
        )
    return timestamp
