"""pyarrow expressions over the columns of a batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamlet.columns import records_of
from streamlet.errors import RecordError
from streamlet.expressions import describe_fields, evaluate


def columns(**fields: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(fields)


def test_expressions_give_a_column_each_in_the_order_of_the_rows() -> None:
    many = columns(a=list(range(200_000)))
    made = evaluate({"twice": pc.field("a") * 2, "one": pc.scalar(1), "a": pc.field("a")}, many)
    assert made.schema.names == ["twice", "one", "a"]
    assert made.column("twice").to_pylist() == list(range(0, 400_000, 2))
    assert set(made.column("one").to_pylist()) == {1}


def test_expressions_over_no_rows_give_columns_without_rows() -> None:
    made = evaluate({"x": pc.field("a") + 1}, columns(a=[1]).slice(0, 0))
    assert (made.num_rows, made.schema.names) == (0, ["x"])


@pytest.mark.parametrize(
    "expression",
    [pc.field("cost") > 1, pc.field("a") + "x", pc.utf8_upper(pc.field("a")), pc.field("a") / 0],
)
def test_expression_that_does_not_fit_names_itself_and_the_columns(expression: Any) -> None:
    with pytest.raises(RecordError) as refused:
        evaluate({"x": expression}, columns(a=[1], price=[1.5]))
    assert f"x = {expression}" in str(refused.value)
    assert "a: int64, price: double" in str(refused.value)


@pytest.mark.parametrize(
    "expression",
    [
        pc.utf8_upper(pc.field("a")),
        ~pc.field("a"),
        pc.hour(pc.field("a")),
        pc.field("a") + 1,
        pc.if_else(pc.utf8_length(pc.field("a")) > 2, 1, 0),
    ],
)
def test_field_that_is_null_in_all_of_a_batch_takes_any_type(expression: Any) -> None:
    """Its type is unknown then, and how records share batches is chance."""
    made = evaluate({"x": expression, "n": pc.field("n")}, columns(n=[1, 2], a=[None, None]))
    assert records_of(made) == [{"x": None, "n": 1}, {"x": None, "n": 2}]


def test_error_of_a_wide_record_names_a_dozen_columns() -> None:
    wide = columns(**{f"c{n}": [n] for n in range(14)})
    assert describe_fields(wide.schema).endswith("c11: int64 and 2 more")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        (pc.field("prize") > 1, "there is no field 'prize' in the records; did you mean 'price'?"),
        (pc.field("cost") > 1, "there is no field 'cost' in the records\n"),
        (pc.field("a") > "1", "pc.field(...).cast(...)"),
    ],
)
def test_error_says_what_to_do(expression: Any, says: str) -> None:
    with pytest.raises(RecordError) as refused:
        evaluate({"": expression}, columns(a=[1], price=[1.5]))
    assert str(refused.value).startswith(f"cannot evaluate {expression}: ")
    assert says in str(refused.value)


def test_error_names_the_expression_that_fails_and_not_those_beside_it() -> None:
    expressions = {"good": pc.field("a") + 1, "bad": pc.field("a") + "x"}
    with pytest.raises(RecordError) as refused:
        evaluate(expressions, columns(a=[1]))
    assert str(refused.value).startswith("cannot evaluate bad = ")


def test_nulls_of_one_batch_are_of_the_type_that_each_expression_needs() -> None:
    expressions = {"text": pc.utf8_upper(pc.field("a")), "truth": ~pc.field("b")}
    made = evaluate(expressions, columns(a=[None], b=[None]))
    assert records_of(made) == [{"text": None, "truth": None}]


def test_expressions_over_fields_of_one_name_twice_are_refused() -> None:
    twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(RecordError, match="cannot evaluate x = a: "):
        evaluate({"x": pc.field("a")}, twice)
