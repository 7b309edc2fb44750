"""The five modes find what they are there for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from streamlet import KeyedProcessFunction, OutputTag, ProcessFunction, ValueStateDescriptor
from streamlet.elements import RowBatch
from streamlet.operators.operator import Operator, Output
from streamlet.testing import at, run_in_five_modes, watermark

SCRIPT = [at(1, ("k", 1)), at(2, ("k", 2)), watermark(5), at(6, ("k", 3))]


class InAttribute(KeyedProcessFunction):
    """Wrong: what it counts is not in state."""

    def __init__(self) -> None:
        self.count = 0

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count += 1
        yield self.count


class InState(KeyedProcessFunction):
    """Right, but it never clears."""

    def open(self, ctx: Any) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count.update(self.count.value() + 1)
        yield self.count.value()


class PerBatch(Operator):
    """Wrong: the outcome depends on how records are batched."""

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        out.emit(RowBatch([len(batch)]))


def test_a_count_outside_of_state_is_found() -> None:
    with pytest.raises(AssertionError, match="restore after every step"):
        run_in_five_modes(InAttribute(), SCRIPT, key_by=0)


def test_dependence_on_batches_is_found() -> None:
    with pytest.raises(AssertionError, match="in batches"):
        run_in_five_modes(PerBatch(), SCRIPT)


def test_state_that_is_left_is_found() -> None:
    with pytest.raises(AssertionError, match="1 entries of state are left"):
        run_in_five_modes(InState(), SCRIPT, key_by=0)
    assert run_in_five_modes(InState(), SCRIPT, key_by=0, ends_empty=False).values() == [1, 2, 3]


class Delayed(KeyedProcessFunction):
    """Gives each record 10 ms later by the clock."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        service = ctx.timer_service()
        service.register_processing_time_timer(service.current_processing_time() + 10)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield OutputTag("fired"), timestamp


def test_the_clock_is_part_of_the_script() -> None:
    step = timedelta(milliseconds=6)
    script = [at(None, ("k", 1)), step, at(None, ("k", 2)), step, step]
    outcome = run_in_five_modes(Delayed(), script, key_by=0)
    assert outcome.side == {"fired": [at(10, 10), at(16, 16)]}
    assert outcome.side_values(OutputTag("fired")) == [10, 16]


class Plain(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value[1]


def test_a_stateless_function_agrees_with_itself() -> None:
    assert run_in_five_modes(Plain(), SCRIPT).main == [at(1, 1), at(2, 2), at(6, 3)]
