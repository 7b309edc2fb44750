"""Input written down step by step: records with their timestamps, watermarks, idleness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from streamlet.elements import MIN_TIMESTAMP, RowBatch, StreamStatus, Watermark
from streamlet.errors import ConfigError, FatalError
from streamlet.source import PartitionedSource, PartitionReader


@dataclass(frozen=True, slots=True)
class At:
    """One record and its timestamp; None: it has none."""

    timestamp: int | None
    value: Any

    def __repr__(self) -> str:
        return f"at({self.timestamp}, {self.value!r})"


Step: TypeAlias = At | Watermark | StreamStatus
"""What a script consists of; the functions below give it, so that lists of them are typed."""


def at(timestamp: int | None, value: Any) -> Step:
    """The record `value` with that timestamp, epoch ms; None: without a timestamp."""
    if timestamp is not None and type(timestamp) is not int:
        raise ConfigError(
            f"at(timestamp, value) takes int epoch milliseconds first, got {timestamp!r}"
        )
    return At(timestamp, value)


def watermark(timestamp_ms: int) -> Step:
    """Says: no further record with a timestamp <= `timestamp_ms`."""
    return Watermark(timestamp_ms)


def idle() -> Step:
    """Says: nothing will come for a while; others need not wait for it."""
    return StreamStatus(is_idle=True)


def active() -> Step:
    """Ends `idle()`."""
    return StreamStatus(is_idle=False)


class ScriptedSource(PartitionedSource[Any]):
    """A bounded source that plays scripts, one partition for each.

    It brings its own timestamps and watermarks and needs no strategy. A partition is read from the
    index of its next step. Watermarks of several partitions are combined as those of any source.

    >>> source = ScriptedSource([at(1_000, "a"), at(2_000, "b"), watermark(5_000)])
    >>> reader = source.open_partition("0", None)
    >>> reader.poll(10), reader.poll(10)
    (RowBatch(values=['a', 'b'], timestamps=[1000, 2000], keys=None), Watermark(timestamp_ms=5000))
    """

    bounded = True
    name = "script"

    def __init__(self, *scripts: Sequence[Step]) -> None:
        if not scripts:
            raise ConfigError("a ScriptedSource needs a script, like ScriptedSource([at(0, 'a')])")
        self._scripts = [_checked(script) for script in scripts]

    def list_partitions(self) -> list[str]:
        return [str(index) for index in range(len(self._scripts))]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        if not (name.isdigit() and int(name) < len(self._scripts)):
            raise FatalError(
                f"there is no partition {name!r}: the source has {len(self._scripts)} script(s); "
                "run the job with the scripts it was started with"
            )
        return _ScriptReader(self._scripts[int(name)], position or 0)


class _ScriptReader(PartitionReader[Any]):
    def __init__(self, steps: Sequence[Step], start: int) -> None:
        self._steps = steps
        self._next = start

    def poll(self, max_records: int) -> RowBatch | Watermark | StreamStatus | None:
        if self._next >= len(self._steps):
            return None
        step = self._steps[self._next]
        if not isinstance(step, At):
            self._next += 1
            return step
        return self._batch(step, max_records)

    def position(self) -> int:
        return self._next

    def _batch(self, first: At, max_records: int) -> RowBatch:
        """The run of records from here on, all with a timestamp or all without."""
        run: list[At] = []
        for step in self._steps[self._next : self._next + max_records]:
            if not isinstance(step, At) or (step.timestamp is None) != (first.timestamp is None):
                break
            run.append(step)
        self._next += len(run)
        return batch_of(run)


def batch_of(records: Sequence[At]) -> RowBatch:
    """The records as one batch; all of them have a timestamp, or none has."""
    timestamps = [record.timestamp for record in records if record.timestamp is not None]
    return RowBatch([record.value for record in records], timestamps or None)


def records_of(batch: RowBatch) -> list[At]:
    """The records of a batch one by one."""
    timestamps = batch.timestamps
    if timestamps is None:
        return [At(None, value) for value in batch.values]
    return [
        At(None if timestamp == MIN_TIMESTAMP else timestamp, value)
        for timestamp, value in zip(timestamps, batch.values, strict=True)
    ]


def _checked(script: Sequence[Step]) -> Sequence[Step]:
    steps = list(script)
    for index, step in enumerate(steps):
        if not isinstance(step, Step):
            raise ConfigError(
                f"step {index} of a script is {step!r}; write at(timestamp, value), "
                "watermark(ms), idle() or active()"
            )
    return steps
