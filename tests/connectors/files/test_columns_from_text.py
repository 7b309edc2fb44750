"""Text read as columns at once gives the records, errors and places that rows give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamlet import OutputTag
from streamlet.columns import records_of
from streamlet.connectors.files import FileSource
from streamlet.connectors.files.csv_columns import CsvColumns
from streamlet.connectors.files.csv_lines import QuotedLines
from streamlet.connectors.files.csv_start import CsvStart
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.formats import CsvFormat, JsonColumnsFormat, LineFormat, Opening
from streamlet.connectors.files.json_columns import JsonColumns
from streamlet.connectors.files.line_reader import FileReader, LineReader, json_decode
from streamlet.connectors.files.lines import Block, LineCursor, Lines
from streamlet.connectors.files.splits import FileSplit
from streamlet.connectors.files.text_columns import InDoubt
from streamlet.errors import FatalError
from tests.connectors.files.reading import block_of, records_polled

TAG: OutputTag[dict[str, Any]] = OutputTag("malformed")

SCHEMA = pa.schema(
    [
        pa.field("n", pa.int32()),
        pa.field("m", pa.uint64()),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float32()),
        pa.field("s", pa.string()),
        pa.field("b", pa.bool_()),
        pa.field("at", pa.timestamp("ns", "UTC")),
        pa.field("on", pa.date32()),
        pa.field("d", pa.decimal128(6, 2)),
    ]
)

NUMBERS: Final = [
    *("0", "1", "-1", "-0", "-0.0", "1.0", "1.5", "1e2", "1E400", "-1e-400", "01", "+1", ".5"),
    *("2147483648", "9007199254740993", "18446744073709551615", "18446744073709551616"),
    *(
        "16777217",
        "0.1",
        "1e39",
        "NaN",
        "-Infinity",
        "Inf",
        "9" * 400,
        "9" * 5000,
        "1" * 400 + ".0",
    ),
]
TEXTS: Final = [
    *('""', '"a"', '"1"', '"true"', '"NaN, "', '"}{"', '"\\u0041"', '"\\ud83d\\ude00"', '"é"'),
    *('"\\ud800"', '"\\x"', '"\t"', '"\\u0000"', '"a', '"2024-01-02"', '"2024-01-02T03:04:05Z"'),
    *('"2024-01-02 03:04:05.123456789"', '"0000-01-01"', '"9999-12-31"', '"1.50"', '"1.555"'),
    *('"0001-01-01T00:00:00Z"', '" 1"', '"1 "', '"2024-01-02T00:00:00.1+05:00"'),
]
OTHERS: Final = ["null", "true", "false", "[1]", "{}", '{"n":1}', "[null]", '[{"n":[1]}]', ""]
NAMES: Final = [*SCHEMA.names, "other", "", "\\u006e", "n", "é"]

values = st.one_of(
    st.sampled_from([*NUMBERS, *TEXTS, *OTHERS]),
    st.floats(allow_nan=False).map(json.dumps),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=5).map(json.dumps),
)
FITTING: Final = {
    "n": ["1", "-7", "null"],
    "m": ["1", "0"],
    "x": ["0.5", "1", "-2.25"],
    "y": ["0.1", "3"],
    "s": ['"a"', '"é\\n"', "null"],
    "b": ["true", "false"],
    "at": ['"2024-01-02T03:04:05.123456789Z"', "null"],
    "on": ['"2024-01-02"'],
    "d": ['"1.50"', '"2"'],
    "other": ["1", "[1,{}]", '"x"', "null", "-1.5e3"],
}
hostile = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=3).map(
    lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
)
fitting = st.lists(st.sampled_from(sorted(FITTING)), unique=True, max_size=10).flatmap(
    lambda names: st.tuples(*(st.sampled_from(FITTING[name]) for name in names)).map(
        lambda found: "{" + ",".join(f'"{n}":{v}' for n, v in zip(names, found, strict=True)) + "}"
    )
)
odd = st.one_of(
    st.sampled_from(
        [
            *("", "\r", " ", "null", "1", "[]", '"a"', "{", "}", '{"n":1}null', '{"n":1} {"n":2}'),
            *('{"n":1}{"other":', '{"n":2}}', '{"n":', "1}", '{"n":1},', '{"n" : 1 }', '{"n":1}\r'),
            *("[" * 1100 + "]" * 1100, '{"other":' + "[" * 1100 + "]" * 1100 + "}", '\t{"n":1}'),
            *('{"other":{"a":1}} ', '{"n":1}//', '{"n":/**/1}', '{"n":1}\0', '{"s":"a\rb"}'),
        ]
    ),
    hostile.map(lambda line: line + " "),
    hostile.map(lambda line: line[:-1]),
)
raw = st.sampled_from([b'{"s":"\xff"}', b'{"other":"\xff"}', b'{"\xff":1}', b"\xef\xbb\xbf{}"])
lines = st.lists(
    st.one_of(fitting, fitting, hostile, odd).map(str.encode) | raw, min_size=1, max_size=6
)


def all_of(reader: FileReader, batch: int) -> tuple[list[str], list[Any], int]:
    """Records as they print, which tells types and zeros apart; dead letters; the position."""
    records: list[Any] = []
    letters: list[Any] = []
    try:
        while (polled := reader.poll(batch)) is not None:
            records += map(repr, records_polled(polled))
            letters += reader.dead_letters()
        return records, letters, reader.position()
    finally:
        reader.close()


def one_way(source: FileSource[Any], path: Path, batch: int) -> tuple[list[str], list[Any], int]:
    """What a source makes of the file."""
    reader = source.open_split(str(path), None)
    assert isinstance(reader, FileReader)
    return all_of(reader, batch)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "f"
    path.touch()
    return path


@pytest.mark.slow
@given(lines=lines, ends=st.booleans(), batch=st.sampled_from([1, 2, 100]))
@example(lines=[b'{"n":1}{"other":', b'{"n":2}}'], ends=True, batch=9)
@example(lines=[b'{"n":1}', b"null"], ends=False, batch=9)
@example(lines=[b'{"other":' + b"9" * 400 + b".0}"], ends=True, batch=9)
def test_json_lines_are_the_same_records_as_columns_and_as_rows(
    file: Path, lines: list[bytes], ends: bool, batch: int
) -> None:
    file.write_bytes(b"\n".join(lines) + b"\n" * ends)
    columns: FileSource[Any] = FileSource(file, JsonColumnsFormat(SCHEMA), on_error=TAG)
    rows: FileSource[Any] = FileSource(file, LineFormat.json(SCHEMA, None), on_error=TAG)
    assert one_way(columns, file, batch) == one_way(rows, file, batch)


REGULAR: Final = pa.schema(
    [
        pa.field("n", pa.int32()),
        pa.field("m", pa.uint64()),
        pa.field("x", pa.float64()),
        pa.field("s", pa.string()),
        pa.field("b", pa.bool_()),
        pa.field("at", pa.timestamp("ms")),
    ]
)
PLAIN: Final = {
    "n": ["1", "-7", "0", "2147483647", "-2147483648"],
    "m": ["18446744073709551615", "10", "1234567", "12345678", "1234567890123456789"],
    "x": ["0.5", "1", "-2.25e3", "100"],
    "s": ['"a"', '"{: é"', '""'],
    "b": ["true", "false"],
    "at": ['"2024-01-02T03:04:05"'],
    "other": ["1", "-20", "-9223372036854775808"],
    "much longer key": ['"x"', '"y, not"', '""'],
    "é}": ["5"],
}
NEARLY: Final = [
    *("-0", "00", "007", "+1", "0x1F", "1.0", "1.", ".5", "1e400", "-", "--1", "1 ", " 1", "1_0"),
    *("+", "-+1", "-01", "1e3", "2147483648", "-2147483649", "1-", "1\x00", "é", "1:", "1/"),
    *(
        "nan",
        "inf",
        "null",
        "True",
        "truefalse",
        "",
        '"',
        '""',
        '"a""',
        '"a',
        'a"',
        "a",
        '"\\u0041"',
    ),
    *('"\\u0041"', '"a","s":"b"', '1,"n":2', "1}", "9007199254740993", "-0.0", "1e5", "9" * 30),
]


@st.composite
def almost_regular(draw: st.DrawFn) -> list[str]:
    """Lines of one form, some of them with one value that is not plain."""
    names = draw(st.lists(st.sampled_from(sorted(PLAIN)), unique=True, min_size=1, max_size=6))
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", ")]))
    made: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        found = {name: draw(st.sampled_from(PLAIN[name])) for name in names}
        if made and draw(st.integers(0, 3)) == 0:
            found[draw(st.sampled_from(names))] = draw(st.sampled_from(NEARLY))
        fields = comma.join(f'"{name}"{colon}{value}' for name, value in found.items())
        made.append("{" + fields + "}" + draw(st.sampled_from([*[""] * 40, " ", "\r", "\n"])))
    return made


@pytest.mark.slow
@given(
    made=almost_regular(),
    moved=st.just((0, 0)) | st.tuples(st.integers(20, 99), st.integers(-9, 9)),
)
@example(made=['{"n":1,"s":"a"}', '{"n":1,"s":"a"}'], moved=(15, 2))
def test_lines_of_one_form_are_the_same_records_as_any_lines(
    made: list[str], moved: tuple[int, int]
) -> None:
    text = "\n".join(made)
    where, by = moved  # a newline or another character is somewhere else
    if by:
        characters = list(text)
        characters.insert((where + by) % len(text), characters.pop(where % len(text)))
        text = "".join(characters)
    lines = text.encode().split(b"\n")
    try:
        batch = JsonColumns(REGULAR, fewest_regular=1)(block_of(lines))
    except InDoubt:
        return
    by_row = json_decode(REGULAR, None)(lines)
    assert list(map(repr, records_of(batch))) == list(map(repr, by_row))


def test_plain_json_lines_are_read_at_once() -> None:
    lines = [b'{"other":[1,{"a":"{"}],"n":1,"at":"2024-01-02T03:04:05.123456789Z"}', b"", b"{}"]
    batch = JsonColumns(SCHEMA)(block_of(lines))
    assert batch.column("n").to_pylist() == [1, None]
    assert batch.schema.field("at").type == pa.timestamp("us", "UTC")
    assert str(batch.column("at")[0].as_py()) == "2024-01-02 03:04:05.123456+00:00"


class CsvAsRows(NamedTuple):
    """The CSV format, with every record read as a row."""

    csv: CsvFormat
    rows_because: str = "rows"

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        return self.csv.cut(disk, path, parts)

    def open(self, opening: Opening) -> FileReader:
        def open_lines(split: FileSplit) -> Lines:
            cursor = LineCursor(opening.disk, split, opening.position, follow=False)
            quoted = self.csv.quoted_newlines
            return QuotedLines(cursor, self.csv.delimiter) if quoted else cursor

        csv = self.csv
        start = CsvStart(open_lines, csv.delimiter, csv.has_header, csv.schema, None)
        return LineReader(open_lines(opening.split), start.decode, opening.malformed)


CSV_SCHEMA = pa.schema(
    [
        pa.field("s", pa.string()),
        pa.field("n", pa.int32()),
        pa.field("x", pa.float32()),
        pa.field("b", pa.bool_()),
        pa.field("at", pa.timestamp("ms")),
        pa.field("d", pa.decimal128(6, 2)),
    ]
)
CSV_FITTING: Final = [
    ["a", '""', '"a,b"', '"a\nb"', '"say ""hi"""', "", "é", "NaN", '"\r\n"', '"x\ny\nz"'],
    ["1", "-7", "", '""', "00123", '"5"'],
    ["0.5", "nan", "1e39", "-0", ""],
    ["true", "false", "0", "1", ""],
    ["2024-01-02", "2024-01-02T03:04:05.123", "", '"2024-01-02 03:04:05"'],
    ["1.5", "2", "", "1e2"],
]
csv_text = st.sampled_from(
    [
        *('"', '""', '"a', 'a"', 'a"b', '"a"b', '"a" ', ' "a"', "\r", "a\rb", '"a\rb"', "x\0y"),
        *(" 1", "1 ", "1.0", "0x1F", "2147483648", "TRUE", "0000-01-01", "null", "\n", ",", "\t"),
        *("'a'", "\\", 'a\\"', '"a\\"', "1_000", "1,000", '"a\n', 'b"\n', '"""', '""""', '"\n"'),
    ]
)
csv_records = st.one_of(
    st.tuples(*(st.sampled_from(choices) for choices in CSV_FITTING)).map(",".join),
    st.tuples(*(st.sampled_from(choices) for choices in CSV_FITTING)).map(",".join),
    st.lists(csv_text, max_size=7).map(",".join),
    st.lists(csv_text, max_size=3).map("".join),
    st.sampled_from(["", "\r", ",,,,,", "a", "a,1,2,true,2024-01-02,1.5\r"]),
)


@pytest.mark.slow
@given(
    records=st.lists(csv_records.map(str.encode) | st.just(b"\xff,,,,,"), max_size=6),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    ends=st.booleans(),
    form=st.tuples(st.sampled_from([CSV_SCHEMA, None]), st.booleans(), st.booleans()),
    batch=st.sampled_from([1, 2, 100]),
)
def test_csv_records_are_the_same_as_columns_and_as_rows(
    file: Path,
    records: list[bytes],
    newline: bytes,
    ends: bool,
    form: tuple[pa.Schema | None, bool, bool],
    batch: int,
) -> None:
    schema, has_header, quoted_newlines = form
    header = [b"n,s,x,b,at,d"] * has_header
    file.write_bytes(newline.join([*header, *records]) + newline * ends)
    columns = CsvFormat(schema, None, has_header, ",", quoted_newlines)
    try:
        by_row = one_way(FileSource(file, CsvAsRows(columns), on_error=TAG), file, batch)
    except FatalError:
        with pytest.raises(FatalError):
            one_way(FileSource(file, columns, on_error=TAG), file, batch)
    else:
        assert one_way(FileSource(file, columns, on_error=TAG), file, batch) == by_row


def test_plain_csv_records_are_read_at_once() -> None:
    names = ["n", "more", "s"]
    block = Block(b'1,,"a\n""b"""\r\n\r\n,x,\n', np.array([13, 15, 19]))
    batch = CsvColumns(names, ",", pa.schema([("s", pa.string()), ("n", pa.int8())]))(block)
    assert batch.to_pylist() == [{"s": 'a\n"b"', "n": 1}, {"s": "", "n": None}]
    batch = CsvColumns(names, ",", None)(block)
    assert batch.to_pylist()[1] == {"n": "", "more": "x", "s": ""}
