"""FileSource: malformed records, and files that change or vanish."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet import OutputTag
from streamlet.connectors.files import FileSource
from streamlet.connectors.files.line_reader import FileReader
from streamlet.errors import ConfigError, FatalError, RecordError
from tests.connectors.files.reading import (
    assert_every_position_restores,
    read_all,
    read_from,
    read_split,
    write_as,
)

GOOD_BAD_GOOD = b'{"a":1}\n{"a":\n{"a":3}\n'
TAG: OutputTag[dict[str, Any]] = OutputTag("malformed")


def open_reader(source: FileSource[Any], split: str, position: Any = None) -> FileReader:
    reader = source.open_split(split, position)
    assert isinstance(reader, FileReader)
    return reader


def test_a_malformed_record_stops_the_job_and_names_its_line_and_text(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f.jsonl", GOOD_BAD_GOOD)
    with pytest.raises(RecordError) as caught:
        read_all(FileSource.json_lines(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ")
    assert 'text: {"a":' in message
    assert 'on_error="skip"' in message


def test_text_of_a_malformed_record_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f.jsonl", b"\x1b[2J\r\x0b\x85" + "é".encode())
    with pytest.raises(RecordError) as caught:
        read_all(FileSource.json_lines(path, on_error="fail"))
    assert r"text: \x1b[2J\r\x0b" in str(caught.value)
    assert "é" in str(caught.value)


def test_json_that_is_nested_too_deeply_is_a_malformed_record(tmp_path: Path) -> None:
    deep = b"[" * 50_000 + b"]" * 50_000
    path = write_as(tmp_path / "f.jsonl", b"1\n" + deep + b"\n3\n")
    assert read_all(FileSource.json_lines(path, on_error="skip")) == [1, 3]


def test_line_numbers_stay_right_after_a_restore(tmp_path: Path) -> None:
    for name in ("f", "f.gz", "f.zst"):
        path = write_as(tmp_path / name, b"1\n\n2\n3\nbad\n")
        reader = open_reader(FileSource.json_lines(path), str(path))
        reader.poll(3)
        reader.close()
        with pytest.raises(RecordError, match="line 5"):
            read_from(FileSource.json_lines(path), str(path), reader.position())


def test_in_a_range_the_byte_offset_is_named(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"1\n22\n333\nbad\n5\n")
    with pytest.raises(RecordError, match="byte 9"):
        read_split(FileSource.json_lines(path), f"{path}#bytes=3-15")


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_skipped_records_are_counted(tmp_path: Path, batch: int) -> None:
    path = write_as(tmp_path / "f", b"bad\n" * 5 + GOOD_BAD_GOOD)
    reader = open_reader(FileSource.json_lines(path, on_error="skip"), str(path))
    records: list[Any] = []
    while (polled := reader.poll(batch)) is not None:
        assert isinstance(polled, list)
        records += polled
    reader.close()
    assert records == [{"a": 1}, {"a": 3}]
    assert reader.skipped == 6


def test_dead_letters_tell_file_line_text_and_error(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", GOOD_BAD_GOOD)
    source = FileSource.json_lines(path, on_error=TAG)
    assert source.dead_letter_tag == TAG
    reader = open_reader(source, str(path))
    assert reader.poll(10) == [{"a": 1}, {"a": 3}]
    (letter,) = reader.dead_letters()
    assert {key: letter[key] for key in ("file", "line", "text")} == {
        "file": str(path),
        "line": 2,
        "text": '{"a":',
    }
    assert letter["error"]
    assert reader.dead_letters() == []
    reader.close()


def test_dead_letters_alone_end_a_poll(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"bad\nworse\n1\n")
    reader = open_reader(FileSource.json_lines(path, on_error=TAG), str(path))
    assert reader.poll(1) == []
    assert len(reader.dead_letters()) == 1
    reader.close()


def test_positions_restore_where_records_are_skipped(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"1\nbad\nbad\n2\nbad\n3\n")
    assert_every_position_restores(FileSource.json_lines(path, on_error="skip"), str(path))


def test_text_that_is_not_utf8_is_malformed(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"ok\ncaf\xe9\nfine\n")
    with pytest.raises(RecordError, match=r"line 2.*\n.*caf\\xe9"):
        read_all(FileSource.text(path))
    assert read_all(FileSource.text(path, on_error="skip")) == ["ok", "fine"]


CSV_CASES = {
    "too few fields": (b"a,b\n1,2\n3\n4,5\n", 3),
    "too many fields": (b"a,b\n1,2\n3,3,3\n4,5\n", 3),
    "text after a quote": (b'a,b\n1,2\n"3"x,3\n4,5\n', 3),
    "not utf-8": (b"a,b\n1,2\n\xff,3\n4,5\n", 3),
    "after a quoted newline": (b'a,b\n"1\n",2\n3\n4,5\n', 4),
    "a quote never closed": (b'a,b\n1,2\n"3,3\n4,5\n', 3),
}


@pytest.mark.parametrize(("content", "line"), CSV_CASES.values(), ids=CSV_CASES.keys())
def test_malformed_csv_costs_its_own_line_only(tmp_path: Path, content: bytes, line: int) -> None:
    path = write_as(tmp_path / "f", content)
    with pytest.raises(RecordError, match=f"line {line}:"):
        read_all(FileSource.csv(path))
    for batch in (1, 50):
        rest = read_all(FileSource.csv(path, on_error="skip"), batch=batch)
        assert [row["a"].strip() for row in rest] == ["1", "4"]


def test_csv_lines_without_quoted_newlines_are_each_a_record(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b'a\n1\n"2\n"\n3\n')
    source = FileSource.csv(path, quoted_newlines=False, on_error="skip")
    for batch in (1, 50):
        assert read_all(source, batch=batch) == [{"a": "1"}, {"a": "3"}]


@pytest.mark.parametrize("value", ['"x"', "1.5", "[1]", "9223372036854775808"])
def test_a_value_that_does_not_fit_the_schema_is_malformed_alone(
    tmp_path: Path, value: str
) -> None:
    path = write_as(tmp_path / "f", f'{{"n":1}}\n{{"n":{value}}}\n{{"n":3}}\n'.encode())
    schema = pa.schema([("n", pa.int64())])
    with pytest.raises(RecordError, match=r"line 2: .*'n'"):
        read_all(FileSource.json_lines(path, schema=schema))
    source = FileSource.json_lines(path, schema=schema, on_error="skip")
    assert read_all(source) == [{"n": 1}, {"n": 3}]


def test_a_missing_value_that_the_schema_needs_is_malformed(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b'{"n":1}\n{}\n')
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    with pytest.raises(RecordError, match="line 2"):
        read_all(FileSource.json_lines(path, schema=schema))


def test_a_parquet_row_that_is_no_record_names_its_number(tmp_path: Path) -> None:
    from dataclasses import make_dataclass

    kind = make_dataclass("Row", [("n", int)])
    pq.write_table(pa.table({"n": [1, 2, None, 4]}), tmp_path / "f", row_group_size=2)
    with pytest.raises(RecordError, match="row 3"):
        read_all(FileSource.parquet(tmp_path / "f", record_type=kind))
    source = FileSource.parquet(tmp_path / "f", record_type=kind, on_error="skip")
    assert read_all(source) == [kind(1), kind(2), kind(4)]


def test_a_position_beyond_the_end_is_refused(tmp_path: Path) -> None:
    for name in ("f", "f.gz", "f.zst"):
        path = write_as(tmp_path / name, b"1\n2\n")
        with pytest.raises(FatalError, match=r"truncated or replaced"):
            FileSource.json_lines(path).open_split(str(path), 10)


def test_a_file_rewritten_since_the_checkpoint_is_noticed(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"one\ntwo\n")
    reader = open_reader(FileSource.text(path), str(path))
    reader.poll(1)
    reader.close()
    path.write_bytes(b"another\nstory\n")
    with pytest.raises(FatalError, match="no line begins at byte 4"):
        FileSource.text(path).open_split(str(path), reader.position())


def test_a_vanished_file_is_named(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"1\n")
    source = FileSource.text(path)
    path.unlink()
    with pytest.raises(FatalError, match="has vanished"):
        source.open_split(str(path), None)


def test_a_file_cut_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"x" * 100 + b"\n")
    source = FileSource.text(path)
    reader = source.open_split(str(path), None)
    os.truncate(path, 10)
    with pytest.raises(FatalError, match="cut to 10 bytes"):
        reader.poll(10)
    reader.close()


def test_an_unknown_way_to_treat_errors_is_refused(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"")
    with pytest.raises(ConfigError, match="on_error"):
        FileSource.text(path, on_error="ignore")  # type: ignore[arg-type]
