"""The contracts hold for every source and sink that streamlet has."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.connectors.collection import CollectionSource, SequenceSource
from streamlet.connectors.console import ConsoleSink
from streamlet.connectors.datagen import DataGenSource
from streamlet.connectors.files import FileSink, FileSource
from streamlet.connectors.files.encoders import JsonLinesEncoder
from streamlet.connectors.files.parts import TextParts
from streamlet.operators.sink import FunctionSink
from streamlet.source import Source
from streamlet.testing import ListSink, ScriptedSource, active, at, idle, watermark
from streamlet.testing.connectors import SinkContract, SinkPlace, SourceContract
from streamlet.testing.simulation import ReplayedSource, SimulatedDisk
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.file_disk import SimulatedFileDisk
from streamlet.testing.simulation.output import Output, SimulatedSink

pytestmark = pytest.mark.slow


class TestCollection(SourceContract):
    expected = (*range(20), None, {"a": [1]})

    def make_source(self) -> Source[Any]:
        return CollectionSource(self.expected)


class TestEmptyCollection(SourceContract):
    expected = ()

    def make_source(self) -> Source[Any]:
        return CollectionSource(())


class TestSequence(SourceContract):
    expected = range(5, 30)

    def make_source(self) -> Source[Any]:
        return SequenceSource(5, 29)


class TestDataGen(SourceContract):
    expected = tuple(n * n for n in range(25))

    def make_source(self) -> Source[Any]:
        return DataGenSource(lambda index: index * index, count=25)


class TestReplayed(SourceContract):
    expected = (*range(10), *"abcdef")

    def make_source(self) -> Source[Any]:
        return ReplayedSource({"0": range(10), "1": "abcdef", "2": ""}, lingering_polls=2)


class TestScripted(SourceContract):
    expected = (*range(8), "x", "y")

    def make_source(self) -> Source[Any]:
        numbers = [at(n, n) for n in range(8)]
        return ScriptedSource(
            [*numbers[:3], watermark(2), idle(), active(), *numbers[3:], watermark(9)],
            [at(None, "x"), at(4, "y")],
        )


class FilesContract(SourceContract):
    """A directory of two files, and an empty one where the format allows it."""

    expected = tuple({"id": n, "text": f"käse {n}"} for n in range(24))

    @pytest.fixture(autouse=True)
    def _write_files(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "in"
        self.directory.mkdir()
        self.write("a", self.expected[:17])
        self.write("b", self.expected[17:])

    def write(self, name: str, records: Sequence[Any]) -> None:
        raise AssertionError("each format has its own")


def json_lines(records: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class TestJsonLines(FilesContract):
    def write(self, name: str, records: Sequence[Any]) -> None:
        (self.directory / f"{name}.jsonl").write_bytes(json_lines(records))

    def make_source(self) -> Source[Any]:
        return FileSource.json_lines(self.directory)

    def make_malformed_source(self) -> Source[Any]:
        path = self.directory.parent / "malformed.jsonl"
        path.write_text('{"id":1}\n{"id":\n')
        return FileSource.json_lines(path)


class TestJsonLinesAsColumns(TestJsonLines):
    def make_source(self) -> Source[Any]:
        schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
        return FileSource.json_lines(self.directory, schema=schema)


class TestFollowedJsonLines(TestJsonLines):
    def make_source(self) -> Source[Any]:
        return FileSource.json_lines(self.directory, follow=True)


class TestGzippedJsonLines(FilesContract):
    def write(self, name: str, records: Sequence[Any]) -> None:
        (self.directory / f"{name}.jsonl.gz").write_bytes(gzip.compress(json_lines(records)))

    def make_source(self) -> Source[Any]:
        return FileSource.json_lines(self.directory)

    def make_malformed_source(self) -> Source[Any]:
        path = self.directory.parent / "cut.jsonl.gz"
        path.write_bytes(gzip.compress(json_lines(self.expected))[:-20])
        return FileSource.json_lines(path)


class TestZstdText(FilesContract):
    expected = tuple(f"line {n}" for n in range(24))

    def write(self, name: str, records: Sequence[Any]) -> None:
        content = "".join(f"{record}\n" for record in records).encode()
        compressed = pa.compress(content, codec="zstd", asbytes=True)
        (self.directory / f"{name}.log.zst").write_bytes(compressed)

    def make_source(self) -> Source[Any]:
        return FileSource.text(self.directory)


class TestOneTextFileInRanges(SourceContract):
    """SRC-1: a file of a few MB is cut into byte ranges when there are several readers."""

    expected = tuple(f"{n:06} {'x' * 100_000}" for n in range(30))

    @pytest.fixture(autouse=True)
    def _write_file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "big.log"
        self.path.write_text("\n".join(self.expected))

    def make_source(self) -> Source[Any]:
        return FileSource.text(self.path)

    def make_malformed_source(self) -> Source[Any]:
        path = self.path.with_name("latin.log")
        path.write_bytes(b"k\xe4se\n")
        return FileSource.text(path)


class TestCsv(FilesContract):
    expected = tuple({"id": str(n), "text": f'a "quoted"\nline {n}'} for n in range(24))

    def write(self, name: str, records: Sequence[Any]) -> None:
        with (self.directory / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text"])
            writer.writeheader()
            writer.writerows(records)

    def make_source(self) -> Source[Any]:
        return FileSource.csv(self.directory)

    def make_malformed_source(self) -> Source[Any]:
        path = self.directory.parent / "malformed.csv"
        path.write_text("id,text\n1,2,3\n")
        return FileSource.csv(path)


class TestParquet(FilesContract):
    def write(self, name: str, records: Sequence[Any]) -> None:
        table = pa.Table.from_pylist(list(records))
        pq.write_table(table, self.directory / f"{name}.parquet", row_group_size=5)

    def make_source(self) -> Source[Any]:
        return FileSource.parquet(self.directory)

    def make_malformed_source(self) -> Source[Any]:
        path = self.directory.parent / "malformed.parquet"
        path.write_bytes((self.directory / "a.parquet").read_bytes()[:-9])
        return FileSource.parquet(path)


class TestListSink(SinkContract):
    def make_place(self) -> SinkPlace:
        sink = ListSink()
        return SinkPlace(lambda: sink, lambda: sink.values)


class TestSimulatedSink(SinkContract):
    """The simulated world's own sink must be right, or the world proves nothing."""

    def make_place(self) -> SinkPlace:
        output = Output()
        return SinkPlace(
            lambda: SimulatedSink(output, CrashPoints()),
            lambda: output.values,
            lambda: sorted(output.prepared),
            output.crash,
        )


class TestFunctionSink(SinkContract):
    guarantee = "at-least-once"

    def make_place(self) -> SinkPlace:
        written: list[Any] = []
        return SinkPlace(lambda: FunctionSink(written.extend), lambda: written)


class TestConsoleSink(SinkContract):
    guarantee = "at-least-once"

    def make_place(self) -> SinkPlace:
        stream = io.StringIO()
        return SinkPlace(lambda: ConsoleSink("x", stream), lambda: self.read(stream))

    def read(self, stream: io.StringIO) -> list[Any]:
        return [eval(line.partition("> ")[2]) for line in stream.getvalue().splitlines()]


class FileSinkContract(SinkContract):
    """Each place is a directory of its own."""

    tells_later_output = True

    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path) -> None:
        self.directories = (tmp_path / str(number) for number in itertools.count())

    def make_place(self) -> SinkPlace:
        directory = next(self.directories)
        return SinkPlace(
            lambda: self.make_sink(directory),
            lambda: list(self.read(directory)),
            lambda: sorted(directory.rglob(".part-*")),
        )

    def make_sink(self, directory: Path) -> FileSink:
        raise AssertionError("each format has its own")

    def read(self, directory: Path) -> Iterator[Any]:
        raise AssertionError("each format has its own")


class TestJsonLinesFiles(FileSinkContract):
    def make_sink(self, directory: Path) -> FileSink:
        return FileSink.json_lines(directory)

    def read(self, directory: Path) -> Iterator[Any]:
        for path in directory.rglob("part-*.jsonl"):
            yield from map(json.loads, path.read_text().splitlines())


class TestPartitionedFiles(TestJsonLinesFiles):
    def make_sink(self, directory: Path) -> FileSink:
        return FileSink.json_lines(directory, partition_by=["kind", "id"])


class TestRolledFiles(TestJsonLinesFiles):
    def make_sink(self, directory: Path) -> FileSink:
        return FileSink.json_lines(directory, roll_size=1)


class TestTakenFiles(TestJsonLinesFiles):
    """A reader moves every file away as soon as it sees it."""

    tells_later_output = False

    def make_place(self) -> SinkPlace:
        directory = next(self.directories)
        taken: list[Any] = []

        def take() -> list[Any]:
            for path in directory.rglob("part-*.jsonl"):
                taken.extend(map(json.loads, path.read_text().splitlines()))
                path.unlink()
            return taken

        def make_sink() -> FileSink:
            take()
            return self.make_sink(directory)

        return SinkPlace(make_sink, take, lambda: sorted(directory.rglob(".part-*")))


class TestFilesOnADiskThatForgets(SinkContract):
    """What is not synced is lost with every process."""

    tells_later_output = True

    def make_place(self) -> SinkPlace:
        disk, random, directory = SimulatedDisk(), Random(1), Path("/out")
        parts = partial(TextParts, JsonLinesEncoder(None))
        return SinkPlace(
            lambda: FileSink(directory, parts, disk=SimulatedFileDisk(disk, CrashPoints())),
            lambda: list(self.read(disk, directory)),
            lambda: [path for path in disk.list(directory) if path.name.startswith(".part-")],
            lambda: disk.crash(random),
        )

    def read(self, disk: SimulatedDisk, directory: Path) -> Iterator[Any]:
        for path in disk.list(directory):
            if path.name.startswith("part-"):
                yield from map(json.loads, disk.read(path).decode().splitlines())


class TestCsvFiles(FileSinkContract):
    def make_sink(self, directory: Path) -> FileSink:
        return FileSink.csv(directory)

    def read(self, directory: Path) -> Iterator[Any]:
        for path in directory.rglob("part-*.csv"):
            for row in csv.DictReader(path.read_text().splitlines()):
                yield {"id": int(row["id"]), "kind": row["kind"]}


class TestParquetFiles(FileSinkContract):
    def make_sink(self, directory: Path) -> FileSink:
        return FileSink.parquet(directory)

    def read(self, directory: Path) -> Iterator[Any]:
        for path in directory.rglob("part-*.parquet"):
            yield from pq.read_table(path).to_pylist()
