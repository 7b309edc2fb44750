"""Rows become records the short way or the long one, and nobody can tell which."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.connectors.files import FileSource
from streamlet.connectors.files.malformed import MalformedError
from streamlet.connectors.files.records import RecordShape
from tests.connectors.files.reading import read_all


class Reading(NamedTuple):
    place: str
    degrees: float
    times: int = 7
    is_dry: bool = True


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    place: str


class Renamed(msgspec.Struct, rename="camel"):
    some_place: str


COLUMNS = {
    "place": st.one_of(st.text(max_size=3), st.none(), st.integers(0, 3)),
    "degrees": st.one_of(st.floats(allow_nan=False, width=32), st.integers(-3, 3), st.none()),
    "times": st.one_of(st.integers(-(2**40), 2**40), st.booleans(), st.none()),
    "is_dry": st.one_of(st.booleans(), st.integers(0, 1)),
    "unknown": st.integers(0, 9),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Columns of one kind of value each, in any order, some missing."""
    rows = draw(st.integers(1, 3))
    names = draw(st.permutations(sorted(COLUMNS)).map(lambda all_names: all_names[:4]))
    columns: dict[str, list[Any]] = {}
    for name in names:
        column = draw(st.lists(COLUMNS[name], min_size=rows, max_size=rows))
        kinds = {type(value) for value in column} - {type(None)}
        columns[name] = column if len(kinds) < 2 else [column[0]] * rows
    return pa.table(columns)


def shaped(shape: RecordShape, table: pa.Table, *, at_once: bool) -> list[Any] | None:
    """The records; None for rows that are refused."""
    try:
        return shape.of_columns(table) if at_once else shape.apply(table.to_pylist())
    except (msgspec.ValidationError, MalformedError):
        return None


@given(table=tables(), kind=st.sampled_from([None, Reading]))
def test_columns_give_the_records_that_their_rows_give(table: pa.Table, kind: Any) -> None:
    shape = RecordShape(None, kind, from_text=False)
    at_once, by_row = (shaped(shape, table, at_once=way) for way in (True, False))
    assert at_once == by_row
    types = [[type(value) for value in record] for record in at_once or () if kind]
    assert types == [[type(value) for value in record] for record in by_row or () if kind]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Reading, {"place", "degrees", "times", "is_dry"}), (Renamed, {"somePlace"})],
)
def test_only_the_columns_of_the_record_type_are_needed(kind: Any, expected: set[str]) -> None:
    assert RecordShape(None, kind, from_text=False).names_needed() == frozenset(expected)


@pytest.mark.parametrize("kind", [None, Strict])
def test_all_columns_are_needed_where_an_unknown_one_counts(kind: Any) -> None:
    assert RecordShape(None, kind, from_text=False).names_needed() is None


def test_file_of_none_of_the_fields_gives_their_defaults(tmp_path: Path) -> None:
    class Defaulted(NamedTuple):
        times: int = 7

    path = tmp_path / "f"
    pq.write_table(pa.table({"other": [1, 2]}), path)
    assert read_all(FileSource.parquet(path, record_type=Defaulted)) == [Defaulted(), Defaulted()]
