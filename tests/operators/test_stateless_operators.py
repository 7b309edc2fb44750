"""map, filter, flat_map and process without keys; what results look like as batches."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet import OutputTag, ProcessFunction, ValueStateDescriptor
from streamlet.elements import MAX_TIMESTAMP, RowBatch, SideBatch
from streamlet.errors import FatalError
from streamlet.operators.operator import Output
from streamlet.operators.results import Results
from streamlet.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)
from streamlet.testing import OperatorHarness, at, run_in_five_modes, watermark

ODD: OutputTag[int] = OutputTag("odd")
SCRIPT = [at(1, 1), at(2, 2), at(None, 3), at(4, 4), watermark(5)]


def test_map_gives_one_result_per_record_with_its_timestamp() -> None:
    outcome = run_in_five_modes(lambda: MapOperator(lambda n: n * 10), SCRIPT)
    assert outcome.main == [at(1, 10), at(2, 20), at(None, 30), at(4, 40)]


def test_map_may_give_none() -> None:
    """api.md: the one value to emit, None included."""
    outcome = run_in_five_modes(lambda: MapOperator(lambda n: None), SCRIPT)
    assert outcome.values() == [None] * 4


def test_filter_keeps_what_is_truthy() -> None:
    outcome = run_in_five_modes(lambda: FilterOperator(lambda n: n % 2), SCRIPT)
    assert outcome.main == [at(1, 1), at(None, 3)]


def test_a_verdict_is_asked_once_whether_it_is_true() -> None:
    """Were its value and its timestamp kept by two answers, they might not belong together."""
    answers = iter([True, False])

    class Fickle:
        def __bool__(self) -> bool:
            return next(answers)

    with OperatorHarness(lambda: FilterOperator(lambda n: Fickle())) as harness:
        harness.send_batch([1, 2], [5, 6])
        assert harness.output() == [1]


def test_a_verdict_that_is_neither_true_nor_false_names_its_record() -> None:
    """An array of several numbers, say: Python asks each object itself."""

    class Neither:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    with (
        OperatorHarness(lambda: FilterOperator(lambda n: n < 7 or Neither())) as harness,
        pytest.raises(ValueError, match="neither") as caught,
    ):
        harness.send_batch([5, 7, 6], [1, 2, 3])
    assert "timestamp 2, record 7" in caught.value.__notes__[0]


def test_flat_map_gives_any_number_with_the_record_s_timestamp() -> None:
    outcome = run_in_five_modes(
        lambda: FlatMapOperator(lambda n: [n] * (n - 1) if n > 1 else None), SCRIPT
    )
    assert outcome.main == [at(2, 2), *[at(None, 3)] * 2, *[at(4, 4)] * 3]


@pytest.mark.parametrize("operator", [MapOperator, FilterOperator, FlatMapOperator])
def test_an_error_names_the_record_of_the_batch(operator: Any) -> None:
    """Style rule 16: the record that failed, not the batch."""
    with (
        OperatorHarness(lambda: operator(lambda n: [10 // n])) as harness,
        pytest.raises(ZeroDivisionError) as caught,
    ):
        harness.send_batch([2, 1, 0, 3], [5, 6, 7, 8])
    assert "timestamp 7, record 0" in caught.value.__notes__[0]


@pytest.mark.parametrize("operator", [MapOperator, FilterOperator])
def test_stop_iteration_does_not_end_the_batch_in_silence(operator: Any) -> None:
    """A loop in C takes it for the end of its input: the records after it would be lost."""
    few = iter([1, 2])
    with (
        OperatorHarness(lambda: operator(lambda n: next(few))) as harness,
        pytest.raises(RuntimeError, match="StopIteration") as caught,
    ):
        harness.send_batch([5, 6, 7, 8])
    assert "record 7" in caught.value.__notes__[0]


class Router(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        if value % 2:
            yield ODD, value
        else:
            yield value, ctx.timestamp(), ctx.timer_service().current_watermark()


def test_process_yields_to_the_main_output_and_to_tags() -> None:
    script = [*SCRIPT, at(6, 6), at(7, 7)]
    outcome = run_in_five_modes(Router(), script)
    lowest = -(2**63)
    assert outcome.main == [at(2, (2, 2, lowest)), at(4, (4, 4, lowest)), at(6, (6, 6, 5))]
    assert outcome.side == {"odd": [at(1, 1), at(None, 3), at(7, 7)]}


def test_a_tagged_pair_needs_a_tag_in_front() -> None:
    """A pair whose first part is no OutputTag is a record like any other."""
    with OperatorHarness(lambda: ProcessOperator(lambda value, ctx: [("odd", value)])) as harness:
        harness.send(1)
        assert harness.output() == [("odd", 1)]


@pytest.mark.parametrize("returned", ["text", {"a": 1}, b"bytes"])
def test_a_returned_value_that_is_no_list_of_results_is_refused(returned: Any) -> None:
    with (
        OperatorHarness(lambda: ProcessOperator(lambda value, ctx: returned)) as harness,
        pytest.raises(FatalError, match="yield"),
    ):
        harness.send(1)


class AsksForState(ProcessFunction):
    def open(self, ctx: Any) -> None:
        ctx.get_state(ValueStateDescriptor("n", int))

    def process_element(self, value: Any, ctx: Any) -> Any:
        return None


def test_state_without_a_key_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(FatalError, match=r"'n'.*key_by"):
        OperatorHarness(AsksForState())


class AsksForTimer(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(1)


def test_a_timer_without_a_key_is_refused() -> None:
    """TM-14."""
    with OperatorHarness(AsksForTimer()) as harness, pytest.raises(FatalError, match="key_by"):
        harness.send(1)


class Life(ProcessFunction):
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __deepcopy__(self, memo: Any) -> Life:
        return Life(self.log)  # the log is the test's, on purpose

    def open(self, ctx: Any) -> None:
        self.log.append(f"open {ctx.get_task_name()} {ctx.get_attempt_number()}")

    def process_element(self, value: Any, ctx: Any) -> Any:
        return [value]

    def close(self) -> None:
        self.log.append("close")


def test_a_function_is_opened_and_closed_once_per_attempt() -> None:
    log: list[str] = []
    with OperatorHarness(Life(log)) as harness:
        harness.restore(harness.snapshot())
    assert log == ["open harness 0", "close", "open harness 1", "close"]


def test_results_with_and_without_timestamps_never_share_a_batch() -> None:
    """A batch has timestamps for all of its records or for none."""
    results, out = Results(), Output()
    for timestamp in (1, 2, None, None, 3):
        results.add_value(f"at {timestamp}", timestamp)
    results.add_side("late", "x", MAX_TIMESTAMP)
    results.emit(out)
    assert out.take() == [
        RowBatch(["at 1", "at 2"], [1, 2]),
        RowBatch(["at None", "at None"]),
        RowBatch(["at 3"], [3]),
        SideBatch("late", RowBatch(["x"], [MAX_TIMESTAMP])),
    ]


def test_no_results_emit_nothing() -> None:
    results, out = Results(), Output()
    results.add(None, 1)
    results.add([], 1)
    results.emit(out)
    assert out.take() == []
