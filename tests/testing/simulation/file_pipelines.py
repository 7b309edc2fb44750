"""Pipelines from files to files, and what each must give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from streamlet import TumblingEventTimeWindows, WatermarkStrategy
from streamlet import aggregates as agg
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.encoders import JsonLinesEncoder
from streamlet.connectors.files.formats import LineFormat
from streamlet.connectors.files.parts import TextParts
from streamlet.connectors.files.sink import FileSink
from streamlet.connectors.files.source import FileSource
from streamlet.testing.simulation import Files
from streamlet.testing.simulation.files import INPUT_DIRECTORY, OUTPUT_DIRECTORY
from tests.testing.simulation.simulated_pipelines import (
    COLUMNS,
    DISORDER_MS,
    Env,
    Record,
    RunningCount,
    SimulatedFiles,
    partitions,
    records,
    running_count,
    tumbling,
)


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


FILES: Final = 12


def windows_over_files() -> SimulatedFiles:
    """Files in the order of time; readers of the output take its files away."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(DISORDER_MS)

    def build(env: Env, disk: FileDisk) -> None:
        source = SlowFileSource(INPUT_DIRECTORY, LineFormat.json(None, None), disk=disk)
        timed = strategy.with_timestamp_assigner(lambda line: line["timestamp"])
        keyed = env.from_source(source, timed).uid("source").key_by("key")
        windows = keyed.window(TumblingEventTimeWindows.of(100))
        counted = windows.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        rows = counted.map(lambda row: {name: row[name] for name in COLUMNS}).uid("rows")
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
