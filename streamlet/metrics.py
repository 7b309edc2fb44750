"""Counters and gauges of operators; read by the command line, later by REST and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Counter:
    """A number that grows."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self, n: int = 1) -> None:
        self.count += n

    def get_count(self) -> int:
        return self.count


@dataclass(slots=True)
class MetricGroup:
    """The metrics of one subtask of one operator, by name."""

    counters: dict[str, Counter] = field(default_factory=dict)
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)

    def counter(self, name: str) -> Counter:
        """The counter of that name, made on first use.

        >>> group = MetricGroup()
        >>> group.counter("retries").inc(); group.counter("retries").get_count()
        1
        """
        return self.counters.setdefault(name, Counter())

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Registers a number that is asked for whenever metrics are read."""
        self.gauges[name] = read

    def read(self) -> dict[str, float]:
        """All metrics as they stand now."""
        values: dict[str, float] = {name: c.count for name, c in self.counters.items()}
        values.update({name: read() for name, read in self.gauges.items()})
        return values
