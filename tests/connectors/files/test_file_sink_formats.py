"""FileSink: what each format writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.connectors.files import FileSink, FileSource
from streamlet.errors import ConfigError, GraphError, RecordError
from tests.connectors.files.reading import read_all
from tests.connectors.files.writing import Run, content, visible

Make = Callable[..., FileSink]


def write(sink: FileSink, *batches: list[Any]) -> None:
    run = Run(sink)
    try:
        for batch in batches:
            run.write(*batch)
        run.checkpoint(1)
    finally:
        run.finish()


@dataclass
class Bid:
    price: int
    at: date | None


class Named(NamedTuple):
    price: int
    name: str


def test_json_lines_of_every_kind_of_record(tmp_path: Path) -> None:
    write(
        FileSink.json_lines(tmp_path),
        [
            {"a": Decimal("1.50"), "u": UUID(int=1), "t": (1, 2)},
            Bid(5, date(2024, 1, 2)),
            Named(1, "n"),
            datetime(2024, 1, 2, tzinfo=UTC),
            ("x", None),
        ],
    )
    assert [json.loads(line) for line in content(tmp_path).splitlines()] == [
        {"a": "1.50", "u": "00000000-0000-0000-0000-000000000001", "t": [1, 2]},
        {"price": 5, "at": "2024-01-02"},
        {"price": 1, "name": "n"},
        "2024-01-02T00:00:00Z",
        ["x", None],
    ]


def test_json_lines_with_a_schema_have_its_fields_in_its_order(tmp_path: Path) -> None:
    schema = pa.schema([("b", pa.int64()), ("a", pa.int64())])
    write(FileSink.json_lines(tmp_path, schema=schema), [{"a": 1, "b": 2}, {"a": 3}])
    assert content(tmp_path) == '{"b":2,"a":1}\n{"b":null,"a":3}\n'


def test_a_record_that_json_cannot_hold_is_shown(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"(?s)cannot be written as JSON.*'odd': <object"):
        write(FileSink.json_lines(tmp_path), [{"a": 1}, {"odd": object()}])
    assert visible(tmp_path) == []


def test_csv_has_a_header_in_each_file(tmp_path: Path) -> None:
    sink = FileSink.csv(tmp_path, roll_size=1)
    write(sink, [{"a": 1, "b": "x,y"}], [{"b": None, "a": True}])
    texts = [(tmp_path / name).read_text() for name in visible(tmp_path)]
    assert texts == ['a,b\n1,"x,y"\n', "a,b\ntrue,\n"]


def test_csv_values_have_plain_forms(tmp_path: Path) -> None:
    record = {"at": datetime(2024, 1, 2, 3, tzinfo=UTC), "l": [1], "d": Decimal("1.50")}
    write(FileSink.csv(tmp_path), [record])
    assert content(tmp_path) == "at,l,d\n2024-01-02T03:00:00+00:00,[1],1.50\n"


@pytest.mark.parametrize("make", [FileSink.csv, FileSink.parquet])
@pytest.mark.parametrize("record", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}])
def test_a_record_with_other_fields_is_refused_and_shown(
    tmp_path: Path, make: Make, record: dict[str, int]
) -> None:
    with pytest.raises(RecordError, match=r"does not fit the columns"):
        write(make(tmp_path), [{"a": 1, "b": 2}], [record])


@pytest.mark.parametrize("make", [FileSink.csv, FileSink.parquet])
def test_with_a_schema_missing_fields_are_empty_and_unknown_ones_refused(
    tmp_path: Path, make: Make
) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    write(make(tmp_path / "good", schema=schema), [{"b": 2}])
    assert len(visible(tmp_path / "good")) == 1
    with pytest.raises(RecordError, match=r"has \['c'\]"):
        write(make(tmp_path / "bad", schema=schema), [{"c": 2}])


ROWS = [{"n": i, "t": f"é\n{i}", "x": i / 2} for i in range(10)]


@pytest.mark.parametrize("kind", ["json_lines", "csv", "parquet"])
def test_what_the_sink_writes_the_source_reads(tmp_path: Path, kind: str) -> None:
    write(getattr(FileSink, kind)(tmp_path), ROWS[:4], ROWS[4:])
    schema = pa.schema([("n", pa.int64()), ("t", pa.string()), ("x", pa.float64())])
    assert read_all(getattr(FileSource, kind)(tmp_path, schema=schema)) == ROWS


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tuples_become_columns_by_position(tmp_path: Path, kind: str) -> None:
    write(getattr(FileSink, kind)(tmp_path), [("a", 1), ("b", 2)])
    rows = read_all(getattr(FileSource, kind)(tmp_path))
    assert [(row["c0"], int(row["c1"])) for row in rows] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_single_values_become_one_column(tmp_path: Path, kind: str) -> None:
    write(getattr(FileSink, kind)(tmp_path), ["a", "b"])
    assert read_all(getattr(FileSource, kind)(tmp_path)) == [{"value": "a"}, {"value": "b"}]


def test_parquet_types_come_from_the_first_batch(tmp_path: Path) -> None:
    write(FileSink.parquet(tmp_path), [{"a": 1}, {"a": None}], [{"a": 3}])
    (name,) = visible(tmp_path)
    table = pq.read_table(tmp_path / name, partitioning=None)
    assert table.schema == pa.schema([("a", pa.int64())])
    assert table.column("a").to_pylist() == [1, None, 3]


@pytest.mark.parametrize("value", ["text", 1.5, 2**63])
def test_a_value_that_does_not_fit_its_parquet_column_is_refused(
    tmp_path: Path, value: object
) -> None:
    with pytest.raises(RecordError, match="column 'a' does not fit int64"):
        write(FileSink.parquet(tmp_path), [{"a": 1}], [{"a": value}])


def test_mixed_types_in_the_first_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="column 'a'"):
        write(FileSink.parquet(tmp_path), [{"a": 1}, {"a": "x"}])


def test_parquet_rolls_by_size(tmp_path: Path) -> None:
    write(FileSink.parquet(tmp_path, roll_size=100), *[[{"a": "x" * 100}]] * 3)
    assert len(visible(tmp_path)) == 3


def test_partitions_are_directories_named_like_hives(tmp_path: Path) -> None:
    records = [{"c": "de", "n": 1}, {"c": None, "n": 2}, {"c": "a/../b", "n": 3}]
    write(FileSink.json_lines(tmp_path, partition_by="c"), records)
    assert visible(tmp_path) == [
        "c=__HIVE_DEFAULT_PARTITION__/part-r1-0-1-2.jsonl",
        "c=a%2F..%2Fb/part-r1-0-1-3.jsonl",
        "c=de/part-r1-0-1-1.jsonl",
    ]


def test_partitions_may_nest(tmp_path: Path) -> None:
    write(FileSink.json_lines(tmp_path, partition_by=["a", "b"]), [{"a": 1, "b": 2}])
    assert visible(tmp_path) == ["a=1/b=2/part-r1-0-1-1.jsonl"]


def test_equal_values_of_different_types_are_different_partitions(tmp_path: Path) -> None:
    write(FileSink.json_lines(tmp_path, partition_by=0), [(1,), (True,), (1.0,)])
    assert {name.split("/")[0] for name in visible(tmp_path)} == {"c0=1", "c0=1.0", "c0=True"}


@pytest.mark.parametrize("value", [[1], "x" * 300])
def test_a_value_that_names_no_directory_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(RecordError, match="partition_by"):
        write(FileSink.json_lines(tmp_path, partition_by="a"), [{"a": value}])


@pytest.mark.parametrize("make", [FileSink.json_lines, FileSink.csv, FileSink.parquet])
def test_what_is_no_schema_is_refused_at_once(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ConfigError, match="schema must be a pyarrow schema"):
        make(tmp_path, schema={"price": "int"})


def test_field_that_the_schema_does_not_have_is_named(tmp_path: Path) -> None:
    sink = FileSink.csv(tmp_path, schema=pa.schema([("a", pa.int64())]))
    with pytest.raises(RecordError, match=r"file: it has \['b'\] besides\n"):
        write(sink, [{"a": 1, "b": 2}])


@pytest.mark.parametrize("selector", [[], "", 1.5])
def test_what_is_no_selector_is_refused_at_once(tmp_path: Path, selector: Any) -> None:
    with pytest.raises((ConfigError, GraphError)):
        FileSink.json_lines(tmp_path, partition_by=selector)
