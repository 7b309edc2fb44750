"""Lines of one form: which are read without a parser, and that no other one is."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.columns import records_of
from streamlet.connectors.files.json_columns import JsonColumns
from streamlet.connectors.files.line_reader import json_decode
from streamlet.connectors.files.regular_lines import regular_columns
from streamlet.connectors.files.text_columns import InDoubt
from tests.connectors.files.reading import block_of

BOUNDS: Final = {
    **{
        kind: (-(2 ** (size - 1)), 2 ** (size - 1) - 1)
        for size, kind in [(8, pa.int8()), (16, pa.int16()), (32, pa.int32()), (64, pa.int64())]
    },
    **{
        kind: (0, 2**size - 1)
        for size, kind in [(8, pa.uint8()), (16, pa.uint16()), (32, pa.uint32()), (64, pa.uint64())]
    },
}
N: Final = pa.schema([("n", pa.int64())])
S: Final = pa.schema([("s", pa.string())])


def read(schema: pa.Schema, *lines: bytes) -> list[dict[str, Any]]:
    """The records of the lines, read as lines of one form; raises InDoubt."""
    block = block_of(list(lines))
    arrays = regular_columns(block.text, block.ends, schema)
    return list(pa.RecordBatch.from_arrays(arrays, schema=schema).to_pylist())


def is_in_doubt(schema: pa.Schema, *lines: bytes) -> bool:
    try:
        read(schema, *lines)
    except (InDoubt, pa.ArrowInvalid):
        return True
    return False


def assert_rows_agree_or_doubt(schema: pa.Schema, *lines: bytes) -> None:
    try:
        batch = JsonColumns(schema, fewest_regular=1)(block_of(list(lines)))
    except InDoubt:
        return
    by_row = json_decode(schema, None)(list(lines))
    assert list(map(repr, records_of(batch))) == list(map(repr, by_row))


def test_lines_of_one_form_need_no_parser() -> None:
    schema = pa.schema([("n", pa.int8()), ("s", pa.string()), ("lacks", pa.bool_())])
    records = read(
        schema,
        b'{"other": 1, "s": "a", "n": 5}',
        b'{"other": -20, "s": "\xc3\xa9}, {", "n": 0}',
    )
    assert records == [{"n": 5, "s": "a", "lacks": None}, {"n": 0, "s": "é}, {", "lacks": None}]


@pytest.mark.parametrize("kind", BOUNDS, ids=str)
def test_integers_are_read_to_the_ends_of_their_type(kind: pa.DataType) -> None:
    least, most = BOUNDS[kind]
    schema = pa.schema([("n", kind)])
    most = min(most, 10**19 - 1)
    for value in (least, most):
        for lines in ([value, 1], [1, value], [value]):
            found = read(schema, *(b'{"n":%d}' % number for number in lines))
            assert [record["n"] for record in found] == lines
    for beyond in (least - 1, BOUNDS[kind][1] + 1, 10**19, -(10**19), 10**20, 10**40):
        assert is_in_doubt(schema, b'{"n":1}', b'{"n":%d}' % beyond)
        assert is_in_doubt(schema, b'{"n":%d}' % beyond)


@pytest.mark.parametrize("length", range(1, 20))
def test_integers_of_every_length_are_read_beside_any_others(length: int) -> None:
    number = int("9081726354021364758"[:length])
    numbers = [number, 3, -number, 10 ** (length - 1), -(10 ** (length - 1)), 0]
    numbers = [one for one in numbers if abs(one) < 2**63]
    lines = [b'{"n":%d,"s":"%d"}' % (one, one) for one in numbers]
    assert [record["n"] for record in read(N, *lines)] == numbers
    assert [record["n"] for record in read(N, *lines[::-1])] == numbers[::-1]
    assert [record["s"] for record in read(S, *lines)] == list(map(str, numbers))


@pytest.mark.slow
@given(
    rows=st.lists(
        st.tuples(*[st.integers(0, 63).flatmap(lambda b: st.integers(-(2**b), 2**b - 1))] * 3),
        min_size=1,
        max_size=9,
    )
)
def test_all_integers_of_64_bits_are_read(rows: list[tuple[int, int, int]]) -> None:
    schema = pa.schema([(name, pa.int64()) for name in ("a", "longer key", "c")])
    lines = [b'{"a":%d,"longer key":%d,"other":7,"c":%d}' % row for row in rows]
    assert [tuple(record.values()) for record in read(schema, *lines)] == rows


NO_INTEGERS: Final = [
    *("", "-", "--1", "+1", "-+1", "+", "00", "01", "007", "-0", "-00", "-01", "0x1F", "0b1"),
    *("1.0", "1.", ".5", "1e3", "1E3", "1e", "1_0", " 1", "1 ", "- 1", "1-", "1+", "1 2", "1,"),
    *("1}", "}", "{}", "[1]", '"1"', "null", "true", "1\t", "1\0", "\0", "1/", "1:", "é", "1é"),
    *("00000000", "01234567", "012345678", "1234567:", "12345678901234.0", "9" * 400, "0" * 30),
]


@pytest.mark.parametrize("text", NO_INTEGERS)
@pytest.mark.parametrize("field", ["n", "other"])
def test_what_is_no_integer_is_in_doubt(text: str, field: str) -> None:
    for form in ('{"%s":%s}', '{"a":1,"%s":%s}', '{"%s":%s,"z":1}', '{"%s":%s,"s":"a"}'):
        plain = (form % (field, 5)).encode()
        odd = (form % (field, text)).encode()
        for lines in ([plain, odd], [plain, odd, plain], [odd, plain]):
            assert is_in_doubt(N, *lines), lines
        assert_rows_agree_or_doubt(N, odd)


def test_no_integer_is_in_doubt_wherever_another_byte_is_in_it() -> None:
    for length in (1, 2, 6, 7, 8, 9, 13, 14, 15, 19):
        digits = b"1234567890123456789"[:length]
        for place in range(length):
            for byte in b"/:.eE+- \t\"'},\x00\x7f\x10P":
                odd = digits[:place] + bytes([byte]) + digits[place + 1 :]
                lines = [b'{"n":%b,"m":1}' % value for value in (digits, odd)]
                if odd[:1] == b"-" and length > 1:
                    assert [record["n"] for record in read(N, *lines)] == [int(digits), int(odd)]
                else:
                    assert is_in_doubt(N, *lines), odd


@pytest.mark.parametrize("length", range(20))
@pytest.mark.parametrize("gap", [b"", b" ", b"  "])
def test_keys_of_every_length_are_told_from_others(length: int, gap: bytes) -> None:
    key = b"abcdefghijklmnopqrst"[:length]
    schema = pa.schema([(key.decode(), pa.int64())])
    first = b'{"x":1,%b"%b":%b23}' % (gap, key, gap)
    value = len(first) - 3
    assert read(schema, first, first) == [{key.decode(): 23}] * 2
    for place in range(value):
        if place != 5:  # the number that is the value of x
            other = first[:place] + b"#" + first[place + 1 :]
            assert is_in_doubt(schema, first, other), other
            assert is_in_doubt(schema, first, first, other), other
            assert is_in_doubt(schema, first, other, first), other


@pytest.mark.parametrize("length", [*range(20), 27, 28, 29, 40])
def test_texts_of_every_length_are_read_beside_any_others(length: int) -> None:
    texts = ["a" * length, "", ",}{:" * 9, "é" * length, "12" * length]
    for order in (texts, texts[::-1]):
        encoded = [text.encode() for text in order]
        lines = [b'{"s":"%b","n":1,"t":"%b"}' % (text, text) for text in encoded]
        assert [record["s"] for record in read(S, *lines)] == order
        assert [record["n"] for record in read(N, *lines)] == [1] * len(order)


@pytest.mark.parametrize("length", [*range(18), 27, 28, 29, 40])
def test_a_text_that_is_left_open_or_has_what_text_has_not_is_in_doubt(length: int) -> None:
    before = b"a" * length
    for odd in (
        b"",
        b'"',
        b'\\"',
        b"\\u0041",
        b"\t",
        b"\0",
        b"\x1f",
        b'","s":"',
        b'"}',
        b'"}\n{"s',
    ):
        plain, line = b'{"s":"%b"}' % before, b'{"s":"%b%b"}' % (before, odd)
        if not odd:
            line = line[:-2] + b"}"
        for lines in ([plain, line], [plain, line, plain], [line, plain], [line]):
            for schema in (S, N):
                assert is_in_doubt(schema, *lines), lines


@pytest.mark.parametrize(
    "text", [*NO_INTEGERS, "0.5", "-1.25e-3", "1e400", "NaN", "Infinity", "9007199254740993"]
)
@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_()], ids=str)
def test_other_values_are_what_rows_have_or_in_doubt(text: str, kind: pa.DataType) -> None:
    schema = pa.schema([("v", kind)])
    plain = "1.5" if kind == pa.float64() else "true"
    for form in ('{"v":%s}', '{"v":%s,"z":1}', '{"s":"a","v":%s,"t":"b"}'):
        lines = [(form % value).encode() for value in (plain, text, plain)]
        assert_rows_agree_or_doubt(schema, *lines)


@pytest.mark.parametrize(
    "second",
    [
        *(b"", b"{}", b"{", b"}", b"1}", b'{"n":2}}', b'{"n":2} ', b' {"n":2}', b'{"n":2}\r'),
        *(b'{"n":2,"m":3}', b'{"m":2}', b'{"n":2', b'"n":2}', b'{"n":2}{"n":3}', b'{"N":2}'),
        *(b'{"n" :2}', b'{"n":2,}', b'{,"n":2}', b'{"n":2]', b'["n":2}', b"\0" * 9),
    ],
)
def test_a_line_of_another_form_is_in_doubt(second: bytes) -> None:
    first = b'{"n":1}'
    for lines in ([first, second], [first, second, first], [first, first, second]):
        assert is_in_doubt(N, *lines)


def test_a_key_twice_is_in_doubt() -> None:
    assert is_in_doubt(N, b'{"n":1,"n":2}')
    assert is_in_doubt(N, b'{"x":1,"x":2}')


def test_text_for_what_is_no_text_and_the_reverse_are_in_doubt() -> None:
    for value in (b"true", b"5", b"0.5"):
        assert is_in_doubt(S, b'{"s":%b}' % value)
        for kind in (pa.int64(), pa.float64(), pa.bool_()):
            assert is_in_doubt(pa.schema([("v", kind)]), b'{"v":"%b"}' % value)


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"s":"%b"a"}', b'{"s":%b"}'],
        [b'{"s":"%b}', b'{"s":"%b"","t":"}'],
        [b'{"s":"%b","t":"a"b"}', b'{"s":"%b","t":a"}'],
        [b'{"s":"%b","t":"a}', b'{"s":"%b"a","t":"a"}'],
        [b'{"s":"%b"}"}', b'{"s":"%b}'],
    ],
)
def test_a_quote_more_in_one_line_and_less_in_another_is_in_doubt(lines: list[bytes]) -> None:
    made = [line % (b"a" * 40) for line in lines]
    plain = (
        b'{"s":"%b"}' % (b"b" * 40) if b"t" not in lines[0] else b'{"s":"%b","t":"b"}' % (b"b" * 40)
    )
    for order in (made, made[::-1]):
        assert is_in_doubt(S, plain, *order)
        assert is_in_doubt(S, plain, *order, plain)
        assert is_in_doubt(S, *order)
