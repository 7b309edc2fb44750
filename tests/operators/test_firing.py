"""Firing a large window is cut into calls of about the budget, and nothing that ends between them
changes what fires."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlet import CumulativeEventTimeWindows, SlidingEventTimeWindows, TumblingEventTimeWindows
from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.elements import RowBatch
from streamlet.metrics import MetricGroup
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.operators.window import WindowOperator
from streamlet.operators.window_contents import ReduceContents
from streamlet.state import pieces
from streamlet.state.log import Layout, StateLog, open_store
from streamlet.testing.clock import ManualClock

BUDGET = 64
BACKENDS = ["heap", "rocksdb"]


def contents() -> AggContents:
    return AggContents(NamedAggregates({"records": agg.count()}), ("key",))


def own_windows(lateness_ms: int = 0) -> Operator:
    return WindowOperator(TumblingEventTimeWindows.of(10), contents(), lateness_ms, None)


def reduced_windows() -> Operator:
    folded = ReduceContents(lambda older, newer: older)
    return WindowOperator(TumblingEventTimeWindows.of(10), folded, 0, None)


def sliding() -> Operator:
    return SlicedWindowOperator(SlidingEventTimeWindows.of(20, 10), 10, contents(), None)


def cumulative() -> Operator:
    return SlicedWindowOperator(CumulativeEventTimeWindows.of(20, 10), 10, contents(), None)


OPERATORS: dict[str, Callable[[], Operator]] = {
    "own windows": own_windows,
    "with lateness": lambda: own_windows(5),
    "reduced": reduced_windows,
    "sliding": sliding,
    "cumulative": cumulative,
}


class Fired:
    """One operator with a log of its own, and everything that it gave."""

    def __init__(self, operator: Operator, backend: str, directory: Path) -> None:
        work = directory / "work" if backend == "rocksdb" else None
        self.log = StateLog(open_store(backend, work, 1 << 20), range(8), 8)
        self.operator = operator
        self.values: list[Any] = []
        self.calls: list[int] = []
        """How many results each call gave."""
        operator.open(
            OperatorContext(
                uid="w",
                name="w",
                subtask_index=0,
                parallelism=1,
                max_parallelism=8,
                attempt=0,
                run_id="r",
                clock=ManualClock(),
                metrics=MetricGroup(),
                keyed_state=self.log,
            )
        )

    def send(self, keys: list[Any], timestamp: int) -> None:
        values = [(key, 1) for key in keys]
        self.operator.process_batch(0, RowBatch(values, [timestamp] * len(keys), keys), Output())

    def checkpoint(self) -> None:
        generation = self.log.freeze()
        list(self.log.write(generation))
        self.log.retire(generation)

    def fire(self, watermark_ms: int, between: Callable[[int], None] = lambda call: None) -> None:
        is_done = False
        while not is_done:
            out = Output()
            is_done = self.operator.advance_watermark(watermark_ms, BUDGET, out)
            values = [
                value
                for element in out.take()
                if isinstance(element, RowBatch)
                for value in element.values
            ]
            self.values += values
            self.calls.append(len(values))
            between(len(self.calls))

    def close(self) -> None:
        self.operator.close()
        self.log.close()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    """A thousand keys are many pieces."""
    monkeypatch.setattr(pieces, "PIECE", BUDGET)
    monkeypatch.setattr("streamlet.state.nested_table.PIECE", BUDGET)
    monkeypatch.setattr("streamlet.operators.ordered_keys.PIECE", BUDGET)
    monkeypatch.setattr("streamlet.operators.ordered_keys._BLOCK", BUDGET // 2)
    return BUDGET


KEYS = [(n * 7_919) % 1_009 for n in range(1_000)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPERATORS)
def test_each_call_works_on_about_the_budget(
    name: str, backend: str, small_pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading, sorting and dropping included: what a call reads and removes is counted."""
    worked: list[int] = [0]
    counted_pieces_of = pieces.pieces_of

    def counting(entries: Any) -> Any:
        for piece in counted_pieces_of(entries):
            worked[-1] += len(piece)
            yield piece

    monkeypatch.setattr(pieces, "pieces_of", counting)
    monkeypatch.setattr("streamlet.operators.slices.pieces_of", counting)
    monkeypatch.setattr("streamlet.operators.slice_arrays.pieces_of", counting)
    fired = Fired(OPERATORS[name](), backend, tmp_path)
    fired.send(KEYS, 5)
    fired.checkpoint()
    fired.send(KEYS[:500], 6)
    fired.fire(100, lambda call: worked.append(0))
    assert len(fired.values) in (len(KEYS), 2 * len(KEYS))
    assert max(fired.calls) <= BUDGET
    assert max(worked) <= 5 * BUDGET  # a read costs a quarter of a firing; the last piece is whole
    assert len(fired.calls) > len(fired.values) // BUDGET
    assert fired.log.size() == 0
    fired.close()


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ends_by", ["retire", "unfreeze"])
@pytest.mark.parametrize("name", OPERATORS)
def test_a_background_write_may_end_while_a_window_fires(
    name: str, ends_by: str, backend: str, small_pieces: int, tmp_path: Path
) -> None:
    """After each call once: in good order or not, the same keys fire, and nothing is left."""
    expected: list[Any] | None = None
    for ends_after in range(0, 60, 7):
        directory = tmp_path / str(ends_after)
        directory.mkdir()
        fired = Fired(OPERATORS[name](), backend, directory)
        fired.send(KEYS, 5)
        fired.checkpoint()
        fired.send(KEYS[:300], 6)
        generation = fired.log.freeze()
        fired.send(KEYS[200:600], 7)
        rows = fired.log.write(generation)

        def end(call: int, after: int = ends_after, log: StateLog = fired.log) -> None:
            if call == after:
                list(rows)  # noqa: B023 - called in this turn of the loop
                getattr(log, ends_by)(generation)  # noqa: B023

        end(0)
        fired.fire(100, end)
        expected = fired.values if expected is None else expected
        assert fired.values == expected
        if generation.layers == []:
            fired.checkpoint()
            assert fired.log.size() == 0
        fired.close()


def test_keys_of_many_types_fire_in_the_order_of_their_encoding(
    small_pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do when they fit into one piece."""
    keys = [*range(200), *(f"k{n}" for n in range(200)), None, *((n, "x") for n in range(50))]
    orders = []
    for size in (small_pieces, 10_000):
        fired = Fired(own_windows(), "heap", tmp_path)
        monkeypatch.setattr(pieces, "PIECE", size)
        fired.send(keys, 5)
        fired.fire(9)
        orders.append([value["key"] for value in fired.values])
        fired.close()
    table_order = StateLog(open_store("heap", None, 1 << 20), range(8), 8).nested(
        "t", Layout.WINDOW
    )
    for key in keys:
        table_order.put((0, 10), key, 1)
    assert orders[0] == orders[1] == [key for key, _ in table_order.scan((0, 10))]
