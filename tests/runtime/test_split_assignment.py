"""Handing out splits: each to exactly one reader, none forgotten, none twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streamlet.runtime.splits import Handed, SplitAssignment


def assignment(parallelism: int, *, on_demand: bool, is_growing: bool = False) -> SplitAssignment:
    return SplitAssignment(parallelism, on_demand=on_demand, is_growing=is_growing)


def test_on_demand_gives_one_at_a_time_in_the_order_found() -> None:
    splits = assignment(2, on_demand=True)
    splits.add([("a", None), ("b", 7), ("c", None)])
    splits.ask(1)
    splits.ask(0)
    assert splits.hand_out() == [
        Handed(1, [("a", None)], is_last=False),
        Handed(0, [("b", 7)], is_last=False),
    ]
    assert splits.unread() == [["c", None]]


def test_reader_is_told_that_none_are_left_when_it_asks_again() -> None:
    """SRC-5."""
    splits = assignment(1, on_demand=True)
    splits.add([("a", None)])
    splits.ask(0)
    splits.hand_out()
    assert splits.hand_out() == []
    splits.ask(0)
    assert splits.hand_out() == [Handed(0, [], is_last=True)]


def test_while_more_may_be_found_nobody_is_told_that_none_are_left() -> None:
    splits = assignment(1, on_demand=True, is_growing=True)
    splits.ask(0)
    assert splits.hand_out() == []
    splits.add([("late", None)])
    assert splits.hand_out() == [Handed(0, [("late", None)], is_last=False)]


def test_partitions_are_dealt_out_evenly_and_at_once() -> None:
    splits = assignment(2, on_demand=False)
    splits.add([(name, None) for name in "abc"])
    splits.ask(0)
    splits.ask(1)
    assert splits.hand_out() == [
        Handed(0, [("a", None), ("c", None)], is_last=True),
        Handed(1, [("b", None)], is_last=True),
    ]
    assert not splits.has_unread


def test_partition_found_later_goes_to_a_reader_that_has_others() -> None:
    splits = assignment(2, on_demand=False, is_growing=True)
    for subtask in (0, 1):
        splits.ask(subtask)
    splits.add([("a", None)])
    assert splits.hand_out() == [Handed(0, [("a", None)], is_last=False)]
    splits.add([("b", None), ("c", None)])
    assert splits.hand_out() == [
        Handed(0, [("c", None)], is_last=False),
        Handed(1, [("b", None)], is_last=False),
    ]


def test_split_of_a_reader_that_has_not_asked_yet_is_in_the_checkpoint_of_the_coordinator() -> None:
    """SRC-2."""
    splits = assignment(2, on_demand=False)
    splits.add([("a", None), ("b", 5)])
    splits.ask(0)
    splits.hand_out()
    assert splits.unread() == [["b", 5]]
    assert splits.has_unread


class Splits(RuleBasedStateMachine):
    """At every moment each split is in one place: here, or with one reader."""

    @initialize(on_demand=st.booleans(), is_growing=st.booleans(), parallelism=st.integers(1, 3))
    def begin(self, on_demand: bool, is_growing: bool, parallelism: int) -> None:
        self.splits = assignment(parallelism, on_demand=on_demand, is_growing=is_growing)
        self.parallelism = parallelism
        self.known: list[str] = []
        self.read: list[str] = []
        self.is_over: set[int] = set()

    @rule(count=st.integers(0, 3))
    def find(self, count: int) -> None:
        if self.is_over:
            return  # nothing is found any more once a reader was told so
        new = [f"s{len(self.known) + i}" for i in range(count)]
        self.known += new
        self.splits.add([(name, None) for name in new])

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        subtask = data.draw(st.integers(0, self.parallelism - 1))
        if subtask not in self.is_over:
            self.splits.ask(subtask)

    @rule()
    def hand_out(self) -> None:
        for handed in self.splits.hand_out():
            assert handed.subtask not in self.is_over, "a reader heard that it was over"
            self.read += [name for name, _ in handed.splits]
            if handed.is_last:
                self.is_over.add(handed.subtask)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if hasattr(self, "known"):
            here = [name for name, _ in self.splits.unread()]
            assert sorted(here + self.read) == sorted(self.known)
            assert self.splits.has_unread == bool(here)


TestSplits: Any = pytest.mark.slow(Splits.TestCase)
