"""sum, min, max, min_by, max_by on every kind of record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import msgspec
import pytest

from streamlet.api import rolling
from streamlet.errors import GraphError, RecordError


class Point(NamedTuple):
    user: str
    n: int


@dataclass(frozen=True)
class Click:
    user: str
    n: int


class Bid(msgspec.Struct, frozen=True):
    user: str
    n: int


def as_dict(user: str, n: int) -> dict[str, Any]:
    return {"user": user, "n": n}


def as_tuple(user: str, n: int) -> tuple[str, int]:
    return (user, n)


def as_list(user: str, n: int) -> list[Any]:
    return [user, n]


@pytest.mark.parametrize(
    ("make", "selector"),
    [
        (as_dict, "n"),
        (as_tuple, 1),
        (as_list, 1),
        (Point, "n"),
        (Point, 1),
        (Click, "n"),
        (Bid, "n"),
    ],
)
def test_result_is_the_first_record_with_the_field_replaced(
    make: Callable[[str, int], Any], selector: Any
) -> None:
    records = [make("a", 3), make("b", 1), make("c", 5)]
    kept = [make("a", 3), make("b", 1), make("c", 5)]
    assert reduce(rolling.sum_function(selector), records) == make("a", 9)
    assert reduce(rolling.min_function(selector), records) == make("a", 1)
    assert reduce(rolling.max_function(selector), records) == make("a", 5)
    assert type(reduce(rolling.sum_function(selector), records)) is type(records[0])
    assert records == kept, "records must not be changed"


def test_without_a_selector_the_records_are_the_numbers() -> None:
    assert reduce(rolling.sum_function(None), [3, 1, 5]) == 9
    assert reduce(rolling.min_function(None), [3, 1, 5]) == 1
    assert reduce(rolling.max_function(None), [3, 1, 5]) == 5
    assert reduce(rolling.max_by_function(None), [3, 1, 5]) == 5


@pytest.mark.parametrize("selector", ["n", lambda record: record["n"]])
def test_by_forms_give_the_whole_record_and_the_first_of_equals(selector: Any) -> None:
    records = [as_dict("a", 2), as_dict("b", 1), as_dict("c", 1), as_dict("d", 2)]
    assert reduce(rolling.min_by_function(selector), records)["user"] == "b"
    assert reduce(rolling.max_by_function(selector), records)["user"] == "a"


def test_callable_names_no_field_to_replace() -> None:
    with pytest.raises(GraphError, match=r"agg\.sum"):
        rolling.sum_function(lambda record: record["n"])


@pytest.mark.parametrize(("record", "field"), [("text", 0), (object(), "n"), (7, 0)])
def test_record_without_replaceable_fields_is_an_error_that_shows_it(
    record: Any, field: Any
) -> None:
    with pytest.raises(RecordError, match="cannot replace"):
        rolling.replaced(record, field, 1)
