"""Planted bugs: each one in a small source breaks the contract in the test that is meant for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from streamlet.errors import FatalError, RecordError
from streamlet.source import PartitionReader, Source, SplitEnumerator
from streamlet.testing.connectors import ContractBroken, SourceContract

SHELVES = {"a": list(range(7)), "b": list(range(100, 103)), "c": []}


class ShelfSource(Source[int]):
    """Reads lists of numbers, but for the bug that it is told to have."""

    bounded = True

    def __init__(self, bug: str = "", attempts: Sequence[None] = ()) -> None:
        self.bug = bug
        self.attempts = len(attempts)
        self.shared = {"next": 0}

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return ShelfEnumerator(self)

    def open_split(self, split: str, position: Any | None) -> PartitionReader[int]:
        return ShelfReader(self, SHELVES[split[:1]], position)


class ShelfEnumerator(SplitEnumerator):
    def __init__(self, source: ShelfSource) -> None:
        self.source = source
        self.known: list[str] = []

    def discover(self) -> Sequence[str]:
        bug = self.source.bug
        suffix = str(self.source.attempts) if bug == "names of its own" else ""
        found = [name + suffix for name in (*SHELVES, *("a" * (bug == "one split twice")))]
        new = [name for name in found if name not in self.known or bug == "finds again"]
        self.known += new
        return new

    def snapshot(self) -> Any:
        return [] if self.source.bug == "forgets what it found" else list(self.known)

    def restore(self, state: Any) -> None:
        self.known = list(state)


class ShelfReader(PartitionReader[int]):
    def __init__(self, source: ShelfSource, numbers: list[int], position: Any) -> None:
        self.bug = source.bug
        self.numbers = numbers
        start = position["next"] if isinstance(position, dict) else 0
        if self.bug == "begins anew":
            start = 0
        if self.bug == "one place for all":
            self.place = source.shared
            self.place["next"] = start
        else:
            self.place = {"next": start}
        self.leak = os.open(os.devnull, os.O_RDONLY) if self.bug == "leaks" else None

    def poll(self, max_records: int) -> list[int] | None:
        start = self.place["next"]
        if start >= len(self.numbers):
            return [] if self.bug == "never ends" else None
        if self.bug == "malformed":
            raise RecordError("malformed")
        if self.bug == "malformed without a word":
            raise ValueError("malformed")
        stop = start + max_records + (self.bug == "gives more")
        self.place["next"] = min(stop, len(self.numbers))
        return self.numbers[start + (self.bug == "skips one" and start > 2) : stop]

    def position(self) -> Any:
        if self.bug == "one value for all positions":
            return self.place
        if self.bug == "no value":
            return object()
        return {"next": self.place["next"] - (self.bug == "stands before")}


class ShelfContract(SourceContract):
    """For any bug."""

    expected = tuple(number for shelf in SHELVES.values() for number in shelf)

    def __init__(self, bug: str = "", malformed: str | None = "malformed") -> None:
        self.bug = bug
        self.malformed = malformed
        self.attempts: list[None] = []

    def make_source(self) -> Source[Any]:
        self.attempts.append(None)
        return ShelfSource(self.bug, self.attempts)

    def make_malformed_source(self) -> Source[Any] | None:
        return None if self.malformed is None else ShelfSource(self.malformed)


TESTS = [name for name in dir(SourceContract) if name.startswith("test_")]

BUGS = {
    "one split twice": "test_splits_are_reported_once",
    "finds again": "test_splits_are_reported_once",
    "names of its own": "test_splits_keep_their_names",
    "forgets what it found": "test_restored_enumerator_reports_nothing_twice",
    "skips one": "test_every_record_is_read_once",
    "gives more": "test_every_record_is_read_once",
    "never ends": "test_every_record_is_read_once",
    "begins anew": "test_every_position_restores_the_rest",
    "stands before": "test_every_position_restores_the_rest",
    "no value": "test_every_position_restores_the_rest",
    "one value for all positions": "test_positions_do_not_change_afterwards",
    "one place for all": "test_readers_do_not_share_their_place",
    "leaks": "test_readers_give_back_what_they_hold",
}


@pytest.mark.parametrize("name", TESTS)
def test_a_right_source_keeps_every_rule(name: str) -> None:
    getattr(ShelfContract(), name)()


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_the_test_meant_for_it(bug: str) -> None:
    with pytest.raises(ContractBroken):
        getattr(ShelfContract(bug), BUGS[bug])()


@pytest.mark.parametrize("malformed", ["", "malformed without a word"])
def test_malformed_input_must_be_told(malformed: str) -> None:
    with pytest.raises(ContractBroken, match="SRC-6"):
        ShelfContract(malformed=malformed).test_malformed_input_stops_the_job()


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["begins anew", "stands before", "forgets what it found"])
def test_a_job_whose_processes_die_finds_it_too(bug: str) -> None:
    with pytest.raises((ContractBroken, FatalError)):
        ShelfContract(bug).test_every_record_is_read_once_when_processes_die()
