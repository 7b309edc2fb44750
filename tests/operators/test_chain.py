"""Operators run as one: a tree of links, side outputs, budgets, and the order of a barrier."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.elements import (
    MAX_TIMESTAMP,
    EndOfInput,
    RowBatch,
    SideBatch,
    StreamStatus,
    Watermark,
)
from streamlet.errors import InternalError
from streamlet.operators.chain import FIRING_BUDGET, ChainedOperator, OperatorChain
from streamlet.operators.operator import Operator, OperatorSnapshot, Output


class Tagging(Operator):
    """Writes its name into every value; odd numbers go to the side output "odd"."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        odd = [v for v in batch.values if isinstance(v, int) and v % 2]
        out.emit(RowBatch([f"{self.name}:{v}" for v in batch.values if v not in odd]))
        out.emit_side("odd", RowBatch(odd))

    def prepare_barrier(self, checkpoint_id: int, out: Output) -> None:
        self.log.append(f"prepare {self.name}")
        out.emit(RowBatch([f"{self.name} before {checkpoint_id}"]))

    def snapshot(self, checkpoint_id: int) -> OperatorSnapshot:
        self.log.append(f"snapshot {self.name}")
        return OperatorSnapshot(operator_state=[self.name])

    def finish(self, out: Output) -> None:
        out.emit(RowBatch([f"last of {self.name}"]))


class Firing(Operator):
    """Has `due` results for a watermark or the clock, and gives `budget` of them a call."""

    def __init__(self, due: int) -> None:
        self.left = due
        self.due_ms: int | None = 50

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        if not self._fire(budget, out):
            return False
        out.emit_watermark(watermark_ms)
        return True

    def next_processing_time(self) -> int | None:
        return self.due_ms

    def advance_processing_time(self, now_ms: int, budget: int, out: Output) -> bool:
        if not self._fire(budget, out):
            return False
        self.due_ms = None
        return True

    def _fire(self, budget: int, out: Output) -> bool:
        fired = min(budget, self.left)
        self.left -= fired
        out.emit(RowBatch(["fired"] * fired))
        return not self.left


def tree(log: list[str] | None = None) -> OperatorChain:
    """head -> left (main output), head -> right ("odd"); left and right have edges."""
    calls = log if log is not None else []
    return OperatorChain(
        [
            ChainedOperator("head", Tagging("head", calls), [(None, 1), ("odd", 2)]),
            ChainedOperator("left", Tagging("left", calls), has_edges=True),
            ChainedOperator("right", Operator(), has_edges=True),
        ]
    )


def sent(chain: OperatorChain, work: Any) -> list[tuple[str, Any]]:
    """Exhausts the work, as a task does, and gives what left the chain, by uid."""
    out = []
    for _ in work:
        out += [(chain.members[position].uid, element) for position, element in chain.outbox]
        chain.outbox.clear()
    return out


def test_main_output_and_side_outputs_take_their_own_links() -> None:
    chain = tree()
    assert sent(chain, chain.feed(0, RowBatch([1, 2]))) == [
        ("left", RowBatch(["left:head:2"])),
        ("right", RowBatch([1])),
    ]


def test_a_side_output_without_a_link_goes_nowhere() -> None:
    chain = tree()
    assert sent(chain, chain.feed(1, RowBatch([3]))) == [("left", SideBatch("odd", RowBatch([3])))]
    alone = OperatorChain([ChainedOperator("alone", Tagging("alone", []), [(None, 0)])])
    assert sent(alone, alone.feed(0, RowBatch([3]))) == []


@pytest.mark.parametrize("element", [Watermark(5), StreamStatus(is_idle=True)])
def test_watermarks_and_statuses_reach_every_branch(element: Any) -> None:
    chain = tree()
    assert sent(chain, chain.feed(0, element)) == [("left", element), ("right", element)]


def test_the_end_comes_after_each_operator_s_last_records() -> None:
    """WM-50: finish head to tail, then the end."""
    chain = tree()
    assert sent(chain, chain.feed(0, EndOfInput())) == [
        ("left", RowBatch(["left:last of head"])),
        ("left", RowBatch(["last of left"])),
        ("left", EndOfInput()),
        ("right", EndOfInput()),
    ]


def test_a_barrier_is_prepared_from_head_to_tail_and_frozen_from_tail_to_head() -> None:
    """Semantics 5.3."""
    log: list[str] = []
    chain = tree(log)
    assert sent(chain, chain.prepare_barrier(7)) == [
        ("left", RowBatch(["left:head before 7"])),
        ("left", RowBatch(["left before 7"])),
    ]
    snapshots = chain.snapshot(7)
    assert log == ["prepare head", "prepare left", "snapshot left", "snapshot head"]
    assert snapshots["head"].operator_state == ["head"]


def firing_chain(due: int) -> OperatorChain:
    return OperatorChain(
        [
            ChainedOperator("fires", Firing(due), [(None, 1)]),
            ChainedOperator("behind", Operator(), has_edges=True),
        ]
    )


def test_the_task_may_send_after_every_budget_and_the_watermark_comes_last() -> None:
    """WM-17: however many firings there are, the watermark does not pass them."""
    chain = firing_chain(2 * FIRING_BUDGET + 1)
    elements = [element for _, element in sent(chain, chain.feed(0, Watermark(9)))]
    assert elements == [
        RowBatch(["fired"] * FIRING_BUDGET),
        RowBatch(["fired"] * FIRING_BUDGET),
        RowBatch(["fired"]),
        Watermark(9),
    ]
    assert chain.members[1].watermark_ms == 9


def test_the_chain_pauses_between_budgets_even_when_nothing_was_sent() -> None:
    """So that the task can breathe while timers fire that give nothing."""
    chain = OperatorChain([ChainedOperator("fires", Firing(3 * FIRING_BUDGET))])
    assert len(list(chain.feed(0, Watermark(9)))) == 2


def test_the_clock_fires_what_is_due_in_slices() -> None:
    chain = firing_chain(FIRING_BUDGET + 1)
    assert chain.next_processing_time() == 50
    assert sent(chain, chain.advance_processing_time(49)) == []
    assert sent(chain, chain.advance_processing_time(50)) == [
        ("behind", RowBatch(["fired"] * FIRING_BUDGET)),
        ("behind", RowBatch(["fired"])),
    ]
    assert chain.next_processing_time() is None


def test_records_are_counted_on_both_sides() -> None:
    """RE-3: the numbers of side outputs are not main output."""
    chain = tree()
    sent(chain, chain.feed(0, RowBatch([1, 2, 4])))
    head, left, right = chain.members
    assert (head.records_in, head.records_out) == (3, 2)
    assert (left.records_in, left.records_out) == (2, 2)
    assert right.records_in == 1


def test_a_source_at_the_head_emits_and_takes_nothing() -> None:
    chain = OperatorChain(
        [ChainedOperator("source", None, [(None, 1)]), ChainedOperator("sink", Operator())]
    )
    assert sent(chain, chain.emit(0, RowBatch([1, 2]))) == []
    assert chain.members[1].records_in == 2
    assert list(chain.operators()) == [chain.members[1].operator]
    with pytest.raises(InternalError):
        list(chain.feed(0, Watermark(MAX_TIMESTAMP)))
