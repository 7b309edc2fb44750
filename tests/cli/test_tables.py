"""Numbers, times and columns as people read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlet.cli.tables import as_json, columns, count, duration, moment, size


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns(("id", "name"), [("a1", "clicks"), ("b22", "x")]) == (
        "id   name\na1   clicks\nb22  x"
    )
    assert columns(("id", "name"), []) == "id  name"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "-"),
        (0, "0ms"),
        (999, "999ms"),
        (1_000, "1.0s"),
        (60_000, "1m 0s"),
        (3_600_000, "1h 0m"),
        (90_000_000, "1d 1h"),
        (-4_200, "-4.2s"),
    ],
)
def test_durations_have_at_most_two_units(milliseconds: int | None, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(None, "-"), (0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KB"), (3 << 40, "3.0 TB")],
)
def test_sizes_stay_short(size_bytes: int | None, text: str) -> None:
    assert size(size_bytes) == text


def test_counts_and_moments() -> None:
    assert (count(None), count(1_234_567)) == ("-", "1,234,567")
    assert (moment(None), moment(0)) == ("-", "1970-01-01 00:00:00Z")
    assert moment(2**62) == str(2**62)


def test_json_keeps_order_and_names_paths() -> None:
    assert json.loads(as_json({"b": Path("x"), "a": None})) == {"b": "x", "a": None}
