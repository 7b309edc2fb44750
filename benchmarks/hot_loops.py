"""What each operator costs per record, beside a plain loop over the same records.

Operators are driven directly, with neither source nor channels nor sink. Operator and loop take
turns, and what is printed is the median CPU time of the thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any, Final

from streamlet import KeyedProcessFunction, ListStateDescriptor, MapStateDescriptor
from streamlet import ValueStateDescriptor as Value
from streamlet import aggregates as agg
from streamlet.clock import SystemClock
from streamlet.elements import RowBatch
from streamlet.graph import Hash
from streamlet.metrics import MetricGroup
from streamlet.operators.keyed import AggOperator, KeyedProcessOperator, ReduceOperator
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)
from streamlet.runtime.interpreter import tuned_interpreter
from streamlet.runtime.partition import HashRouter
from streamlet.selectors import compile_batch_selector, compile_selector
from streamlet.state.log import StateLog, open_store

BATCH: Final = 4_096
KEYS: Final = 10_000
ROUNDS: Final = 5
GROUPS: Final = 128
HOUR_MS: Final = 3_600_000

Record = tuple[int, int]
Batches = Sequence[RowBatch]
Work = Callable[[Batches], Any]


@dataclass(frozen=True, slots=True)
class HotLoop:
    """One operator and the loop that does the same."""

    name: str
    operator: Callable[[], Work]
    """Makes an operator, opened; what it gives is timed."""
    plain: Work


def records_in_batches(count: int) -> Batches:
    """(key, number) with its key and timestamp; few keys have most of the records."""
    draw = Random(7)
    batches = []
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        keys = [int(KEYS * draw.random() ** 3.3) for _ in range(size)]
        values = [(key, start + index) for index, key in enumerate(keys)]
        batches.append(RowBatch(values, list(range(start, start + size)), keys))
    return batches


def driven(operator: Operator) -> Work:
    """The operator, opened, taking every batch."""
    open_alone(operator)

    def work(batches: Batches) -> int:
        out, results = Output(), 0
        for batch in batches:
            operator.process_batch(0, batch, out)
            results += sum(len(e) for e in out.take() if isinstance(e, RowBatch))
        return results

    return work


def open_alone(operator: Operator) -> StateLog:
    """Opens it as the only subtask, with state on the heap."""
    log = StateLog(open_store("heap", None, 0), range(GROUPS), GROUPS)
    place = {"uid": "hot", "name": "hot", "subtask_index": 0, "parallelism": 1, "attempt": 0}
    operator.open(
        OperatorContext(
            **place,  # type: ignore[arg-type]
            max_parallelism=GROUPS,
            run_id="hot",
            clock=SystemClock(),
            metrics=MetricGroup(),
            keyed_state=log,
        )
    )
    return log


def in_batches(one: Callable[[RowBatch], list[Any]]) -> Work:
    """A plain loop, batch by batch."""
    return lambda batches: sum(len(one(batch)) for batch in batches)


# What users write, and the same by hand.


def is_even(record: Record) -> bool:
    return record[1] % 2 == 0


def doubled(record: Record) -> Record:
    return record[0], record[1] * 2


def twice(record: Record) -> list[Record]:
    return [record, record]


def flat_mapped(batch: RowBatch) -> list[Any]:
    results: list[Any] = []
    for record in batch.values:
        results.extend(twice(record))
    return results


def processed(record: Record, ctx: Any) -> Iterator[Record]:
    yield record[0], record[1] * 2


def returned(record: Record, ctx: Any) -> tuple[Record]:
    return ((record[0], record[1] * 2),)


class Counts(KeyedProcessFunction[int, Record, Record]):
    """How many records a key has had; the result is returned in a tuple."""

    def open(self, ctx: Any) -> None:
        self.count = ctx.get_state(Value("count", int, default=0))

    def process_element(self, value: Record, ctx: Any) -> Any:
        count = self.count.value() + 1
        self.count.update(count)
        return ((value[0], count),)


class YieldedCounts(Counts):
    """The same as a generator, which is what most people write."""

    def process_element(self, value: Record, ctx: Any) -> Any:
        count = self.count.value() + 1
        self.count.update(count)
        yield value[0], count


class MapCounts(KeyedProcessFunction[int, Record, Record]):
    """The same per key and last digit."""

    def open(self, ctx: Any) -> None:
        self.counts = ctx.get_map_state(MapStateDescriptor("counts", int, int))

    def process_element(self, value: Record, ctx: Any) -> Any:
        digit = value[1] % 10
        count = (self.counts.get(digit) or 0) + 1
        self.counts.put(digit, count)
        return ((value[0], count),)


class Lists(KeyedProcessFunction[int, Record, Record]):
    """Keeps numbers, and gives them out when there are eight."""

    def open(self, ctx: Any) -> None:
        self.numbers = ctx.get_list_state(ListStateDescriptor("numbers", int))

    def process_element(self, value: Record, ctx: Any) -> Any:
        self.numbers.add(value[1])
        if value[1] % 8 == 0:
            numbers = self.numbers.get()
            self.numbers.clear()
            return (numbers,)
        return None


class Timers(KeyedProcessFunction[int, Record, Record]):
    """One timer per record, `spread` records on each timestamp; a timer gives nothing."""

    def __init__(self, spread: int) -> None:
        self.spread = spread

    def process_element(self, value: Record, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(HOUR_MS + value[1] // self.spread)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        return None


def counted() -> Work:
    counts: dict[int, int] = {}

    def one(batch: RowBatch) -> list[Any]:
        results = []
        for key, _ in batch.values:
            counts[key] = count = counts.get(key, 0) + 1
            results.append((key, count))
        return results

    return in_batches(one)


def counted_and_summed() -> Work:
    totals: dict[int, tuple[int, int]] = {}

    def one(batch: RowBatch) -> list[Any]:
        results = []
        for key, number in batch.values:
            count, total = totals.get(key, (0, 0))
            totals[key] = count, total = count + 1, total + number
            results.append({"key": key, "count": count, "total": total})
        return results

    return in_batches(one)


def counted_by_digit() -> Work:
    counts: dict[int, dict[int, int]] = defaultdict(dict)

    def one(batch: RowBatch) -> list[Any]:
        results = []
        for key, number in batch.values:
            of_key, digit = counts[key], number % 10
            of_key[digit] = count = of_key.get(digit, 0) + 1
            results.append((key, count))
        return results

    return in_batches(one)


def listed() -> Work:
    lists: dict[int, list[int]] = defaultdict(list)

    def one(batch: RowBatch) -> list[Any]:
        results = []
        for key, number in batch.values:
            lists[key].append(number)
            if number % 8 == 0:
                results.append(lists.pop(key))
        return results

    return in_batches(one)


def registered(spread: int) -> Work:
    """Timers in a dict, sorted when all are due."""

    def work(batches: Batches) -> int:
        keys_at: dict[int, list[int]] = defaultdict(list)
        for batch in batches:
            for key, number in batch.values:
                keys_at[HOUR_MS + number // spread].append(key)
        return sum(len(keys_at[timestamp]) for timestamp in sorted(keys_at))

    return work


def timers(spread: int) -> Work:
    """Registers all and fires all."""
    operator = KeyedProcessOperator(Timers(spread))
    fed = driven(operator)

    def work(batches: Batches) -> int:
        fed(batches)
        out = Output()
        while not operator.advance_watermark(10 * HOUR_MS, BATCH, out):
            out.take()
        return len(batches)

    return work


def by_hash(parallelism: int) -> Work:
    partitioning = Hash(compile_selector(0), "position 0", None, compile_batch_selector(0))
    router = HashRouter(parallelism, GROUPS, partitioning)
    return lambda batches: sum(len(p) for batch in batches for _, p in router.route(batch))


def added(a: Record, b: Record) -> Record:
    return a[0], a[1] + b[1]


def reduced() -> Work:
    totals: dict[int, Record] = {}

    def one(batch: RowBatch) -> list[Any]:
        results = []
        for record in batch.values:
            so_far = totals.get(record[0])
            totals[record[0]] = so_far = record if so_far is None else added(so_far, record)
            results.append(so_far)
        return results

    return in_batches(one)


def keyed(function: Callable[[], KeyedProcessFunction[Any, Any, Any]]) -> Callable[[], Work]:
    return lambda: driven(KeyedProcessOperator(function()))


def aggregated(**named: Any) -> Callable[[], Work]:
    return lambda: driven(AggOperator(agg.NamedAggregates(named), ("key",)))


def hot_loops() -> list[HotLoop]:
    """All of them, the simple ones first."""
    count, total = agg.count(), agg.sum(1)
    return [
        HotLoop(
            "filter",
            lambda: driven(FilterOperator(is_even)),
            in_batches(lambda batch: [v for v in batch.values if is_even(v)]),
        ),
        HotLoop(
            "map",
            lambda: driven(MapOperator(doubled)),
            in_batches(lambda batch: [doubled(v) for v in batch.values]),
        ),
        HotLoop(
            "flat_map, two each", lambda: driven(FlatMapOperator(twice)), in_batches(flat_mapped)
        ),
        HotLoop(
            "process, returned",
            lambda: driven(ProcessOperator(returned)),
            in_batches(lambda batch: [r for v in batch.values for r in returned(v, None)]),
        ),
        HotLoop(
            "process, yielded",
            lambda: driven(ProcessOperator(processed)),
            in_batches(lambda batch: [r for v in batch.values for r in processed(v, None)]),
        ),
        HotLoop(
            "key_by, one subtask",
            lambda: by_hash(1),
            in_batches(lambda batch: [v[0] for v in batch.values]),
        ),
        HotLoop(
            "key_by, four subtasks",
            lambda: by_hash(4),
            in_batches(lambda batch: [v[0] % 4 for v in batch.values]),
        ),
        HotLoop("agg count", aggregated(count=count), counted()),
        HotLoop("agg count, sum", aggregated(count=count, total=total), counted_and_summed()),
        HotLoop("reduce", lambda: driven(ReduceOperator(added)), reduced()),
        HotLoop("ValueState, returned", keyed(Counts), counted()),
        HotLoop("ValueState, yielded", keyed(YieldedCounts), counted()),
        HotLoop("MapState", keyed(MapCounts), counted_by_digit()),
        HotLoop("ListState", keyed(Lists), listed()),
        HotLoop("timers, 1,000 on each ms", lambda: timers(1_000), registered(1_000)),
        HotLoop("timers, all distinct", lambda: timers(1), registered(1)),
    ]


def ns_per_record(work: Work, batches: Batches) -> float:
    started = time.thread_time_ns()
    work(batches)
    return (time.thread_time_ns() - started) / sum(map(len, batches))


def run(loop: HotLoop, batches: Batches) -> None:
    """Prints one line."""
    operator, plain = [], []
    for _ in range(ROUNDS):
        plain.append(ns_per_record(loop.plain, batches))
        operator.append(ns_per_record(loop.operator(), batches))
    ratio = median(operator) / median(plain)
    print(
        f"{loop.name:26} operator {median(operator):6.0f} ns  "
        f"loop {median(plain):5.0f} ns  ratio {ratio:4.1f}",
        flush=True,
    )


def main() -> int:
    """Runs all, or those whose name begins with what was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[""])
    parser.add_argument("--records", type=int, default=400_000)
    arguments = parser.parse_args()
    batches = records_in_batches(arguments.records)
    with tuned_interpreter():
        for loop in hot_loops():
            if loop.name.startswith(tuple(arguments.names)):
                run(loop, batches)
    return 0


if __name__ == "__main__":
    sys.exit(main())
