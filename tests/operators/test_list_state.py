"""CheckpointedFunctions in operators: their lists are there before `open`, and in each snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamlet.functions import (
    CheckpointedFunction,
    Function,
    KeyedProcessFunction,
    OperatorStateStore,
    ProcessFunction,
    ReduceFunction,
    RuntimeContext,
    SnapshotContext,
)
from streamlet.operators.keyed import KeyedProcessOperator, ReduceOperator
from streamlet.operators.operator import Operator
from streamlet.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)
from streamlet.testing import OperatorHarness


class Remembering(CheckpointedFunction):
    """Counts the values it has seen since the beginning, over all restarts."""

    def __init__(self) -> None:
        self.seen: int | None = None
        self.calls: list[Any] = []

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self.calls.append("initialize")
        self._counts = ctx.get_operator_list_state("counts")
        self.seen = sum(self._counts.get())

    def open(self, ctx: RuntimeContext, /) -> None:
        self.calls.append("open")

    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        self.calls.append(ctx.checkpoint_id)
        self._counts.update([self.count])

    @property
    def count(self) -> int:
        assert self.seen is not None
        return self.seen

    def add(self) -> int:
        self.seen = self.count + 1
        return self.seen


class Mapping(Remembering):
    def __call__(self, value: Any) -> int:
        return self.add()


class Keeping(Remembering):
    def __call__(self, value: Any) -> bool:
        return self.add() > 0


class Repeating(Remembering):
    def __call__(self, value: Any) -> list[int]:
        return [self.add()]


class Processing(Remembering, ProcessFunction[Any, int]):
    def process_element(self, value: Any, ctx: ProcessFunction.Context, /) -> Iterator[int]:
        yield self.add()


class KeyedProcessing(KeyedProcessFunction[Any, Any, int], Remembering):
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context, /) -> Iterator[int]:
        yield self.add()


class Folding(Remembering, ReduceFunction[Any]):
    def reduce(self, value1: Any, value2: Any, /) -> int:
        return self.add()


@pytest.mark.parametrize(
    ("make", "key_by"),
    [
        (lambda: MapOperator(Mapping()), None),
        (lambda: FlatMapOperator(Repeating()), None),
        (lambda: FilterOperator(Keeping()), None),
        (lambda: ProcessOperator(Processing()), None),
        (lambda: KeyedProcessOperator(KeyedProcessing()), lambda value: value),
        (lambda: ReduceOperator(Folding()), lambda value: value),
    ],
)
def test_lists_survive_a_restore(make: Callable[[], Operator], key_by: Any) -> None:
    made: list[Any] = []

    def remembered() -> Operator:
        made.append(make())
        operator: Operator = made[-1]
        return operator

    with OperatorHarness(remembered, key_by) as harness:
        for _ in range(3):
            harness.send("a")
        snapshot = harness.snapshot()
        before = made[-1].function.count
        harness.send("a")
        harness.restore(snapshot)
        assert made[-1].function.count == before > 0
        assert made[0].function.calls == ["initialize", "open", 1]
        assert made[1].function.calls == ["initialize", "open"]
        harness.send("a")
        assert made[-1].function.count == before + 1


class Union(Mapping):
    """As a later version of the program that changed its mind."""

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self._counts = ctx.get_union_list_state("counts")
        self.seen = 0


def test_list_of_another_mode_is_refused_and_the_function_is_closed() -> None:
    """ST-4."""
    with OperatorHarness(lambda: MapOperator(Mapping())) as harness:
        harness.send("a")
        snapshot = harness.snapshot()
    with (
        OperatorHarness(lambda: MapOperator(Union())) as other,
        pytest.raises(TypeError, match="'counts'"),
    ):
        other.restore(snapshot)


class Forgetful(Function):
    def __call__(self, value: Any) -> Any:
        return value


def test_lists_of_a_function_that_no_longer_asks_are_carried_on() -> None:
    """EV-5: the version after it finds them."""
    with OperatorHarness(lambda: MapOperator(Mapping())) as harness:
        harness.send("a")
        first = harness.snapshot()
    with OperatorHarness(lambda: MapOperator(Forgetful())) as harness:
        harness.restore(first)
        second = harness.snapshot()
    with OperatorHarness(lambda: MapOperator(Mapping())) as harness:
        harness.restore(second)
        harness.send("a")
        assert harness.output() == [2]


class Failing(Mapping):
    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        raise OSError("no")


def test_failing_snapshot_says_where() -> None:
    with (
        OperatorHarness(lambda: MapOperator(Failing())) as harness,
        pytest.raises(OSError, match="no") as caught,
    ):
        harness.snapshot()
    assert "in operator 'harness' (subtask 1 of 1)" in caught.value.__notes__


def test_plain_functions_have_no_operator_state() -> None:
    with OperatorHarness(lambda: MapOperator(str)) as harness:
        harness.send("a")
        assert harness.snapshot().operator_state == ()
