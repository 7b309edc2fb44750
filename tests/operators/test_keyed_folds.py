"""reduce and agg on keyed streams: one result per record, and nothing shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlet import ReduceFunction, RuntimeContext
from streamlet.aggregates import NamedAggregates, collect, count, last, mean, top
from streamlet.errors import RecordError
from streamlet.operators.keyed import AggOperator, ReduceOperator
from streamlet.testing import OperatorHarness, at, run_in_five_modes


@pytest.fixture(params=["heap", pytest.param("rocksdb", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_reduce_emits_the_running_result_with_the_record_s_timestamp(backend: str) -> None:
    script = [at(3, ("a", 1)), at(1, ("b", 5)), at(2, ("a", 2)), at(4, ("a", 4))]
    outcome = run_in_five_modes(
        lambda: ReduceOperator(lambda x, y: (x[0], x[1] + y[1])),
        script,
        key_by=0,
        backend=backend,
        ends_empty=False,
    )
    assert outcome.main == [at(3, ("a", 1)), at(1, ("b", 5)), at(2, ("a", 3)), at(4, ("a", 7))]


def test_reduce_keeps_what_state_can_hold_between_checkpoints() -> None:
    """A record of any encodable shape is folded from a copy: results stay as they were."""

    def fold(folded: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        folded["all"] += value["all"]
        return folded

    script = [at(t, {"key": "k", "all": [t]}) for t in (1, 2, 3)]
    outcome = run_in_five_modes(
        lambda: ReduceOperator(fold), script, key_by="key", ends_empty=False
    )
    assert [value["all"] for value in outcome.values()] == [[1], [1, 2], [1, 2, 3]]


class Sums(ReduceFunction[tuple[str, int]]):
    def reduce(self, value1: tuple[str, int], value2: tuple[str, int]) -> tuple[str, int]:
        return value1[0], value1[1] + value2[1]


def test_a_reduce_function_object_is_called() -> None:
    with OperatorHarness(lambda: ReduceOperator(Sums()), key_by=0) as harness:
        harness.send_batch([("a", 1), ("a", 2)])
        assert harness.output() == [("a", 1), ("a", 3)]


def test_a_reduce_function_object_is_opened_and_closed() -> None:
    calls: list[str] = []

    class Noting(Sums):
        def open(self, ctx: RuntimeContext, /) -> None:
            calls.append("open")

        def close(self) -> None:
            calls.append("close")

    with OperatorHarness(lambda: ReduceOperator(Noting()), key_by=0) as harness:
        harness.send_batch([("a", 1), ("a", 2)])
        assert harness.output() == [("a", 1), ("a", 3)]
        assert calls == ["open"]
    assert calls == ["open", "close"]


def test_a_failing_reduce_names_the_record() -> None:
    operator = lambda: ReduceOperator(lambda x, y: y["missing"])  # noqa: E731
    with (
        OperatorHarness(operator, key_by="key") as harness,
        pytest.raises(KeyError) as caught,
    ):
        harness.send_batch([{"key": 1}, {"key": 2}, {"key": 1}])
    assert "key 1, record {'key': 1}" in caught.value.__notes__[-1]


def agg(key_fields: tuple[str, ...] = ("key",), **named: Any) -> Callable[[], AggOperator]:
    return lambda: AggOperator(NamedAggregates(named), key_fields)


def test_record_without_the_field_of_an_aggregate_is_the_one_that_is_named() -> None:
    with (
        OperatorHarness(agg(average=mean("n")), key_by="key") as harness,
        pytest.raises(RecordError, match=r"the record \{'key': 'b'\} has no") as caught,
    ):
        harness.send_batch([{"key": "a", "n": 1}, {"key": "b"}])
    assert caught.value.__notes__ == ["in operator 'harness' (subtask 1 of 1)"]


def test_agg_emits_key_and_aggregates_per_record(backend: str) -> None:
    script = [at(1, {"key": "a", "n": 4}), at(2, {"key": "b", "n": 1}), at(3, {"key": "a", "n": 6})]
    outcome = run_in_five_modes(
        agg(records=count(), average=mean("n")),
        script,
        key_by="key",
        backend=backend,
        ends_empty=False,
    )
    assert outcome.main == [
        at(1, {"key": "a", "records": 1, "average": 4}),
        at(2, {"key": "b", "records": 1, "average": 1}),
        at(3, {"key": "a", "records": 2, "average": 5}),
    ]


def test_agg_with_records_in_the_accumulator_survives_every_restore(backend: str) -> None:
    records = [{"key": "k", "n": n, "tags": {"x": (n,)}} for n in (2, 9, 5)]
    outcome = run_in_five_modes(
        agg(everything=collect(), latest=last(), best=top(1, "n")),
        [at(None, record) for record in records],
        key_by="key",
        backend=backend,
        ends_empty=False,
    )
    assert outcome.values()[-1] == {
        "key": "k",
        "everything": records,
        "latest": records[2],
        "best": [records[1]],
    }
    assert outcome.values()[0]["everything"] == records[:1]


def test_a_tuple_key_has_an_entry_per_field() -> None:
    operator = agg(("user", "page"), n=count())
    with OperatorHarness(operator, key_by=lambda r: (r["user"], r["page"])) as harness:
        harness.send({"user": "u", "page": 7})
        assert harness.output() == [{"user": "u", "page": 7, "n": 1}]
