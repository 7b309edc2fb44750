"""The pipelines that are simulated, and what each must give, computed without streamlet."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from streamlet import (
    CheckpointedFunction,
    EventTimeSessionWindows,
    KeyedProcessFunction,
    ListStateDescriptor,
    OperatorStateStore,
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
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.encoders import JsonLinesEncoder
from streamlet.connectors.files.formats import LineFormat
from streamlet.connectors.files.parts import TextParts
from streamlet.connectors.files.sink import FileSink
from streamlet.connectors.files.source import FileSource
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
from streamlet.testing.simulation.files import INPUT_DIRECTORY, OUTPUT_DIRECTORY
from streamlet.testing.simulation.simulate import Simulation
from streamlet.testing.simulation.world import FileBuild, from_build, from_file_build

Record: TypeAlias = tuple[str, int, int]
"""(key, timestamp, number)"""
Env: TypeAlias = StreamExecutionEnvironment

PARTITIONS: Final = 2
RECORDS: Final = 36
DISORDER_MS: Final = 40


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


def windowed(assigner: Assigner, windows: dict[tuple[str, int, int], list[int]]) -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        counted = source.key_by(0).window(assigner).agg(count=agg.count(), total=agg.sum(2))
        bounds = ("key", "window_start", "window_end", "count", "total")
        rows = counted.uid("windows").map(lambda row: tuple(row[name] for name in bounds))
        rows.uid("rows").sink_to(sink).uid("sink")

    expected = [(*window, len(numbers), sum(numbers)) for window, numbers in windows.items()]
    return Simulated(build, expected)


def sliced(size_ms: int, slide_ms: int) -> dict[tuple[str, int, int], list[int]]:
    windows: dict[tuple[str, int, int], list[int]] = defaultdict(list)
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


def session() -> Simulated:
    gap_ms = 90
    windows: dict[tuple[str, int, int], list[int]] = {}
    for key in sorted({record[0] for record in records()}):
        group: list[Record] = []
        for record in [*sorted(r for r in records() if r[0] == key), None]:
            if group and (record is None or record[1] - group[-1][1] >= gap_ms):
                window = (key, group[0][1], group[-1][1] + gap_ms)
                windows[window] = [n for _, _, n in group]
                group = []
            if record is not None:
                group.append(record)
    return windowed(EventTimeSessionWindows.with_gap(gap_ms), windows)


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
    """The second input says little, goes idle, and wakes up later than all others' time."""
    late = [at(0, ("k0-0", 0, 100)), watermark(0), idle(), active(), at(900, ("k0-0", 900, 200))]

    def build(env: Env, sink: Sink[Any]) -> None:
        main = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        quiet = env.from_source(ReplayedScript(late)).uid("quiet").set_parallelism(1)
        windows = main.union(quiet).key_by(0).window(TumblingEventTimeWindows.of(100))
        counted = windows.agg(count=agg.count(), total=agg.sum(2)).uid("windows")
        bounds = ("key", "window_start", "window_end", "count", "total")
        rows = counted.map(lambda row: tuple(row[name] for name in bounds)).uid("rows")
        rows.sink_to(sink).uid("sink")

    windows = sliced(100, 100)
    windows["k0-0", 0, 100].append(100)
    windows["k0-0", 900, 1_000].append(200)
    return Simulated(build, [(*window, len(ns), sum(ns)) for window, ns in windows.items()])


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


class SlowFileSource(FileSource[Any]):
    """Read in threads, so that checkpoints come in between."""

    blocking = True


def file_to_file() -> SimulatedFiles:
    def build(env: Env, disk: FileDisk) -> None:
        source = SlowFileSource(INPUT_DIRECTORY, LineFormat.json(None, None), disk=disk)
        counted = env.from_source(source).uid("source").map(lambda line: tuple(line.values()))
        counts = counted.uid("records").key_by(0).process(RunningCount()).uid("count")
        sink = FileSink(
            OUTPUT_DIRECTORY,
            lambda: TextParts(JsonLinesEncoder(None)),
            partition_by="key",
            disk=disk,
        )
        named = counts.map(lambda row: dict(zip(("key", "count", "total"), row, strict=True)))
        named.uid("named").sink_to(sink).uid("sink")

    files = Files(json_lines(partitions()), decode_counts)
    return SimulatedFiles(build, files, running_count().expected)


FILES: Final = 6


def windows_over_files() -> SimulatedFiles:
    """Files in the order of time; readers of the output take its files away."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(DISORDER_MS)
    columns = ("key", "window_start", "window_end", "count", "total")

    def build(env: Env, disk: FileDisk) -> None:
        source = SlowFileSource(INPUT_DIRECTORY, LineFormat.json(None, None), disk=disk)
        timed = strategy.with_timestamp_assigner(lambda line: line["timestamp"])
        keyed = env.from_source(source, timed).uid("source").key_by("key")
        windows = keyed.window(TumblingEventTimeWindows.of(100))
        counted = windows.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        rows = counted.map(lambda row: {name: row[name] for name in columns}).uid("rows")
        sink = FileSink(OUTPUT_DIRECTORY, lambda: TextParts(JsonLinesEncoder(None)), disk=disk)
        rows.sink_to(sink).uid("sink")

    in_order = sorted(records(), key=lambda record: record[2])
    size = len(in_order) // FILES
    chunks = {f"{n}": in_order[n * size : (n + 1) * size] for n in range(FILES)}
    files = Files(json_lines(chunks), decode_rows, is_taken=True)
    return SimulatedFiles(build, files, tumbling().expected)


def json_lines(files: dict[str, list[Record]]) -> dict[str, bytes]:
    return {
        f"{name}.jsonl": "".join(
            json.dumps({"key": key, "timestamp": timestamp, "number": n}) + "\n"
            for key, timestamp, n in values
        ).encode()
        for name, values in files.items()
    }


def decode_rows(path: Path, content: bytes) -> list[Any]:
    """The rows of one output file as tuples."""
    if not content.endswith(b"\n"):
        raise ValueError(f"{len(content)} bytes, ending with {content[-20:]!r}")
    return [tuple(json.loads(line).values()) for line in content.splitlines()]


def decode_counts(path: Path, content: bytes) -> list[Any]:
    """The counts of one output file, which lies in the directory of its key."""
    rows = decode_rows(path, content)
    if any(f"key={key}" != path.parts[0] for key, *_ in rows):
        raise ValueError("it is in the directory of another key")
    return rows


PIPELINES: Final[Sequence[Callable[[], Simulated | SimulatedFiles]]] = (
    stateless,
    running_count,
    tumbling,
    sliding,
    session,
    both_timers,
    union_with_idle_input,
    reduce_with_ttl,
    operator_list_state,
    file_to_file,
    windows_over_files,
)
