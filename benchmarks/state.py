"""`python -m benchmarks.state`: what keyed state costs, and how it behaves when it is large.

    1. a running count per record, against a dict and against RocksDB asked for each record
    2. how long the event loop of a running job stands still at a checkpoint
    3. restoring a checkpoint into the heap and into RocksDB

CPU time is that of the whole process, threads included.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from streamlet import KeyedProcessFunction, StreamExecutionEnvironment, ValueStateDescriptor
from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import ScopedFile
from streamlet.checkpoint.row_files import read_state, write_rows
from streamlet.runtime.interpreter import tuned_interpreter
from streamlet.state.codec import decode, encode
from streamlet.state.layout import Layout, StateSpec
from streamlet.state.log import MISSING, TOMBSTONE, StateLog, open_store
from streamlet.state.rows import encoded

BATCH: Final = 4_096
ROOM_BYTES: Final = 64 << 20
"""A quarter of it holds clean entries: about 100,000 counts."""
ROOMY_BYTES: Final = 4 << 30
VALUE_BYTES: Final = 200
OFTEN: Final = {"execution.checkpointing.interval": "1s"}


def main() -> None:
    """Prints the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--zipf-keys", type=int, default=2_000_000)
    parser.add_argument("--dirty-keys", type=int, default=1_000_000)
    parser.add_argument("--restore-mb", type=int, default=1_000)
    parser.add_argument("--only", choices=["count", "barrier", "restore"])
    parser.add_argument("--restore-from", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.restore_from:
        with tuned_interpreter():
            restore(Path(options.restore_from[0]), options.restore_from[1])
        return
    with tempfile.TemporaryDirectory() as home, tuned_interpreter():
        os.environ["STREAMLET_HOME"] = home
        if options.only in (None, "count"):
            print_counts(options.records, options.zipf_keys, Path(home))
        if options.only in (None, "barrier"):
            print_barriers(options.dirty_keys)
        if options.only in (None, "restore"):
            print_restores(options.restore_mb << 20, Path(home))


# ------------------------------------------------------------------ 1. the cost of a record


def print_counts(records: int, zipf_keys: int, home: Path) -> None:
    """One line per distribution of keys."""
    draw = np.random.default_rng(7)
    workloads = {
        "10k hot keys": draw.integers(0, 10_000, records),
        "1M keys uniform": draw.integers(0, 1_000_000, records),
        f"{zipf_keys / 1e6:g}M keys zipf": (zipf_keys * draw.random(records) ** 6).astype(np.int64),
    }
    print(
        "| running count, ns per record | dict | rocksdict | all in memory | room for 100k | ",
        end="",
    )
    print("with prefetch |\n| --- | --- | --- | --- | --- | --- |")
    for name, drawn in workloads.items():
        keys = drawn.tolist()
        batches = [keys[start : start + BATCH] for start in range(0, records, BATCH)]
        cells = costs(batches, home)
        print(f"| {name} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |", flush=True)


def costs(batches: Sequence[list[int]], home: Path) -> Iterator[float]:
    """Of a dict, of RocksDB alone, and of a log with much room, with little, with prefetch."""
    few = batches[: max(1, len(batches) // 10)]
    expected = count_by_dict(batches)
    yield cost(lambda: count_by_dict(batches), batches)
    yield cost(lambda: count_by_rocksdict(few, home), few)
    for room_bytes, prefetch in ((ROOMY_BYTES, False), (ROOM_BYTES, False), (ROOM_BYTES, True)):
        log = StateLog(open_store("rocksdb", new_directory(home), room_bytes), range(128), 128)
        yield cost(partial(count_by_log, log, batches, prefetch), batches)
        if any(log.flat("count").get(key) != expected[key] for key in batches[-1]):
            raise SystemExit("a wrong count")
        log.close()


def cost(work: Callable[[], Any], batches: Sequence[list[int]]) -> float:
    """CPU nanoseconds per record."""
    gc.collect()
    started = time.process_time()
    work()
    return (time.process_time() - started) / sum(map(len, batches)) * 1e9


def count_by_dict(batches: Sequence[list[int]]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for keys in batches:
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
    return counts


def count_by_rocksdict(batches: Sequence[list[int]], home: Path) -> None:
    """A get and a put per record."""
    from rocksdict import Options, Rdict, WriteOptions

    database = Rdict(str(new_directory(home)), Options(raw_mode=True))
    unlogged = WriteOptions()
    unlogged.disable_wal = True  # type: ignore[method-assign, assignment]  # stub: a method
    database.set_write_options(unlogged)
    for keys in batches:
        for key in keys:
            row_key = encode(key)
            payload = database.get(row_key)
            database[row_key] = encode(1 if payload is None else decode(payload) + 1)
    database.close()


def new_directory(home: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=home))


def count_by_log(log: StateLog, batches: Sequence[list[int]], prefetch: bool) -> None:
    """As an operator and its task would: spills and settles between batches."""
    table = log.flat("count")
    for keys in batches:
        if prefetch:
            log.prefetch(keys)
        dirty, load = table.dirty, table.load
        for key in keys:
            count = dirty.get(key, MISSING)
            if count is MISSING:
                count = load(key)
            dirty[key] = 1 if count is MISSING or count is TOMBSTONE else count + 1
        log.settle()
        if log.wants_spill():
            write_all(log)


def write_all(log: StateLog) -> list[pa.RecordBatch]:
    """Freezes, encodes and retires."""
    generation = log.freeze()
    batches = list(log.write(generation))
    log.retire(generation)
    return batches


# ------------------------------------------------------------- 2. the standstill at a checkpoint


class Watch:
    """Notes when the loop comes round, every half millisecond."""

    def __init__(self) -> None:
        self._turns: list[tuple[float, float]] = []
        self._is_over = False

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            self._turns.append((time.perf_counter(), time.thread_time()))
            if not self._is_over:
                loop.call_later(0.0005, turn)

        self._turns, self._is_over = [], False
        turn()

    def stop(self) -> None:
        self._is_over = True

    def longest_ms(self) -> str:
        """The longest times between two turns; then what the loop's own thread computed in any."""
        kinds = ([later[i] - turn[i] for turn, later in pairwise(self._turns)] for i in (0, 1))
        longest = (sorted(kind, reverse=True)[:4] for kind in kinds)
        return " | ".join(", ".join(f"{turn * 1e3:.1f}" for turn in kind) for kind in longest)


WATCH: Final = Watch()


class WatchedCount(KeyedProcessFunction):
    """A count per key; the loop is watched from its opening on."""

    def open(self, ctx: Any) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int))
        WATCH.start()

    def process_element(self, value: int, ctx: Any) -> None:
        self.count.update((self.count.value() or 0) + 1)

    def close(self) -> None:
        WATCH.stop()


def print_barriers(keys: int) -> None:
    """The longest times in which the loop of a job did nothing else, with and without."""
    run_watched(1_000, {})  # imports are start-up
    print(f"\n| longest turns of the loop, {keys:,} dirty keys | ms | CPU ms of its thread |")
    print("| --- | --- | --- |", flush=True)
    for name, config in (
        ("no checkpoint", {}),
        ("checkpoints, heap", {"state.backend.type": "heap", **OFTEN}),
        ("checkpoints, rocksdb, all in memory", {"state.backend.type": "rocksdb", **OFTEN}),
    ):
        run_watched(keys, {"state.backend.memory": ROOMY_BYTES, **config})
        print(f"| {name} | {WATCH.longest_ms()} |", flush=True)


def run_watched(keys: int, config: dict[str, Any]) -> None:
    """Each key once, then a thousand of them for as long again."""
    env = StreamExecutionEnvironment(config)
    numbers = env.from_sequence(0, 3 * keys)
    counted = numbers.key_by(lambda n: n if n < keys else n % 1_000).process(WatchedCount())
    counted.uid("count").sink_to(lambda values: None)
    env.execute("barrier")


# --------------------------------------------------------------------------------- 3. a restore


def print_restores(size_bytes: int, home: Path) -> None:
    """Each in a process of its own, whose greatest memory is told."""
    rows = size_bytes // (VALUE_BYTES + 10)
    path = home / "restore"
    path.mkdir()
    entry = write_rows(RealDisk(), path / "state.parquet", path, entries(rows), 1)
    scoped = ScopedFile(entry, 0, 127)
    (path / "file.json").write_bytes(msgspec.json.encode(scoped))
    print(f"\n| restore of {size_bytes >> 20:,} MB, {rows:,} keys | wall s | CPU s | peak MB |")
    print("| --- | --- | --- | --- |", flush=True)
    for backend in ("heap", "rocksdb"):
        words = [sys.executable, "-m", "benchmarks.state", "--restore-from", str(path), backend]
        subprocess.run(words, check=True)


def entries(count: int) -> Iterator[pa.RecordBatch]:
    """Bytes that do not compress, by key."""
    spec = StateSpec("bytes", "value", Layout.KEY)
    for start in range(0, count, BATCH):
        keys = range(start, min(count, start + BATCH))
        noise = os.urandom(VALUE_BYTES * len(keys))
        values = [noise[i * VALUE_BYTES : (i + 1) * VALUE_BYTES] for i in range(len(keys))]
        yield from encoded(spec, dict(zip(keys, values, strict=True)), 128, BATCH)


def restore(directory: Path, backend: str) -> None:
    """Prints one line of the table."""
    scoped = msgspec.json.decode((directory / "file.json").read_bytes(), type=ScopedFile)
    started, started_cpu = time.perf_counter(), time.process_time()
    log = StateLog(open_store(backend, directory / "db", 256 << 20), range(128), 128)
    log.restore(read_state(RealDisk(), directory, [scoped], range(128)))
    table = log.flat("bytes")
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    if len(table.get(scoped.file.row_count - 1)) != VALUE_BYTES:
        raise SystemExit("the last key was not restored")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    print(f"| {backend} | {wall_s:.1f} | {cpu_s:.1f} | {peak_mb:,} |", flush=True)
    log.close()


if __name__ == "__main__":
    main()
