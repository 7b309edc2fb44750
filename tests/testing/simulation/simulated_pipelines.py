"""The pipelines that are simulated, and what each must give, computed without streamlet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from streamlet import (
    CheckpointedFunction,
    CumulativeEventTimeWindows,
    EventTimeSessionWindows,
    KeyedProcessFunction,
    ListStateDescriptor,
    OperatorStateStore,
    OutputTag,
    ProcessFunction,
    RuntimeContext,
    SlidingEventTimeWindows,
    SnapshotContext,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.api.windowed import Assigner
from streamlet.sink import Sink
from streamlet.testing import active, at, idle, watermark
from streamlet.testing.simulation import (
    Fate,
    Files,
    ReplayedScript,
    ReplayedSource,
    SimulationReport,
    simulate_schedule,
)
from streamlet.testing.simulation.simulate import Simulation
from streamlet.testing.simulation.world import FileBuild, from_build, from_file_build

Record: TypeAlias = tuple[str, int, int]
"""(key, timestamp, number)"""
Windows: TypeAlias = dict[tuple[str, int, int], list[int]]
"""(key, start, end): the numbers in it"""
Env: TypeAlias = StreamExecutionEnvironment

PARTITIONS: Final = 2
RECORDS: Final = 36
DISORDER_MS: Final = 40
GAP_MS: Final = 90
COLUMNS: Final = ("key", "window_start", "window_end", "count", "total")
"""Of what windows give."""
LATE: Final[OutputTag[Any]] = OutputTag("late")


@dataclass(frozen=True)
class Simulated:
    """A pipeline and its right output."""

    build: Callable[[Env, Sink[Any]], None]
    expected: list[Any]
    is_clock_right: bool = False
    """Timers of processing time that wait for a wrong time do not fire before the end."""

    def simulate(self, seeds: Iterable[int], *, sweep: bool = True) -> SimulationReport:
        """From its source to the simulated sink."""
        simulation = Simulation(from_build(self.build), is_clock_right=self.is_clock_right)
        return simulation.run(seeds, self.expected, sweep=sweep)

    def simulate_schedule(self, seed: int, schedule: Sequence[Fate]) -> SimulationReport:
        """One schedule only."""
        return simulate_schedule(self.build, seed, schedule, expected=self.expected)


@dataclass(frozen=True)
class SimulatedFiles:
    """A pipeline from files to files, and its right output."""

    build: FileBuild
    files: Files
    expected: list[Any]

    def simulate(self, seeds: Iterable[int], *, sweep: bool = True) -> SimulationReport:
        """From the input directory to the output directory."""
        simulation = Simulation(from_file_build(self.build), files=self.files)
        return simulation.run(seeds, self.expected, sweep=sweep)

    def simulate_schedule(self, seed: int, schedule: Sequence[Fate]) -> SimulationReport:
        """One schedule only."""
        return simulate_schedule(
            self.build, seed, schedule, files=self.files, expected=self.expected
        )


def partitions() -> dict[str, list[Record]]:
    """Keys of a partition are its own; timestamps are unique per key, and out of order."""
    return {
        f"p{p}": [
            (f"k{p}-{n % 3}", 10 * n + (n // 12) * 200 + (33 if n % 5 == 0 else 0), n)
            for n in range(RECORDS)
        ]
        for p in range(PARTITIONS)
    }


def records() -> list[Record]:
    return [record for values in partitions().values() for record in values]


def in_event_time() -> WatermarkStrategy[Record]:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(DISORDER_MS)
    return strategy.with_timestamp_assigner(lambda record: record[1])


def stateless() -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions())).uid("source")
        odd = source.filter(lambda record: record[2] % 2 == 1).uid("odd").rebalance()
        odd.map(lambda record: (record[0], record[2] * 10)).uid("tens").sink_to(sink).uid("sink")

    return Simulated(build, [(key, 10 * n) for key, _, n in records() if n % 2 == 1])


class RunningCount(KeyedProcessFunction[str, Record, tuple[str, int, int]]):
    """(key, number of records, their sum) after each record."""

    def open(self, ctx: RuntimeContext) -> None:
        self._so_far = ctx.get_state(ValueStateDescriptor("so far", default=(0, 0)))

    def process_element(
        self, value: Record, ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[tuple[str, int, int]]:
        count, total = self._so_far.value()
        self._so_far.update((count + 1, total + value[2]))
        yield value[0], count + 1, total + value[2]


def running_count() -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions())).uid("source")
        source.key_by(0).process(RunningCount()).uid("count").sink_to(sink).uid("sink")

    so_far: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    expected = []
    for key, _, n in records():
        so_far[key] = (so_far[key][0] + 1, so_far[key][1] + n)
        expected.append((key, *so_far[key]))
    return Simulated(build, expected)


def windowed(assigner: Assigner, windows: Windows) -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        counted = source.key_by(0).window(assigner).agg(count=agg.count(), total=agg.sum(2))
        rows = counted.uid("windows").map(lambda row: tuple(row[name] for name in COLUMNS))
        rows.uid("rows").sink_to(sink).uid("sink")

    return Simulated(build, counted_and_summed(windows))


def counted_and_summed(windows: Windows) -> list[Any]:
    return [(*window, len(numbers), sum(numbers)) for window, numbers in windows.items()]


def sliced(size_ms: int, slide_ms: int) -> Windows:
    windows: Windows = defaultdict(list)
    for key, timestamp, n in records():
        start = timestamp - timestamp % slide_ms
        while start > timestamp - size_ms:
            windows[key, start, start + size_ms].append(n)
            start -= slide_ms
    return windows


def tumbling() -> Simulated:
    return windowed(TumblingEventTimeWindows.of(100), sliced(100, 100))


def sliding() -> Simulated:
    return windowed(SlidingEventTimeWindows.of(100, 50), sliced(100, 50))


def cumulative() -> Simulated:
    return windowed(CumulativeEventTimeWindows.of(150, 50), cumulated())


def cumulated() -> Windows:
    windows: Windows = defaultdict(list)
    for key, timestamp, n in records():
        start = timestamp - timestamp % 150
        for end in (start + 50, start + 100, start + 150):
            if timestamp < end:
                windows[key, start, end].append(n)
    return windows


def session() -> Simulated:
    return windowed(EventTimeSessionWindows.with_gap(GAP_MS), sessions())


def sessions() -> Windows:
    windows: Windows = {}
    for key in sorted({record[0] for record in records()}):
        group: list[Record] = []
        for record in [*sorted(r for r in records() if r[0] == key), None]:
            if group and (record is None or record[1] - group[-1][1] >= GAP_MS):
                window = (key, group[0][1], group[-1][1] + GAP_MS)
                windows[window] = [n for _, _, n in group]
                group = []
            if record is not None:
                group.append(record)
    return windows


class BothTimers(KeyedProcessFunction[str, Record, tuple[str, str, int]]):
    """Per record an event-time timer; and a buffer that processing time empties."""

    def open(self, ctx: RuntimeContext) -> None:
        self._buffer = ctx.get_list_state(ListStateDescriptor("buffer"))

    def process_element(self, value: Record, ctx: KeyedProcessFunction.Context, /) -> None:
        timers = ctx.timer_service()
        timers.register_event_time_timer(value[1] + 50)
        if not list(self._buffer.get()):
            timers.register_processing_time_timer(timers.current_processing_time() + 25)
        self._buffer.add(value[2])

    def on_timer(
        self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext, /
    ) -> Iterator[tuple[str, str, int]]:
        if ctx.time_domain() == "event_time":
            yield ctx.get_current_key(), "timer", timestamp
            return
        for number in self._buffer.get():
            yield ctx.get_current_key(), "number", number
        self._buffer.clear()


def both_timers() -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        replayed = ReplayedSource(partitions(), lingering_polls=12)
        source = env.from_source(replayed, in_event_time()).uid("source")
        source.key_by(0).process(BothTimers()).uid("timers").sink_to(sink).uid("sink")

    timers = [(key, "timer", timestamp + 50) for key, timestamp, _ in records()]
    numbers = [(key, "number", n) for key, _, n in records()]
    return Simulated(build, timers + numbers, is_clock_right=True)


def union_with_idle_input() -> Simulated:
    """The second input says little, goes idle, and wakes up later than all others' time.

    Before it has caught up it holds back nobody (WM-14): the others may come to their end, and its
    last record is late. Then it counts as what its window, which has no other, would have given.
    """
    script = [at(0, ("k0-0", 0, 100)), watermark(0), idle(), active(), at(900, ("k0-0", 900, 200))]

    def build(env: Env, sink: Sink[Any]) -> None:
        main = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        quiet = env.from_source(ReplayedScript(script)).uid("quiet").set_parallelism(1)
        windowed = main.union(quiet).key_by(0).window(TumblingEventTimeWindows.of(100))
        counted = windowed.side_output_late_data(LATE).agg(count=agg.count(), total=agg.sum(2))
        rows = counted.uid("windows").map(lambda row: tuple(row[name] for name in COLUMNS))
        late = counted.get_side_output(LATE).map(lambda record: (record[0], 900, 1_000, 1, 200))
        rows.uid("rows").union(late.uid("late")).sink_to(sink).uid("sink")

    windows = sliced(100, 100)
    windows["k0-0", 0, 100].append(100)
    windows["k0-0", 900, 1_000].append(200)
    return Simulated(build, counted_and_summed(windows))


class SumSoFar(KeyedProcessFunction[str, Record, tuple[str, int, int]]):
    """(key, number of sums, latest sum), in state that would live for a month."""

    def open(self, ctx: RuntimeContext) -> None:
        self._sums = ctx.get_list_state(ListStateDescriptor("sums", ttl="30d"))

    def process_element(
        self, value: Record, ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[tuple[str, int, int]]:
        self._sums.add(value[2])
        sums = list(self._sums.get())
        yield value[0], len(sums), sums[-1]


def reduce_with_ttl() -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions())).uid("source")
        summed = source.key_by(0).reduce(lambda a, b: (a[0], b[1], a[2] + b[2])).uid("sum")
        summed.key_by(0).process(SumSoFar()).uid("sums").sink_to(sink).uid("sink")

    return Simulated(build, running_count().expected)


LISTED: Final = 60
RELEASING: Final = 12


class Holding(ProcessFunction[int, tuple[str, int]], CheckpointedFunction):
    """Holds back all records but the last ones, each of which releases what its subtask holds."""

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self._held = ctx.get_operator_list_state("held")
        self._waiting = list(self._held.get())

    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        self._held.update(self._waiting)

    def process_element(
        self, value: int, ctx: ProcessFunction.Context, /
    ) -> Iterator[tuple[str, int]]:
        yield "seen", value
        if value < LISTED:
            self._waiting.append(value)
            return
        for number in self._waiting:
            yield "released", number
        self._waiting = []


def operator_list_state() -> Simulated:
    """Dealt out anew at every restore; the records are in one order, so the last come last."""
    numbers = list(range(LISTED + RELEASING))

    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource({"all": numbers})).uid("source").set_parallelism(1)
        source.rebalance().process(Holding()).uid("holding").sink_to(sink).uid("sink")

    expected = [("seen", number) for number in numbers]
    return Simulated(build, expected + [("released", number) for number in range(LISTED)])
