"""How long a record takes from its creation to the sink, at ten thousand records a second.

A record counts as created when it was due, not when the source got to it: a source that is held up
makes its records wait, and that is part of what users see.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

from streamlet import StreamExecutionEnvironment
from streamlet import aggregates as agg
from streamlet.clock import SystemClock
from streamlet.connectors.datagen import DataGenSource

RATE: Final = 10_000
KEYS: Final = 1_000
WARM_UP_S: Final = 1
SETTINGS: Final[dict[str, dict[str, str]]] = {
    "default settings, no checkpoints": {"execution.checkpointing.interval": "off"},
    "default settings, a checkpoint each second": {"execution.checkpointing.interval": "1s"},
    "the same on rocksdb": {
        "execution.checkpointing.interval": "1s",
        "state.backend.type": "rocksdb",
    },
    "buffer-timeout 1ms, no checkpoints": {
        "execution.checkpointing.interval": "off",
        "execution.buffer-timeout": "1ms",
    },
    "buffer-timeout 1ms, a checkpoint each second": {
        "execution.checkpointing.interval": "1s",
        "execution.buffer-timeout": "1ms",
    },
}


class Opened(SystemClock):
    """The clock of the source: it notes when the reader was opened, which asks it first."""

    def __init__(self) -> None:
        self.start_s: float | None = None

    def monotonic_s(self) -> float:
        now_s = super().monotonic_s()
        if self.start_s is None:
            self.start_s = now_s
        return now_s

    def record(self, index: int) -> tuple[int, float]:
        """A key, and when the record was due."""
        assert self.start_s is not None
        return index % KEYS, self.start_s + (index + 1) / RATE


class Delays:
    """A sink that notes how old each result is."""

    def __init__(self) -> None:
        self.seen_ms: list[float] = []

    def __call__(self, results: Sequence[Any]) -> None:
        now_s = time.monotonic()
        self.seen_ms.extend((now_s - result["due"]) * 1_000 for result in results)


def delays_of(settings: dict[str, str], seconds: int) -> list[float]:
    """The delays in ms, sorted, without the first second's."""
    env = StreamExecutionEnvironment(settings)
    delays, clock = Delays(), Opened()
    count = RATE * (seconds + WARM_UP_S)
    source = DataGenSource(clock.record, count=count, rate=RATE, clock=clock)
    counts = env.from_source(source).key_by(0).agg(seen=agg.count(), due=agg.last(1))
    counts.uid("count").sink_to(delays)
    env.execute("latency")
    return sorted(delays.seen_ms[RATE * WARM_UP_S :])


def main() -> None:
    """Prints p50, p99 and the maximum for each setting."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=10)
    seconds = arguments.parse_args().seconds
    print(f"{RATE} records/s through key_by and a running count; ms from due to sink")
    for name, settings in SETTINGS.items():
        with tempfile.TemporaryDirectory() as home:
            os.environ["STREAMLET_HOME"] = home
            delays = delays_of(settings, seconds)
        p50, p99 = (delays[len(delays) * percent // 100] for percent in (50, 99))
        print(f"{name:46} p50 {p50:6.1f}  p99 {p99:6.1f}  max {delays[-1]:6.1f}", flush=True)


if __name__ == "__main__":
    main()
