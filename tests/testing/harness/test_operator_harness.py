"""The harness itself: keys, stores, snapshots, and the records it watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from streamlet import KeyedProcessFunction, ListStateDescriptor, ProcessFunction
from streamlet.errors import ConfigError, GraphError, RecordError, StateTypeError
from streamlet.operators.stateless import MapOperator
from streamlet.testing import ManualClock, OperatorHarness, at, watermark


class Remember(KeyedProcessFunction):
    """Gives all values of the key so far; `forget` clears them."""

    def open(self, ctx: Any) -> None:
        self.seen = ctx.get_list_state(ListStateDescriptor("seen"))

    def process_element(self, value: Any, ctx: Any) -> Any:
        if value["do"] == "forget":
            self.seen.clear()
            return
        self.seen.add(value["do"])
        yield ctx.get_current_key(), self.seen.get()


def test_outputs_are_taken_once() -> None:
    with OperatorHarness(Remember(), key_by="user") as harness:
        harness.send({"user": "u", "do": 1}, 5)
        assert harness.output() == [("u", [1])]
        assert harness.output() == []


@pytest.mark.parametrize("key_by", ["user", lambda record: record["user"]])
def test_key_by_takes_any_selector_and_makes_keys_canonical(key_by: Any) -> None:
    with OperatorHarness(Remember(), key_by=key_by) as harness:
        harness.send({"user": True, "do": "a"})
        harness.send({"user": 1.0, "do": "b"})
        assert harness.output()[-1] == (1, ["a", "b"])
        with pytest.raises(RecordError, match="cannot be a key"):
            harness.send({"user": [], "do": "c"})


@pytest.mark.parametrize("target", ["heap", "rocksdb"])
@pytest.mark.parametrize("origin", ["heap", "rocksdb"])
def test_a_snapshot_restores_in_another_harness_on_either_store(origin: str, target: str) -> None:
    with OperatorHarness(Remember(), key_by="user", backend=origin) as harness:
        harness.send({"user": "u", "do": "kept"})
        harness.send({"user": "v", "do": "gone"})
        harness.snapshot()
        harness.send({"user": "v", "do": "forget"})
        snapshot = harness.snapshot()
        harness.send({"user": "u", "do": "after the snapshot"})
        assert harness.state_size() == 1
    with OperatorHarness(Remember(), key_by="user", backend=target) as harness:
        harness.restore(snapshot)
        assert harness.state_size() == 1
        harness.send({"user": "u", "do": "next"})
        harness.send({"user": "v", "do": "new"})
        assert harness.output() == [("u", ["kept", "next"]), ("v", ["new"])]


def test_a_watermark_that_does_not_grow_is_ignored() -> None:
    """WM-4."""
    with OperatorHarness(Remember(), key_by="user") as harness:
        for time in (5, 5, 4, 6):
            harness.watermark(time)
        assert harness.output_with_watermarks() == [watermark(5), watermark(6)]


def test_a_function_that_changes_a_record_it_was_given_is_caught() -> None:
    def strip(value: Any, ctx: Any) -> Any:
        value["name"] = value["name"].strip()
        yield value["name"]

    with OperatorHarness(strip) as harness, pytest.raises(AssertionError) as caught:
        harness.send({"name": " a "})
    assert "was given" in str(caught.value)
    assert "it was {'name': ' a '}, it is {'name': 'a'}" in str(caught.value)


def test_a_function_that_changes_a_record_it_has_yielded_is_caught() -> None:
    class Accumulates(ProcessFunction):
        def open(self, ctx: Any) -> None:
            self.total = {"n": 0}

        def process_element(self, value: Any, ctx: Any) -> Any:
            self.total["n"] += value
            yield self.total

    with OperatorHarness(Accumulates()) as harness:
        harness.send(1)
        assert harness.output() == [{"n": 1}]
        with pytest.raises(AssertionError, match="has yielded"):
            harness.send(2)


def test_the_test_may_change_its_own_records() -> None:
    """What the test holds is not what the operator holds."""
    with OperatorHarness(lambda: MapOperator(lambda value: value)) as harness:
        event = {"n": 1}
        harness.send(event)
        event["n"] = 2
        harness.output()[0]["n"] = 3
        harness.send(event)
        assert harness.output() == [{"n": 2}]


@dataclass
class Typed:
    name: str


def test_records_keep_their_type() -> None:
    opaque = object()
    with OperatorHarness(lambda: MapOperator(lambda value: value)) as harness:
        harness.send(Typed("x"), 1)
        harness.send(opaque)
        assert harness.output_with_timestamps() == [at(1, Typed("x")), at(None, opaque)]


def test_an_operator_object_is_copied_for_each_start() -> None:
    operator = MapOperator(str)
    with OperatorHarness(operator) as harness:
        harness.send(1)
        assert harness.output() == ["1"]
    assert not hasattr(operator, "ctx")


def test_a_keyed_function_needs_a_key() -> None:
    with pytest.raises(GraphError, match="key_by"):
        OperatorHarness(Remember())


@pytest.mark.parametrize("function", [Remember, 5, "text"])
def test_what_cannot_be_run_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match="instance"):
        OperatorHarness(function, key_by="user")


def test_state_that_cannot_be_kept_fails_at_once() -> None:
    with OperatorHarness(Remember(), key_by="user") as harness, pytest.raises(StateTypeError):
        harness.send({"user": "u", "do": object()})


def test_the_clock_goes_forward_only() -> None:
    clock = ManualClock(1_000)
    clock.advance("1s")
    assert (clock.now_ms(), clock.monotonic_s()) == (2_000, 2.0)
    with pytest.raises(ConfigError, match="forward"):
        clock.advance(-1)
