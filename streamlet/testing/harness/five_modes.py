"""Runs one operator in five modes that must not differ in anything that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any, Final, TypeAlias

from streamlet.elements import MIN_TIMESTAMP, OutputTag, RowBatch, StreamStatus, Watermark
from streamlet.selectors import Selector
from streamlet.testing.harness.operator_harness import OperatorHarness
from streamlet.testing.script import At, Step, batch_of

ModeStep: TypeAlias = Step | timedelta
"""A step of a script; a timedelta moves the clock on."""

Move: TypeAlias = RowBatch | Watermark | StreamStatus | timedelta
"""What is done to the operator at once."""


@dataclass(slots=True)
class Outcome:
    """What an operator gave for a script: records, and metrics such as numLateRecordsDropped.

    What one step fires at the same timestamp has no order (TM-4): it is sorted here.
    """

    main: list[At] = field(default_factory=list)
    side: dict[str, list[At]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def values(self) -> list[Any]:
        """The values of the main output."""
        return [record.value for record in self.main]

    def side_values(self, tag: OutputTag[Any]) -> list[Any]:
        """The values of a side output."""
        return [record.value for record in self.side.get(tag.id, [])]


@dataclass(frozen=True, slots=True)
class _Mode:
    name: str
    is_batched: bool = False
    snapshot_every: int = 0
    restores: bool = False
    firing_budget: int = 4_096


MODES: Final = (
    _Mode("one by one", firing_budget=1),
    _Mode("in batches", is_batched=True),
    _Mode("snapshot and restore after every step", snapshot_every=1, restores=True),
    _Mode("snapshot and restore after every second step", snapshot_every=2, restores=True),
    # Between two snapshots there are steps that meet what was removed since the first.
    _Mode("snapshot after every third step", snapshot_every=3),
)


def run_in_five_modes(
    function: Any,
    script: Sequence[ModeStep],
    key_by: Selector | None = None,
    *,
    backend: str = "heap",
    ends_empty: bool = True,
) -> Outcome:
    """Plays the script to its end in each mode, and gives the outcome they all agree on.

    `function` is as for `OperatorHarness`. After the script the input ends: MAX_TIMESTAMP fires
    what is left. Raises AssertionError when two modes differ or, unless `ends_empty` is False,
    when state or a timer is left at the end.
    """
    outcomes = {}
    for mode in MODES:
        with OperatorHarness(
            function, key_by, backend=backend, firing_budget=mode.firing_budget
        ) as harness:
            outcomes[mode.name] = _play(harness, script, mode)
            left = harness.state_size()
        if ends_empty and left:
            raise AssertionError(
                f"{left} entries of state are left at the end, run {mode.name}; clear() what is "
                "over, by a timer if nothing else comes, or say ends_empty=False"
            )
    first, *others = outcomes.items()
    for other in others:
        _expect_same(first, other)
    return first[1]


def _play(harness: OperatorHarness, script: Sequence[ModeStep], mode: _Mode) -> Outcome:
    outcome = Outcome()
    watermark_ms = MIN_TIMESTAMP
    for number, move in enumerate(_moves(script, mode.is_batched), start=1):
        _do(harness, move)
        if isinstance(move, Watermark):
            watermark_ms = max(watermark_ms, move.timestamp_ms)
        if mode.snapshot_every and number % mode.snapshot_every == 0:
            snapshot = harness.snapshot()
            if mode.restores:
                harness.restore(snapshot)
                harness.watermark(watermark_ms)  # sources say it again after a restore (WM-54)
        _collect(harness, outcome, is_firing=not isinstance(move, RowBatch))
    harness.finish()
    _collect(harness, outcome, is_firing=True)
    outcome.metrics = harness.metrics.read()
    return outcome


def _moves(script: Sequence[ModeStep], is_batched: bool) -> Iterator[Move]:
    """The script's steps, records one by one or all that stand together at once."""
    for kind, steps in groupby(script, _kind):
        if kind is None:
            yield from (step for step in steps if not isinstance(step, At))
            continue
        records = [step for step in steps if isinstance(step, At)]
        yield from [batch_of(records)] if is_batched else (batch_of([record]) for record in records)


def _kind(step: ModeStep) -> bool | None:
    """Whether a record has a timestamp: a batch holds records of one kind; None: no record."""
    return step.timestamp is not None if isinstance(step, At) else None


def _do(harness: OperatorHarness, move: Move) -> None:
    if isinstance(move, RowBatch):
        harness.send_batch(move.values, move.timestamps)
    elif isinstance(move, Watermark):
        harness.watermark(move.timestamp_ms)
    elif isinstance(move, StreamStatus):
        harness.status(move.is_idle)
    else:
        harness.advance_processing_time(move)


def _collect(harness: OperatorHarness, outcome: Outcome, *, is_firing: bool) -> None:
    """Takes what a move gave. What fired at one timestamp comes in no certain order (TM-4)."""
    order: Callable[[list[At]], list[At]] = _settled if is_firing else list
    outcome.main += order(harness.output_with_timestamps())
    for tag_id, records in harness.side_outputs().items():
        outcome.side.setdefault(tag_id, []).extend(order(records))


def _settled(records: list[At]) -> list[At]:
    return [
        record
        for _, group in groupby(records, lambda record: record.timestamp)
        for record in sorted(group, key=repr)
    ]


def _expect_same(expected: tuple[str, Outcome], got: tuple[str, Outcome]) -> None:
    if expected[1] != got[1]:
        raise AssertionError(
            "the operator's outcome depends on how it is run\n"
            f"{expected[0]}: {expected[1]}\n{got[0]}: {got[1]}\n"
            "what must outlive a record belongs into ctx.get_state(...), not into attributes; the "
            "time is that of the record or the timer service, never time.time()"
        )
