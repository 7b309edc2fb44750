"""One small pipeline for each kind of operator, and what it must give, without streamlet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from streamlet import (
    AggregateFunction,
    DataStream,
    EventTimeSessionWindows,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    OutputTag,
    ProcessWindowFunction,
    RuntimeContext,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.testing import ScriptedSource, at

Env: TypeAlias = StreamExecutionEnvironment
Record: TypeAlias = tuple[str, int, int]
"""(key, timestamp, number)"""
Windows: TypeAlias = dict[tuple[str, int, int], list[int]]
"""Numbers by key, start and end."""

DISORDER_MS: Final = 40
PARTITIONS: Final[list[list[Record]]] = [
    [(f"k{p}-{n % 3}", 10 * n + (n // 12) * 200 + (33 if n % 5 == 0 else 0), n) for n in range(48)]
    for p in range(2)
]
"""A key is in one partition, so that its own order is certain; timestamps are out of order."""
RECORDS: Final = [record for partition in PARTITIONS for record in partition]


def records(env: Env) -> DataStream[Record]:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(DISORDER_MS)
    source = ScriptedSource(*([at(None, record) for record in part] for part in PARTITIONS))
    return env.from_source(source, strategy.with_timestamp_assigner(1))


def by_key() -> dict[str, list[Record]]:
    grouped = defaultdict(list)
    for record in RECORDS:
        grouped[record[0]].append(record)
    return grouped


def running(fold: Callable[[list[Record]], Any]) -> list[Any]:
    """What a running result is after each record of its key."""
    return [fold(group[: n + 1]) for group in by_key().values() for n in range(len(group))]


def sliced(size_ms: int, slide_ms: int) -> Windows:
    windows: Windows = defaultdict(list)
    for key, timestamp, number in RECORDS:
        start = timestamp - timestamp % slide_ms
        while start > timestamp - size_ms:
            windows[key, start, start + size_ms].append(number)
            start -= slide_ms
    return windows


def sessions(gap_ms: int) -> Windows:
    windows: Windows = {}
    for key, group in by_key().items():
        session: list[Record] = []
        for record in [*sorted(group, key=lambda r: r[1]), None]:
            if session and (record is None or record[1] - session[-1][1] >= gap_ms):
                bounds = (key, session[0][1], session[-1][1] + gap_ms)
                windows[bounds] = [number for _, _, number in session]
                session = []
            if record is not None:
                session.append(record)
    return windows


def counted(windows: Windows) -> list[dict[str, Any]]:
    return [
        {"key": key, "window_start": start, "window_end": end, "n": len(ns), "total": sum(ns)}
        for (key, start, end), ns in windows.items()
    ]


class Timers(KeyedProcessFunction[str, Record, Any]):
    """A timer per record, set anew and deleted; a list and a map of what has come."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.numbers = ctx.get_list_state(ListStateDescriptor("numbers"))
        self.tens = ctx.get_map_state(MapStateDescriptor("tens"))
        self.due = ctx.get_state(ValueStateDescriptor("due"))

    def process_element(self, value: Record, ctx: Any, /) -> None:
        timers = ctx.timer_service()
        self.numbers.add(value[2])
        self.tens.put(value[2] // 10, value[2])
        if self.due.value() is not None:
            timers.delete_event_time_timer(self.due.value())
        self.due.update(max(value[1], self.due.value() or 0) + 500)
        timers.register_event_time_timer(self.due.value())

    def on_timer(self, timestamp: int, ctx: Any, /) -> Iterator[Any]:
        yield ctx.get_current_key(), sorted(self.numbers.get()), sorted(self.tens.items())
        self.numbers.clear()
        self.tens.clear()
        self.due.clear()


class Span(AggregateFunction[Record, list[int], tuple[int, int]]):
    """(least, greatest) number."""

    def create_accumulator(self) -> list[int]:
        return []

    def add(self, value: Record, accumulator: list[int], /) -> list[int]:
        return [*accumulator, value[2]]

    def get_result(self, accumulator: list[int], /) -> tuple[int, int]:
        return min(accumulator), max(accumulator)

    def merge(self, a: list[int], b: list[int], /) -> list[int]:
        return a + b


class Listed(ProcessWindowFunction[Record, Any, str, Any]):
    def process(self, key: str, ctx: Any, elements: Iterable[Record], /) -> Iterator[Any]:
        yield key, ctx.window().start, sorted(number for _, _, number in elements)


ODD: Final = OutputTag[Record]("odd")


def parted(value: Record, ctx: Any) -> Iterator[Any]:
    if value[2] % 2:
        yield ODD, value
    else:
        yield value


def tumbling(stream: DataStream[Any]) -> Any:
    return stream.key_by(0).window(TumblingEventTimeWindows.of(100))


def one_day() -> Any:
    return TumblingEventTimeWindows.of("1d")


KINDS: Final[dict[str, tuple[Callable[[Env], DataStream[Any]], list[Any]]]] = {
    "map": (lambda env: records(env).map(lambda r: r[2] * 2), [2 * r[2] for r in RECORDS]),
    "filter": (
        lambda env: records(env).filter(lambda r: r[2] % 3 == 0),
        [r for r in RECORDS if r[2] % 3 == 0],
    ),
    "flat_map": (
        lambda env: records(env).flat_map(lambda r: [r[0]] * (r[2] % 3)),
        [r[0] for r in RECORDS for _ in range(r[2] % 3)],
    ),
    "process": (lambda env: records(env).process(parted), [r for r in RECORDS if r[2] % 2 == 0]),
    "side output": (
        lambda env: records(env).process(parted).get_side_output(ODD),
        [r for r in RECORDS if r[2] % 2],
    ),
    "rebalance": (lambda env: records(env).rebalance().map(lambda r: r), RECORDS),
    "union": (
        lambda env: records(env).union(env.from_collection([("u", 5, 1)] * 7)),
        [*RECORDS, *[("u", 5, 1)] * 7],
    ),
    "reduce": (
        lambda env: records(env).key_by(0).reduce(lambda a, b: (a[0], b[1], a[2] + b[2])),
        running(lambda group: (group[0][0], group[-1][1], sum(r[2] for r in group))),
    ),
    "sum": (
        lambda env: records(env).key_by(0).sum(2),
        running(lambda group: (*group[0][:2], sum(r[2] for r in group))),
    ),
    "max_by": (
        lambda env: records(env).key_by(0).max_by(2),
        running(lambda group: max(group, key=lambda r: r[2])),
    ),
    "agg": (
        lambda env: records(env).key_by(0).agg(n=agg.count(), last=agg.last(2)),
        running(lambda group: {"key": group[0][0], "n": len(group), "last": group[-1][2]}),
    ),
    "tumbling agg": (
        lambda env: tumbling(records(env)).agg(n=agg.count(), total=agg.sum(2)),
        counted(sliced(100, 100)),
    ),
    "sliding agg": (
        lambda env: (
            records(env)
            .key_by(0)
            .window(SlidingEventTimeWindows.of(100, 50))
            .agg(n=agg.count(), total=agg.sum(2))
        ),
        counted(sliced(100, 50)),
    ),
    "session agg": (
        lambda env: (
            records(env)
            .key_by(0)
            .window(EventTimeSessionWindows.with_gap(90))
            .agg(n=agg.count(), total=agg.sum(2))
        ),
        counted(sessions(90)),
    ),
    "window aggregate": (
        lambda env: tumbling(records(env)).aggregate(Span(), lambda key, w, span: (key, *span)),
        [(key, min(ns), max(ns)) for (key, _, _), ns in sliced(100, 100).items()],
    ),
    "window reduce": (
        lambda env: tumbling(records(env).map(lambda r: (r[0], r[2]))).reduce(
            lambda a, b: (a[0], max(a[1], b[1]))
        ),
        [(key, max(ns)) for (key, _, _), ns in sliced(100, 100).items()],
    ),
    "window process": (
        lambda env: tumbling(records(env)).process(Listed()),
        [(key, start, sorted(ns)) for (key, start, _), ns in sliced(100, 100).items()],
    ),
    "window_all": (
        lambda env: records(env).window_all(one_day()).agg(n=agg.count()),
        [{"window_start": 0, "window_end": 86_400_000, "n": len(RECORDS)}],
    ),
    "timers and state": (
        lambda env: records(env).key_by(0).process(Timers()),
        [
            (key, sorted(ns), sorted({n // 10: n for n in sorted(ns)}.items()))
            for (key, _, _), ns in sessions(500).items()
        ],
    ),
}
