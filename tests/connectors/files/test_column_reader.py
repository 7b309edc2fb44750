"""Files read as columns: positions, odd records among plain ones, and who gives columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.connectors.files import FileSource
from streamlet.connectors.files.column_reader import ColumnReader
from streamlet.errors import RecordError
from tests.connectors.files.reading import (
    assert_every_position_restores,
    read_all,
    read_from,
    write_as,
)

SCHEMA = pa.schema([("n", pa.int64()), ("s", pa.string())])


class Row(NamedTuple):
    n: int


class Doubled(Row):
    def __new__(cls, n: int) -> Doubled:
        return super().__new__(cls, 2 * n)


@dataclass(frozen=True)
class Numbered:
    n: int


def columns_of(source: FileSource[Any], path: Path, batch: int) -> list[pa.RecordBatch]:
    reader = source.open_split(str(path), None)
    batches = []
    while (polled := reader.poll(batch)) is not None:
        assert isinstance(polled, pa.RecordBatch)
        batches.append(polled)
    reader.close()
    return batches


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_every_position_of_odd_and_plain_records_restores(tmp_path: Path, suffix: str) -> None:
    lines = b'{"n":1}\n\n{"n":2.0}\n{"n":"3"}\n \n{"n":4}{}\n{"n":5,"s":"\\u00e9"}\r\n{"n":6}'
    json_lines = FileSource.json_lines(
        write_as(tmp_path / f"j{suffix}", lines), schema=SCHEMA, on_error="skip"
    )
    assert [row["n"] for row in read_all(json_lines)] == [1, 2, 3, 5, 6]
    assert_every_position_restores(json_lines, str(tmp_path / f"j{suffix}"))
    rows = b'n,s\n1,"a\nb"\n\n2,"c"d\n3\n 4,\n5,"""\n"""\n6,e'
    csv = FileSource.csv(write_as(tmp_path / f"c{suffix}", rows), schema=SCHEMA, on_error="skip")
    assert [row["n"] for row in read_all(csv)] == [1, 5, 6]
    assert_every_position_restores(csv, str(tmp_path / f"c{suffix}"))


def test_one_odd_line_leaves_the_others_columns(tmp_path: Path) -> None:
    lines = [f'{{"n":{n},"s":"x"}}' for n in range(20_000)]
    lines[7_000] = '{"n":7000.0}'
    path = write_as(tmp_path / "f", "\n".join(lines).encode())
    batches = columns_of(FileSource.json_lines(path, schema=SCHEMA), path, 65_536)
    assert [n for batch in batches for n in batch["n"].to_pylist()] == list(range(20_000))
    assert all(batch.schema == SCHEMA for batch in batches)
    assert len(batches) < 10


def test_the_line_of_a_malformed_record_is_right_after_blocks(tmp_path: Path) -> None:
    lines = ['{"n":1}'] * 5_000
    lines[3_333] = '{"n":}'
    path = write_as(tmp_path / "f", "\n".join(lines).encode())
    with pytest.raises(RecordError, match="line 3,334"):
        read_all(FileSource.json_lines(path, schema=SCHEMA), batch=100_000)
    rows = ['1,"x\ny"'] * 5_000
    rows[3_333] = "1"
    path = write_as(tmp_path / "c", ("n,s\n" + "\n".join(rows)).encode())
    with pytest.raises(RecordError, match="line 6,668"):
        read_all(FileSource.csv(path, schema=SCHEMA), batch=100_000)


def test_every_reader_of_columns_gives_record_batches(tmp_path: Path) -> None:
    write_as(tmp_path / "j", b'{"n":1,"s":"x","more":[]}\n')
    write_as(tmp_path / "c", b"n,s\n1,x\n")
    pq.write_table(pa.table({"n": [1], "s": ["x"]}), tmp_path / "p")
    for name, source in {
        "j": FileSource.json_lines(tmp_path / "j", schema=SCHEMA),
        "c": FileSource.csv(tmp_path / "c", schema=SCHEMA, quoted_newlines=False),
        "p": FileSource.parquet(tmp_path / "p"),
    }.items():
        assert source.rows_because is None
        (batch,) = columns_of(source, tmp_path / name, 10)
        assert batch.to_pylist() == [{"n": 1, "s": "x"}]
    untyped = columns_of(FileSource.csv(tmp_path / "c"), tmp_path / "c", 10)
    assert untyped[0].to_pylist() == [{"n": "1", "s": "x"}]


def test_a_source_says_why_it_gives_rows(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"")
    nested = pa.schema([("l", pa.list_(pa.int64()))])
    assert FileSource.text(path).rows_because == "text lines"
    assert FileSource.json_lines(path).rows_because == "JSON lines without a schema"
    assert FileSource.parquet(path, record_type=Row).rows_because is None
    assert FileSource.parquet(path, record_type=Numbered).rows_because == "record_type=Numbered"
    of_type = FileSource.json_lines(path, record_type=Row, schema=SCHEMA)
    assert of_type.rows_because == "record_type=Row"
    reason = FileSource.json_lines(path, schema=nested).rows_because
    assert str(reason).startswith("schema field l: list")
    twice = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    assert FileSource.csv(path, schema=twice).rows_because == "no schema of distinct fields"


def test_parquet_goes_on_within_a_row_group_of_many_batches(tmp_path: Path) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"n": range(200_000)}), path, row_group_size=150_000)
    source = FileSource.parquet(path)
    assert [batch.num_rows for batch in columns_of(source, path, 1 << 20)] == [
        *(65_536, 65_536, 18_928),
        50_000,
    ]
    rest = read_from(source, str(path), (0, 140_000), 1 << 20)
    assert [row["n"] for row in rest] == list(range(140_000, 200_000))


def test_a_type_derived_from_a_named_tuple_is_made_by_its_own_constructor(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "f")
    source = FileSource.parquet(tmp_path / "f", record_type=Doubled)
    assert source.rows_because == "record_type=Doubled"
    assert read_all(source) == [Doubled(1), Doubled(2)] == [(2,), (4,)]


def test_columns_follow_a_file_that_grows(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b'{"n":1}\n{"n"')
    reader = FileSource.json_lines(path, follow=True, schema=SCHEMA).open_split(str(path), None)
    assert isinstance(reader, ColumnReader)
    first = reader.poll(9)
    assert isinstance(first, pa.RecordBatch)
    assert reader.poll(9) == []
    with path.open("ab") as file:
        file.write(b":2}\n")
    second = reader.poll(9)
    assert isinstance(second, pa.RecordBatch)
    assert [*first["n"].to_pylist(), *second["n"].to_pylist()] == [1, 2]
    reader.close()
