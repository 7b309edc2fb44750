"""Planted bugs: each one in a small sink breaks the contract in the test that is meant for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from streamlet.errors import RestoreError
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.testing.connectors import ContractBroken, SinkContract, SinkPlace

Transaction: TypeAlias = tuple[str, int, int, int]
"""(run, subtask, checkpoint at its begin, its checkpoint)"""


@dataclass
class Ledger:
    """A small database: transactions are prepared, made durable and committed."""

    prepared: dict[Transaction, list[Any]] = field(default_factory=dict)
    durable: set[Transaction] = field(default_factory=set)
    committed: list[tuple[Transaction, list[Any]]] = field(default_factory=list)

    def rows(self) -> list[Any]:
        return [row for _, rows in self.committed for row in rows]

    def lose_power(self) -> None:
        for transaction in set(self.prepared) - self.durable:
            del self.prepared[transaction]


class LedgerSink(Sink[Any]):
    """Exactly once, but for the bug that it is told to have."""

    def __init__(self, ledger: Ledger, bug: str = "") -> None:
        self.ledger = ledger
        self.bug = bug

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return LedgerWriter(ctx, self)

    def commit(self, committables: Sequence[Any]) -> None:
        ledger = self.ledger
        done = [transaction for transaction, _ in ledger.committed]
        for one in committables:
            transaction = tuple(one["transaction"])
            if transaction in done and self.bug != "commits twice":
                continue
            if self.bug == "keeps what it committed":
                rows = ledger.prepared[transaction]
            elif self.bug in ("commits twice", "forgets what it prepared"):
                rows = ledger.prepared.get(transaction, one.get("rows", []))
            else:
                rows = ledger.prepared.pop(transaction)
            ledger.committed.append((transaction, list(rows)))
        if self.bug == "commits by halves" and len(committables) > 2:
            ledger.committed.pop()

    def later(self, ctx: RestoreContext) -> list[Any]:
        ledger = self.ledger
        later = [one for one in ledger.committed if not ctx.includes(one[0][0], one[0][3])]
        if self.bug == "compares numbers alone":
            later = [one for one in ledger.committed if one[0][3] > ctx.checkpoint_id]
        return later

    def check_restore(self, ctx: RestoreContext, committables: Sequence[Any]) -> None:
        is_refused = ctx.later_output == "refuse" and self.bug != "accepts later output"
        if is_refused and self.later(ctx):
            raise RestoreError("later output")

    def recover(self, ctx: RestoreContext) -> None:
        ledger, later = self.ledger, self.later(ctx)
        if ctx.later_output == "discard":
            ledger.committed = [one for one in ledger.committed if one not in later]
        if self.bug != "leaves leftovers":
            for transaction in [t for t in ledger.prepared if t[0] in ctx.run_ids]:
                is_needed = ctx.is_spared(transaction[0], transaction[3])
                if self.bug == "rolls a savepoint back" or not is_needed:
                    del ledger.prepared[transaction]


class LedgerWriter(SinkWriter[Any]):
    def __init__(self, ctx: WriterContext, sink: LedgerSink) -> None:
        self.ctx = ctx
        self.ledger = sink.ledger
        self.bug = sink.bug
        self.rows: list[Any] = []
        self.unsynced: list[Transaction] = []
        self.begun = ctx.checkpoint_id
        self.prepared: list[dict[str, Any]] = []
        self.leak = os.open(os.devnull, os.O_RDONLY) if self.bug == "leaks" else None

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        if self.bug == "shows at once":
            self.ledger.committed.append((("early", 0, 0, 0), list(values)))
            return
        self.rows += values

    def prepare_commit(self) -> Sequence[Any]:
        if not self.rows:
            return ()
        subtask = 0 if self.bug == "one name for all subtasks" else self.ctx.subtask_index
        number = 1 if self.bug == "one name for all checkpoints" else self.ctx.checkpoint_id
        transaction = (self.ctx.run_id, subtask, self.begun, number)
        rows, self.rows = self.rows, []
        self.ledger.prepared[transaction] = rows
        self.unsynced.append(transaction)
        one: dict[str, Any] = {"transaction": list(transaction)}
        if self.bug == "commits twice":
            one["rows"] = list(rows)
        if self.bug == "no value":
            one["transaction"] = object()
        if self.bug == "one list for all checkpoints":
            one["transactions"] = self.prepared
            self.prepared.append({"transaction": list(transaction)})
        return [one]

    def snapshot(self) -> Any:
        return object() if self.bug == "no state" else {"begun": self.begun}

    def sync(self) -> None:
        if self.bug != "does not sync":
            self.ledger.durable.update(self.unsynced)
        self.unsynced.clear()

    def close(self) -> None:
        if self.bug == "forgets what it prepared":
            for transaction in [t for t in self.ledger.prepared if t[0] == self.ctx.run_id]:
                del self.ledger.prepared[transaction]
        if self.bug == "commits when closed":
            self.ledger.committed.append((("closed", 0, 0, 0), self.rows))


class LedgerContract(SinkContract):
    """For any bug."""

    tells_later_output = True

    def __init__(self, bug: str = "") -> None:
        self.bug = bug

    def make_place(self) -> SinkPlace:
        ledger = Ledger()
        return SinkPlace(
            lambda: LedgerSink(ledger, self.bug),
            ledger.rows,
            lambda: sorted(ledger.prepared),
            ledger.lose_power,
        )


TESTS = [name for name in dir(SinkContract) if name.startswith("test_")]

BUGS = {
    "shows at once": "test_nothing_is_visible_before_its_commit",
    "commits twice": "test_a_commit_can_be_repeated",
    "commits by halves": "test_a_commit_that_broke_off_can_be_completed",
    "keeps what it committed": "test_every_record_is_visible_after_a_crash",
    "leaves leftovers": "test_every_record_is_visible_after_a_crash",
    "does not sync": "test_every_record_is_visible_after_a_crash",
    "rolls a savepoint back": "test_a_savepoint_outlives_a_restart_from_an_older_checkpoint",
    "accepts later output": "test_later_output_is_refused_kept_or_discarded",
    "compares numbers alone": "test_output_of_another_savepoint_is_later_output_too",
    "one name for all subtasks": "test_writers_do_not_collide",
    "one name for all checkpoints": "test_checkpoints_are_committed_one_by_one",
    "one list for all checkpoints": "test_what_a_checkpoint_holds_stays_as_it_is",
    "no value": "test_nothing_is_visible_before_its_commit",
    "no state": "test_nothing_is_visible_before_its_commit",
    "forgets what it prepared": "test_closing_shows_nothing_and_loses_nothing",
    "commits when closed": "test_closing_shows_nothing_and_loses_nothing",
    "leaks": "test_sinks_give_back_what_they_hold",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TESTS)
def test_a_right_sink_keeps_every_rule(name: str) -> None:
    getattr(LedgerContract(), name)()


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_the_test_meant_for_it(bug: str) -> None:
    with pytest.raises((ContractBroken, KeyError)):
        getattr(LedgerContract(bug), BUGS[bug])()


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug", ["commits twice", "does not sync", "one name for all subtasks", "commits when closed"]
)
def test_a_job_whose_processes_die_finds_it_too(bug: str) -> None:
    with pytest.raises((ContractBroken, KeyError)):
        LedgerContract(bug).test_every_record_is_visible_once_when_processes_die()


def test_the_text_names_the_rule_and_what_happened() -> None:
    with pytest.raises(ContractBroken) as caught:
        LedgerContract("commits twice").test_a_commit_can_be_repeated()
    assert caught.value.rule == "SNK-3"
    assert "committed again" in str(caught.value)
    assert "too many" in str(caught.value)
