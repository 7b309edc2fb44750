"""FileSource: every format, plain and compressed, reads and restores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.connectors.files import FileSource
from streamlet.errors import ConfigError, FatalError
from tests.connectors.files.reading import assert_every_position_restores, read_all, write_as

ROWS = [{"user": f"ü{i}", "n": str(i)} for i in range(20)]
JSON = "".join(f'{{"user":"{r["user"]}","n":"{r["n"]}"}}\n' for r in ROWS)
CSV = "user,n\n" + "".join(f"{r['user']},{r['n']}\n" for r in ROWS)
QUOTED = 'user,n\n"a\nb","say ""hi"""\nplain,1\n"x,y","\n\n"\n\n"q"\r\n'.replace(
    '"q"\r\n', '"q",2\r\n'
)

FORMATS: dict[str, tuple[Callable[..., FileSource[Any]], str, list[Any]]] = {
    "json": (FileSource.json_lines, JSON, ROWS),
    "csv": (FileSource.csv, CSV, ROWS),
    "text": (FileSource.text, "é\n\nb\r\nlast", ["é", "", "b", "last"]),
    "quoted csv": (
        FileSource.csv,
        QUOTED,
        [
            {"user": "a\nb", "n": 'say "hi"'},
            {"user": "plain", "n": "1"},
            {"user": "x,y", "n": "\n\n"},
            {"user": "q", "n": "2"},
        ],
    ),
}


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_content_is_read_through_its_compression(tmp_path: Path, kind: str, suffix: str) -> None:
    make, content, expected = FORMATS[kind]
    path = write_as(tmp_path / f"f{suffix}", content.encode())
    for batch in (1, 3, 100):
        assert read_all(make(path), batch=batch) == expected


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_every_position_restores_to_exactly_the_rest(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    make, content, _ = FORMATS[kind]
    path = write_as(tmp_path / f"f{suffix}", content.encode())
    assert_every_position_restores(make(path), str(path))


def test_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path, kind: str) -> None:
    make, content, expected = FORMATS[kind]
    path = write_as(tmp_path / "f", b"\xef\xbb\xbf" + content.encode())
    assert read_all(make(path)) == expected


def test_an_empty_file_has_no_records(tmp_path: Path, kind: str) -> None:
    make = FORMATS[kind][0]
    path = write_as(tmp_path / "f", b"")
    assert read_all(make(path)) == []


def test_blank_lines_between_json_records_are_left_out(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"\n\n1\n\r\n" + b"\n" * 50 + b"2\n\n")
    assert read_all(FileSource.json_lines(path), batch=2) == [1, 2]


def test_compressed_files_may_have_several_members(tmp_path: Path) -> None:
    for suffix in (".gz", ".zst"):
        path = write_as(tmp_path / f"f{suffix}", b"1\n2\n")
        path.write_bytes(path.read_bytes() * 2)
        assert read_all(FileSource.json_lines(path)) == [1, 2, 1, 2]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write_as(tmp_path / f"f{suffix}", b"some content\n" * 10)
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(FatalError, match="damaged, cut off"):
        read_all(FileSource.text(path))


def test_csv_without_header_names_columns_by_position(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"a;1\nb;2\n")
    source = FileSource.csv(path, header=False, delimiter=";")
    assert read_all(source) == [{"c0": "a", "c1": "1"}, {"c0": "b", "c1": "2"}]
    assert_every_position_restores(source, str(path))


def test_csv_header_that_repeats_a_name_is_refused(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"a,a\n1,2\n")
    with pytest.raises(FatalError, match="twice"):
        read_all(FileSource.csv(path))


def test_csv_header_that_lacks_a_schema_column_is_refused(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"a\n1\n")
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    with pytest.raises(FatalError, match=r"lacks \['b'\]"):
        read_all(FileSource.csv(path, schema=schema))


SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("at", pa.timestamp("ms", "UTC")),
        ("ok", pa.bool_()),
        ("s", pa.string()),
    ]
)
TYPED = [
    {"n": 123, "x": 1.5, "at": datetime(2024, 1, 2, tzinfo=UTC), "ok": True, "s": "t"},
    {"n": None, "x": 2.0, "at": None, "ok": False, "s": ""},
]


def test_csv_with_a_schema_has_its_types(tmp_path: Path) -> None:
    path = write_as(
        tmp_path / "f", b"s,n,x,at,ok,more\nt,00123,1.5,2024-01-02T00:00:00Z,true,z\n,,2,,0,\n"
    )
    for batch in (1, 9):
        assert read_all(FileSource.csv(path, schema=SCHEMA), batch=batch) == TYPED


def test_json_with_a_schema_has_its_types_and_no_other_fields(tmp_path: Path) -> None:
    path = write_as(
        tmp_path / "f",
        b'{"n":123.0,"x":1.5,"at":"2024-01-02T00:00:00Z","ok":true,"s":"t","more":[1]}\n'
        b'{"x":2,"ok":false,"s":""}\n',
    )
    for batch in (1, 9):
        assert read_all(FileSource.json_lines(path, schema=SCHEMA), batch=batch) == TYPED


def test_json_numbers_become_the_decimals_that_were_written(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b'{"d":0.1}\n{"d":"2.50"}\n{"d":3}\n')
    schema = pa.schema([("d", pa.decimal128(10, 2))])
    for batch in (1, 9):
        rows = read_all(FileSource.json_lines(path, schema=schema), batch=batch)
        assert rows == [{"d": Decimal("0.10")}, {"d": Decimal("2.50")}, {"d": Decimal(3)}]


@dataclass
class BidClass:
    price: int
    bidder: str | None = None


class BidTuple(NamedTuple):
    price: int
    bidder: str | None = None


class BidStruct(msgspec.Struct):
    price: int
    bidder: str | None = None


@pytest.mark.parametrize("kind", [BidClass, BidTuple, BidStruct])
def test_records_may_be_typed_objects(tmp_path: Path, kind: Any) -> None:
    bids = [kind(5, "b"), kind(6, None)]
    lines = write_as(tmp_path / "json", b'{"price":5,"bidder":"b"}\n{"price":6}\n')
    assert read_all(FileSource.json_lines(lines, record_type=kind)) == bids
    table = write_as(tmp_path / "csv", b"price,bidder\n5,b\n")
    assert read_all(FileSource.csv(table, record_type=kind)) == bids[:1]
    pq.write_table(pa.table({"price": [5, 6], "bidder": ["b", None]}), tmp_path / "parquet")
    assert read_all(FileSource.parquet(tmp_path / "parquet", record_type=kind)) == bids


class Price(NamedTuple):
    price: int


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_rows_beside_one_that_does_not_fit_are_tuples_all_the_same(
    tmp_path: Path, batch: int
) -> None:
    pq.write_table(pa.table({"price": [1, 2, 3, None, 5]}), tmp_path / "f")
    source = FileSource.parquet(tmp_path / "f", record_type=Price, on_error="skip")
    records = read_all(source, batch=batch)
    assert records == [Price(1), Price(2), Price(3), Price(5)]
    assert {type(record) for record in records} == {Price}


def test_a_record_type_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"")

    class NoFields:
        pass

    with pytest.raises(ConfigError, match="record_type"):
        FileSource.json_lines(path, record_type=NoFields)


@pytest.mark.parametrize("make", [FileSource.json_lines, FileSource.csv, FileSource.parquet])
def test_what_is_no_schema_is_refused_at_once(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ConfigError, match="schema must be a pyarrow schema"):
        make(write_as(tmp_path / "f", b""), schema={"price": "int"})


def write_parquet(path: Path, rows: int = 23, group: int = 5) -> list[dict[str, Any]]:
    table = pa.table({"i": list(range(rows)), "t": [f"t{i}" for i in range(rows)]})
    pq.write_table(table, path, row_group_size=group)
    return [{"i": i, "t": f"t{i}"} for i in range(rows)]


def test_parquet_rows_are_dicts_and_every_position_restores(tmp_path: Path) -> None:
    rows = write_parquet(tmp_path / "f.parquet")
    source = FileSource.parquet(tmp_path / "f.parquet")
    assert read_all(source, batch=4) == rows
    assert_every_position_restores(source, str(tmp_path / "f.parquet"))
    assert_every_position_restores(source, f"{tmp_path / 'f.parquet'}#row-groups=1-3")


@pytest.mark.parametrize("parallelism", [1, 2, 3, 4, 8])
def test_parquet_is_cut_by_row_groups(tmp_path: Path, parallelism: int) -> None:
    rows = write_parquet(tmp_path / "f.parquet")
    source = FileSource.parquet(tmp_path / "f.parquet")
    assert len(source.create_enumerator(parallelism).discover()) == min(parallelism, 5)
    assert read_all(source, parallelism) == rows


def test_parquet_with_a_schema_gives_its_columns_cast(tmp_path: Path) -> None:
    write_parquet(tmp_path / "f.parquet", rows=2)
    schema = pa.schema([("i", pa.string())])
    source = FileSource.parquet(tmp_path / "f.parquet", schema=schema)
    assert read_all(source) == [{"i": "0"}, {"i": "1"}]


def test_parquet_nanoseconds_are_cut_to_what_datetime_can_hold(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([1_500], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "f.parquet")
    expected = datetime(1970, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001 - the column has no zone
    assert read_all(FileSource.parquet(tmp_path / "f.parquet")) == [{"at": expected}]


def test_what_is_no_parquet_file_is_refused_by_name(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f.parquet", b"PAR1 not really")
    with pytest.raises(FatalError, match=r"f\.parquet: not a whole Parquet file"):
        read_all(FileSource.parquet(path))
