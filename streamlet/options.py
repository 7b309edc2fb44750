"""The settings there are: names, types, defaults, and a line on each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from streamlet.errors import ConfigError
from streamlet.units import to_bytes, to_ms

Parser: TypeAlias = Callable[[Any], Any]
"""Turns what was written (a TOML value, or text) into the value; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Option:
    """One key: its type, its default as one would write it (None: unset), what it means."""

    name: str
    parse: Parser
    default: str | int | bool | None
    comment: str


def _integer(minimum: int) -> Parser:
    def parse(written: Any) -> int:
        if isinstance(written, str) and written.strip().lstrip("-").isdigit():
            written = int(written)
        if isinstance(written, bool) or not isinstance(written, int) or written < minimum:
            raise ConfigError(f"expected a whole number of at least {minimum}")
        return written

    return parse


def _number(minimum: float, maximum: float | None) -> Parser:
    def parse(written: Any) -> float:
        try:
            number = float("nan" if isinstance(written, bool) else written)
        except (TypeError, ValueError):
            number = math.nan
        if not minimum <= number <= (math.inf if maximum is None else maximum):
            upto = "" if maximum is None else f" and at most {maximum:g}"
            raise ConfigError(f"expected a number of at least {minimum:g}{upto}")
        return number

    return parse


def _duration(minimum_ms: int, *, may_be_off: bool = False) -> Parser:
    def parse(written: Any) -> int | None:
        if may_be_off and (written == "off" or written is None):
            return None
        if isinstance(written, str) and written.strip().isdigit():
            written = int(written)
        milliseconds = to_ms(written)
        if milliseconds < minimum_ms:
            raise ConfigError(f"expected a duration of at least {minimum_ms} ms")
        return milliseconds

    return parse


def _size(written: Any) -> int:
    size_bytes = to_bytes(written)
    if size_bytes == 0:
        raise ConfigError("expected a size above zero")
    return size_bytes


def _boolean(written: Any) -> bool:
    value = {"true": True, "false": False}.get(str(written).strip().lower())
    if value is None:
        raise ConfigError("expected true or false")
    return value


def _choice(*names: str) -> Parser:
    def parse(written: Any) -> str:
        if written not in names:
            raise ConfigError(f"expected {' or '.join(repr(name) for name in names)}")
        return str(written)

    return parse


def _text(written: Any) -> str:
    if not isinstance(written, str | Path) or not str(written):
        raise ConfigError("expected a non-empty text")
    return str(written)


def _path(written: Any) -> Path:
    return Path(_text(written)).expanduser()


OPTIONS: Final = {
    option.name: option
    for option in (
        Option(
            "parallelism.default",
            _integer(1),
            1,
            "How many subtasks an operator has unless it says otherwise.",
        ),
        Option(
            "pipeline.max-parallelism",
            _integer(1),
            None,
            "How far a job can ever be scaled; fixed by its first checkpoint. Unset: derived.",
        ),
        Option(
            "pipeline.auto-watermark-interval",
            _duration(0),
            "200ms",
            "How often sources emit a watermark; 0: only at the end of their input.",
        ),
        Option(
            "pipeline.operator-chaining.enabled",
            _boolean,
            True,
            "Whether operators that need no exchange share a task.",
        ),
        Option(
            "execution.runtime-mode",
            _choice("streaming"),
            "streaming",
            "Bounded input runs in streaming mode too, and ends.",
        ),
        Option(
            "execution.batch-size",
            _integer(1),
            4096,
            "The greatest number of records that travel together as Python objects.",
        ),
        Option(
            "execution.column-batch-size",
            _integer(1),
            65_536,
            "The greatest number of records that travel together as columns.",
        ),
        Option(
            "execution.buffer-timeout",
            _duration(0),
            "20ms",
            "How soon a source that had no record is asked again; records themselves never wait.",
        ),
        Option(
            "execution.state-recovery.path",
            _text,
            None,
            "The savepoint or checkpoint to start from, as -s says it.",
        ),
        Option(
            "execution.state-recovery.ignore-unclaimed-state",
            _boolean,
            False,
            "Whether state that no operator claims may be dropped.",
        ),
        Option(
            "execution.checkpointing.interval",
            _duration(1, may_be_off=True),
            "10s",
            'The time between two checkpoints; "off": none are taken.',
        ),
        Option(
            "execution.checkpointing.timeout",
            _duration(1),
            "10min",
            "A checkpoint that takes longer is given up.",
        ),
        Option(
            "execution.checkpointing.min-pause",
            _duration(0),
            "0s",
            "The least time between the end of a checkpoint and the start of the next.",
        ),
        Option(
            "execution.checkpointing.tolerable-failed-checkpoints",
            _integer(0),
            0,
            "How many checkpoints in a row may fail before the job does.",
        ),
        Option(
            "execution.checkpointing.dir",
            _path,
            "<home>/checkpoints",
            "Where checkpoints are kept.",
        ),
        Option(
            "execution.checkpointing.savepoint-dir",
            _path,
            "<home>/savepoints",
            "Where savepoints go unless a directory is given.",
        ),
        Option(
            "execution.checkpointing.num-retained",
            _integer(1),
            2,
            "How many whole checkpoints are kept.",
        ),
        Option(
            "execution.checkpointing.externalized-checkpoint-retention",
            _choice("retain-on-cancellation", "delete-on-cancellation"),
            "retain-on-cancellation",
            "Whether checkpoints stay when a job is cancelled. A failed job keeps them.",
        ),
        Option(
            "sink.committer.retries",
            _integer(0),
            10,
            "How often a commit that failed for the moment is tried again before a restart.",
        ),
        Option(
            "state.backend.type",
            _choice("heap", "rocksdb"),
            "heap",
            "heap: state in memory; rocksdb: on local disk, for state that does not fit.",
        ),
        Option(
            "state.backend.memory",
            _size,
            "256mb",
            "What the rocksdb backend may use in a worker.",
        ),
        Option(
            "restart-strategy.type",
            _choice("none", "fixed-delay", "exponential-delay", "failure-rate"),
            "exponential-delay",
            "What happens when a job fails and the failure may pass.",
        ),
        Option(
            "restart-strategy.fixed-delay.attempts",
            _integer(0),
            1,
            "How often a job is restarted before it is given up.",
        ),
        Option(
            "restart-strategy.fixed-delay.delay",
            _duration(0),
            "1s",
            "How long a restart waits.",
        ),
        Option(
            "restart-strategy.exponential-delay.initial-backoff",
            _duration(1),
            "1s",
            "How long the first restart waits, and each after a long time without failure.",
        ),
        Option(
            "restart-strategy.exponential-delay.max-backoff",
            _duration(1),
            "1min",
            "How long a restart waits at most.",
        ),
        Option(
            "restart-strategy.exponential-delay.backoff-multiplier",
            _number(1.0, None),
            "1.5",
            "By how much each delay is longer than the one before.",
        ),
        Option(
            "restart-strategy.exponential-delay.jitter-factor",
            _number(0.0, 1.0),
            "0.1",
            "By what part a delay is changed at random, so that jobs do not restart in step.",
        ),
        Option(
            "restart-strategy.exponential-delay.reset-backoff-threshold",
            _duration(1),
            "1h",
            "After running so long without a failure delays begin anew.",
        ),
        Option(
            "restart-strategy.failure-rate.max-failures-per-interval",
            _integer(1),
            1,
            "How many failures one interval may have; one more fails the job.",
        ),
        Option(
            "restart-strategy.failure-rate.failure-rate-interval",
            _duration(1),
            "1min",
            "The interval in which failures are counted.",
        ),
        Option(
            "restart-strategy.failure-rate.delay",
            _duration(0),
            "1s",
            "How long a restart waits.",
        ),
    )
}
"""Every key there is, by name."""
