"""Selectors take parts out of dicts, typed objects and sequences, or say what is missing."""

from collections import UserDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from streamlet.errors import GraphError, RecordError
from streamlet.selectors import (
    compile_batch_selector,
    compile_selector,
    describe_selector,
    show_record,
)


@dataclass
class Bid:
    user: str
    price: int


class Row(NamedTuple):
    user: str
    title: int


class Loose:
    """Answers any name, and so needs no declared field."""

    def __getattr__(self, name: Any) -> Any:
        return f"<{name}>"


class Nested:
    """A field in a field is no field of the record."""

    bid = Bid("u1", 5)


def by_price(record: Any) -> Any:
    return record["price"]


RECORDS = [
    pytest.param("user", {"user": "u1"}, "u1", id="field of a dict"),
    pytest.param("user", Bid("u1", 5), "u1", id="field of a dataclass"),
    pytest.param("user", Row("u1", 5), "u1", id="field of a named tuple"),
    pytest.param("title", Row("u1", 5), 5, id="field of a named tuple, by name"),
    pytest.param("a b", {"a b": 1}, 1, id="field that is no identifier"),
    pytest.param("a.b", {"a.b": 1}, 1, id="field with a dot"),
    pytest.param("a.b", Loose(), "<a.b>", id="attribute with a dot"),
    pytest.param("user", {"user": None}, None, id="field that is None"),
    pytest.param(1, ("a", "b"), "b", id="position of a tuple"),
    pytest.param(-1, ["a", "b"], "b", id="position from the end"),
    pytest.param(0, Row("u1", 5), "u1", id="position of a named tuple"),
    pytest.param(by_price, {"price": 7}, 7, id="callable"),
    pytest.param(len, "abc", 3, id="built-in"),
]

MISSING = [
    pytest.param("user", {"ts": 1}, id="field of a dict"),
    pytest.param("items", {"ts": 1}, id="field named like a dict method"),
    pytest.param("user", Bid, id="field of another object"),
    pytest.param("count", ("a", "b"), id="method of a tuple is no field"),
    pytest.param("real", 5, id="attribute of a number is no field"),
    pytest.param("user", None, id="field of None"),
    pytest.param("bid.user", Nested(), id="field of a field"),
    pytest.param(2, ("a", "b"), id="position after the end"),
    pytest.param(0, {"a": 1}, id="position of a dict"),
    pytest.param(0, 5, id="position of a number"),
    pytest.param(0, (), id="position of nothing"),
]


@pytest.mark.parametrize(("selector", "record", "expected"), RECORDS)
def test_part_of_a_record_is_selected(selector: Any, record: Any, expected: Any) -> None:
    assert compile_selector(selector)(record) == expected
    assert compile_batch_selector(selector)([record, record]) == [expected, expected]


@pytest.mark.parametrize(("selector", "record"), MISSING)
def test_record_without_the_part_is_refused_and_shown(selector: Any, record: Any) -> None:
    for select in (compile_selector(selector), lambda r: compile_batch_selector(selector)([r])):
        with pytest.raises(RecordError) as refused:
            select(record)
        assert describe_selector(selector) in str(refused.value)
        assert show_record(record) in str(refused.value)


def test_refused_record_is_the_one_in_the_middle_of_the_batch() -> None:
    with pytest.raises(RecordError, match=r"\{'ts': 2\}"):
        compile_batch_selector("user")([{"user": 1}, {"ts": 2}, {"user": 3}])


def test_batch_may_mix_kinds_of_records() -> None:
    select = compile_batch_selector("user")
    assert select([{"user": 1}, Bid("u2", 0), Row("u3", 0)]) == [1, "u2", "u3"]
    with pytest.raises(RecordError):
        compile_batch_selector("items")([type("Order", (), {"items": 1})(), {"ts": 2}])
    with pytest.raises(RecordError):
        compile_batch_selector("count")([Row("u", 1), ("u", 1)])


def test_mapping_that_is_no_dict_is_asked_for_attributes_only() -> None:
    with pytest.raises(RecordError):
        compile_selector("user")(UserDict(user="u1"))


def test_empty_batch_gives_nothing() -> None:
    for selectors in (("user",), (0,), (by_price,), ("user", 0)):
        assert compile_batch_selector(*selectors)([]) == []


def test_batch_need_not_be_a_list() -> None:
    assert compile_batch_selector("user")(deque([{"user": 1}])) == [1]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_selectors_give_a_tuple(count: Any) -> None:
    record = {"a": 0, "b": 1, "c": 2, "d": 3}
    selectors: list[Any] = ["a", "b", "c", lambda r: r["d"]][:count]
    assert compile_selector(*selectors)(record) == tuple(range(count))
    assert compile_batch_selector(*selectors)([record] * 2) == [tuple(range(count))] * 2


@pytest.mark.parametrize("wrong", [(), ("",), (True,), (None,), (1.5,), (["a"],), ("a", None)])
def test_what_is_no_selector_is_refused_while_building(wrong: Any) -> None:
    with pytest.raises(GraphError):
        compile_selector(*wrong)
    with pytest.raises(GraphError):
        compile_batch_selector(*wrong)


def test_exception_of_a_callable_keeps_its_type_and_names_the_record() -> None:
    with pytest.raises(KeyError) as raised:
        compile_batch_selector(by_price)([{"price": 1}, {"cost": 2}, {"price": 3}])
    assert len(raised.value.__notes__) == 1
    assert "{'cost': 2}" in raised.value.__notes__[0]
    assert "by_price" in raised.value.__notes__[0]


def test_stop_iteration_of_a_callable_does_not_end_the_batch_in_silence() -> None:
    few = iter("ab")
    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        compile_batch_selector(lambda record: next(few))([1, 2, 3, 4])
    assert "record 3" in raised.value.__notes__[0]


def test_description_names_fields_positions_and_where_a_function_stands() -> None:
    assert describe_selector("user", 0) == "field 'user', position 0"
    assert describe_selector(len) == "function len"
    line = by_price.__code__.co_firstlineno
    assert describe_selector(by_price) == f"function by_price (test_selectors.py:{line})"


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_shown_record_is_short_and_on_one_line() -> None:
    assert len(show_record("x" * 10_000)) == 160
    assert show_record("short") == "'short'"
    assert "\n" not in show_record(type("Lines", (), {"__repr__": lambda _: "a\nb"})())
    assert show_record(Unshowable()) == "<Unshowable whose repr raised ValueError>"
