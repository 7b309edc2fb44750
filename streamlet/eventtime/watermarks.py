"""What users say about event time: where timestamps are, and how late records may come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, NoReturn, TypeVar

from streamlet.errors import ConfigError, FatalError
from streamlet.eventtime.generators import (
    BatchGenerator,
    BoundedOutOfOrderness,
    NoWatermarks,
    WatermarkGenerator,
)
from streamlet.eventtime.timestamps import (
    Stamper,
    TimestampAssigner,
    compile_extractor,
)
from streamlet.selectors import describe_selector
from streamlet.units import Duration, to_ms, to_positive_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class WatermarkStrategy(Generic[T]):
    """How a source stamps records and derives watermarks; each `with_...` gives a new strategy.

    >>> from streamlet.elements import RowBatch
    >>> strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s")
    >>> stamper = strategy.with_timestamp_assigner("ts").stamper()
    >>> stamper.stamp(RowBatch([{"ts": 5_000}])).timestamps
    [5000]
    """

    generator_factory: Callable[[], WatermarkGenerator]
    timestamp_assigner: TimestampAssigner | None = None
    idle_timeout_ms: int | None = None

    @classmethod
    def for_monotonous_timestamps(cls) -> WatermarkStrategy[Any]:
        """Timestamps of a split never go back; equal ones may follow (WM-1)."""
        return WatermarkStrategy(partial(BoundedOutOfOrderness, 0))

    @classmethod
    def for_bounded_out_of_orderness(cls, max_out_of_orderness: Duration) -> WatermarkStrategy[Any]:
        """A record comes at most so much event time after newer ones of its split (WM-1)."""
        delay_ms = to_ms(max_out_of_orderness)
        if delay_ms < 0:
            raise ConfigError(
                "for_bounded_out_of_orderness needs a duration that is not negative, got "
                f"{max_out_of_orderness!r}"
            )
        return WatermarkStrategy(partial(BoundedOutOfOrderness, delay_ms))

    @classmethod
    def no_watermarks(cls) -> WatermarkStrategy[Any]:
        """Event time stands still until the end of the input."""
        return WatermarkStrategy(NoWatermarks)

    @classmethod
    def for_generator(cls, factory: Callable[[], Any]) -> WatermarkStrategy[Any]:
        """`factory` makes a generator per split: `on_event` and `on_periodic_emit`."""
        if not callable(factory):
            raise ConfigError(
                f"for_generator needs what makes a generator, got {factory!r}: pass the class or "
                "a function without arguments, as each split gets a generator of its own"
            )
        problem = _problem_of(factory) if isinstance(factory, type) else ""
        if problem:
            raise ConfigError(f"{problem}; for_generator got the class {factory.__name__}")
        return WatermarkStrategy(factory)

    def with_timestamp_assigner(self, assigner: TimestampAssigner) -> WatermarkStrategy[T]:
        """Takes event time from a field name, a position or a callable.

        It must give int epoch ms or aware datetimes. A callable that needs two arguments also
        gets the timestamp that the record came with (MIN_TIMESTAMP: none).
        """
        compile_extractor(assigner)  # a wrong selector fails on the user's line
        return replace(self, timestamp_assigner=assigner)

    def with_idleness(self, timeout: Duration) -> WatermarkStrategy[T]:
        """Others stop waiting for a split that was silent for longer than this (WM-20)."""
        return replace(
            self, idle_timeout_ms=to_positive_ms(timeout, "the timeout of with_idleness")
        )

    def with_watermark_alignment(
        self, group: str, max_drift: Duration, update_interval: Duration = "1s"
    ) -> NoReturn:
        """Refused: sources that wait for each other cannot be had yet."""
        raise ConfigError(
            f"with_watermark_alignment (group {group!r}) is not available yet; without it, a "
            "source that is ahead only makes windows wait in state for longer"
        )

    def create_generator(self) -> WatermarkGenerator:
        """A generator for one split."""
        generator = self.generator_factory()
        problem = _problem_of(generator)
        if problem:
            raise FatalError(f"{problem}; {self.generator_factory!r} made {generator!r}")
        return generator

    def stamper(self) -> Stamper | None:
        """What stamps a batch; None: records keep the timestamps they came with."""
        return None if self.timestamp_assigner is None else Stamper(self.timestamp_assigner)

    @property
    def rows_because(self) -> str | None:
        """Why it must see each record as a Python object; None: columns will do."""
        assigner, factory = self.timestamp_assigner, self.generator_factory
        if assigner is not None and not isinstance(assigner, str):
            return f"its timestamps come from {describe_selector(assigner)}, not from a column"
        kind = factory.func if isinstance(factory, partial) else factory
        if not (isinstance(kind, type) and issubclass(kind, BatchGenerator)):
            return "its watermark generator looks at each record"
        return None


def _problem_of(generator: Any) -> str:
    """What keeps an object, or the objects of a class, from being a watermark generator."""
    for method in ("on_event", "on_periodic_emit"):
        if not callable(getattr(generator, method, None)):
            return (
                "a watermark generator needs on_event(value, timestamp, output) and "
                f"on_periodic_emit(output), but {method} is missing"
            )
    return ""
