"""Rows and columns give the same to the last late record, in whatever mixture they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet import (
    CumulativeEventTimeWindows,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.api.windowed import Assigner, _why_rows, _window_operator
from streamlet.elements import MAX_TIMESTAMP
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.keyed import AggOperator
from streamlet.operators.operator import Operator
from tests.operators.fed_operators import ENDS, Fed, Form, Records, Step, crowded_steps, steps

ORDER_FREE: Final = {
    "bids": agg.count(),
    "total": agg.sum("price"),
    "least": agg.min("price"),
    "most": agg.max("price"),
    "mean": agg.mean("price"),
    "channel": agg.max("channel"),
}
NAMED: Final = ORDER_FREE | {"first": agg.first("price"), "last": agg.last("price")}

ASSIGNERS: Final[dict[str, Assigner | None]] = {
    "tumbling": TumblingEventTimeWindows.of(10),
    "tumbling with offset": TumblingEventTimeWindows.of(7, 3),
    "tumbling to the end of time": TumblingEventTimeWindows.of(1 << 10),
    "sliding": SlidingEventTimeWindows.of(10, 5),
    "sliding with offset": SlidingEventTimeWindows.of(32, 4, 1),
    "cumulative": CumulativeEventTimeWindows.of(15, 5),
    "session": EventTimeSessionWindows.with_gap(5),
    "running": None,
}


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that plays of few records come to where many are looked after at once."""
    monkeypatch.setattr("streamlet.operators.column_sessions._FEW_TIMERS", 1)
    monkeypatch.setattr("streamlet.eventtime.timer_runs._MOST_AT_ONCE", 3)
    monkeypatch.setattr("streamlet.operators.column_spans.FORGOTTEN_FROM", 2)
    monkeypatch.setattr("streamlet.operators.column_spans.NAMES_PER_KEY", 0)
    monkeypatch.setattr("streamlet.operators.column_spans.MOST_AT_ONCE", 3)
    monkeypatch.setattr("streamlet.operators.ordered_keys._BLOCK", 1)
    monkeypatch.setattr("streamlet.operators.merged_keys._FIRED_AT_ONCE", 2)
    monkeypatch.setattr("streamlet.operators.slice_arrays._LEARNT_AT_ONCE", 2)
    monkeypatch.setattr("streamlet.operators.slice_arrays._MERGED_AT_ONCE", 2)


def operator(
    assigner: Assigner | None, named: NamedAggregates, fields: tuple[str, ...], tag: str | None
) -> Operator:
    """As `agg` makes it, of each key or of each key and window."""
    if assigner is None:
        return AggOperator(named, fields)
    takes_columns = _why_rows(assigner, named, 0) is None
    contents = partial(AggContents, named, fields)
    return _window_operator(assigner, contents, 0, tag, takes_columns=takes_columns)


FORMS: Final[list[tuple[Form, int]]] = [("rows", 4_096), ("columns", 3), ("mixed", 4_096)]
"""With the budgets of their firings."""
FIELDS: Final = [("auction",), ("auction", "channel"), ()]
names_of = {True: st.sampled_from(sorted(ORDER_FREE)), False: st.sampled_from(sorted(NAMED))}


@st.composite
def plays(draw: Any, kind: str, far_times: Sequence[int] = ()) -> tuple[Any, ...]:
    """(operator, key fields, steps, seed) to `play`."""
    assigner = ASSIGNERS[kind]
    is_order_free = isinstance(assigner, SlidingEventTimeWindows | CumulativeEventTimeWindows)
    # Often only what slices keep in columns: one other aggregate would leave them no chance.
    names = draw(st.lists(names_of[is_order_free], min_size=1, max_size=4, unique=True))
    if is_order_free and draw(st.booleans()):
        names = [name for name in names if name != "mean"] or ["bids"]
    tag = draw(st.sampled_from(["late", None]))
    named, fields = {name: NAMED[name] for name in names}, draw(st.sampled_from(FIELDS))
    create = partial(operator, assigner, NamedAggregates(named), fields, tag)
    return create, fields, draw(steps(far_times)), draw(st.integers(0, 99))


def play(
    create: Callable[[], Operator],
    fields: tuple[str, ...],
    script: list[Step],
    seed: int,
    *,
    backend: str = "heap",
) -> None:
    """All forms see the same and keep the same, at every step."""
    with ExitStack() as stack:
        rows, *others = (
            stack.enter_context(Fed(create, fields, form, Random(seed), backend, budget))
            for form, budget in FORMS
        )
        for step in [*script, ("watermark", MAX_TIMESTAMP), ("write", 0)]:
            error = error_of(rows, step)
            seen, state = rows.seen(), rows.state()
            for other in others:
                assert error_of(other, step) == error
                if error is None:
                    assert other.seen() == seen
                    assert other.state() == state
            if error is not None:
                return


def error_of(fed: Fed, step: Step) -> str | None:
    """What the user would read, without the place in the batch."""
    try:
        fed.take(step)
    except AssertionError:
        raise
    except Exception as error:
        return repr(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASSIGNERS)
@pytest.mark.parametrize(("backend", "examples"), [("heap", 100), ("rocksdb", 6)])
def test_rows_and_columns_agree_to_the_last_late_record(
    kind: str, backend: str, examples: int
) -> None:
    """WN-20, WN-21, WM-54, SQL-3: outputs, late records, state; whatever is restored."""

    @settings(max_examples=examples, deadline=None)
    @given(plays(kind))
    def agree(play_of: Any) -> None:
        play(*play_of, backend=backend)

    agree()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ASSIGNERS)).flatmap(lambda kind: plays(kind, ENDS)))
def test_rows_and_columns_agree_at_the_ends_of_time(play_of: Any) -> None:
    """Windows may begin before the least timestamp, and end after the greatest."""
    play(*play_of)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["session", "tumbling", "sliding", "running"])
def test_rows_and_columns_agree_about_crowds_of_keys(kind: str, seed: int) -> None:
    """WN-20, WN-21: keys that collide, come and go, and have several sessions at a time."""
    random = Random(seed)
    named = NamedAggregates({name: NAMED[name] for name in random.sample(sorted(ORDER_FREE), 3)})
    create = partial(operator, ASSIGNERS[kind], named, ("auction",), "late")
    play(create, ("auction",), crowded_steps(random), seed)


def bids(auctions: list[Any], times: list[int], prices: list[Any] | None = None) -> Records:
    columns = {"auction": auctions, "channel": ["x"] * len(times), "price": prices or times}
    return Records(pa.record_batch(columns), times)


SLICES: Final = partial(
    operator,
    SlidingEventTimeWindows.of(15, 5),
    NamedAggregates({"bids": agg.count(), "total": agg.sum("price")}),
    ("auction",),
    "late",
)


@pytest.mark.parametrize("step", ["restore", "freeze", "write", "unfreeze"])
def test_a_slice_that_changes_is_learnt_anew(step: str) -> None:
    """By rows or by columns, and whatever a checkpoint does meanwhile."""
    script: list[Step] = [bids([1, 2, 1], [1, 6, 11]), ("watermark", 4), ("freeze", 0)]
    script += [bids([2, 3], [6, 11]), ("watermark", 9), (step, 0), bids([3, 1], [11, 11])]
    script += [("watermark", 14), bids([1], [11]), (step, 0), bids([4, 1], [10, 3])]
    for seed in range(8):
        play(SLICES, ("auction",), script, seed)


BIDS: Final = NamedAggregates({"bids": agg.count(), "total": agg.sum("price")})
SEEDS: Final = range(8)
"""Of what is rows, what columns; and where batches are cut."""


def bids_of(kind: str) -> Callable[[], Operator]:
    return partial(operator, ASSIGNERS[kind], BIDS, ("auction",), None)


def test_a_key_with_two_sessions_in_a_batch_is_looked_up_once() -> None:
    """The second time it found what lay below, from before the last freeze."""
    script: list[Step] = [bids([1, 2], [1, 1]), ("freeze", 0), bids([1], [3])]
    script += [bids([1, 1], [6, 20]), ("watermark", 15), ("restore", 0)]
    for seed in range(5 * len(SEEDS)):
        play(bids_of("session"), ("auction",), script, seed)


@pytest.mark.parametrize("step", ["restore", "write", "unfreeze"])
def test_a_session_that_fired_does_not_come_back_with_a_new_one_of_its_key(step: str) -> None:
    """Looking for the key forgot that it was removed."""
    script: list[Step] = [bids([1, 2], [1, 1]), ("freeze", 0), ("watermark", 10)]
    script += [bids([1, 1], [12, 30]), (step, 0), bids([1, 2], [31, 31]), ("restore", 0)]
    for seed in SEEDS:
        play(bids_of("session"), ("auction",), script, seed)


@pytest.mark.parametrize("kind", ["tumbling", "sliding"])
def test_columns_after_rows_fire_beside_the_right_keys(kind: str) -> None:
    """A key that went to the rows and came back has another place than before."""
    script: list[Step] = [bids([1, 2, 3], [1, 2, 3]), bids([1], [4]), bids([1], [5])]
    script += [bids([2, 1], [5, 6]), bids([2, 3], [6, 6])]
    for seed in range(3 * len(SEEDS)):
        play(bids_of(kind), ("auction",), script, seed)


@pytest.mark.parametrize("step", ["unfreeze", "write", "restore"])
@pytest.mark.parametrize("kind", ASSIGNERS)
def test_rows_and_columns_change_the_same_keys_while_they_are_written(kind: str, step: str) -> None:
    """ST-5: then the write fails, or does not."""
    script: list[Step] = [bids([1, 2, 3], [1, 2, 3]), ("freeze", 0), bids([1, 2, 4], [4, 5, 3])]
    script += [bids([1, 4, 2], [6, 6, 5]), ("freeze", 0), bids([2, 3], [5, 7]), (step, 0)]
    script += [bids([1, 3], [6, 8]), ("watermark", 9), bids([2, 1], [11, 16]), ("restore", 0)]
    for seed in SEEDS:
        play(bids_of(kind), ("auction",), script, seed)


@pytest.mark.parametrize("kind", ASSIGNERS)
def test_whole_numbers_join_a_float_one_by_one(kind: str) -> None:
    """Their sum would round otherwise."""
    named = NamedAggregates({"total": agg.sum("price"), "mean": agg.mean("price")})
    create = partial(operator, ASSIGNERS[kind], named, ("auction",), None)
    whole = bids([1, 1, 1], [2, 1, 2], [2**53, 1, 1])
    play(create, ("auction",), [bids([1], [1], [0.1]), whole, whole], 1)


@pytest.mark.parametrize(
    ("first", "second"), [(5.0, float("nan")), (1.0, 0.0), (2, True), (float("nan"), 5.0)]
)
def test_whole_numbers_join_sessions_of_other_numbers_one_by_one(first: Any, second: Any) -> None:
    """What is the least beside NaN, or of 0 and 0.0, depends on the order of arrival."""
    named = NamedAggregates({"least": agg.min("price"), "most": agg.max("price")})
    create = partial(operator, ASSIGNERS["session"], named, ("auction",), None)
    script: list[Step] = [bids([1], [0], [first]), bids([1], [10], [second])]
    for seed in SEEDS:
        play(create, ("auction",), [*script, bids([1, 1], [1, 5], [int(second == 0), 1])], seed)
        play(create, ("auction",), [*script, bids([1], [5], [3])], seed)
