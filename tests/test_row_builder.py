"""Rows are dicts of the columns, whatever their number."""

import pytest

from streamlet.row_builder import row_builder


@pytest.mark.parametrize("count", range(1, 9))
def test_every_row_has_every_name_in_order(count: int) -> None:
    names = [f"c{n}" for n in range(count)]
    columns = [[n, -n, None] for n in range(count)]
    rows = row_builder(names)(*columns)
    assert [list(row.items()) for row in rows] == [
        list(zip(names, values, strict=True)) for values in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("count", [2, 6])
def test_of_two_columns_with_one_name_the_last_counts(count: int) -> None:
    names = ["a", "a", *"bcdefg"][:count]
    [row] = row_builder(names)(*([n] for n in range(count)))
    assert row["a"] == 1


@pytest.mark.parametrize("count", [2, 6])
def test_columns_of_different_length_are_refused(count: int) -> None:
    columns = [[1]] * (count - 1) + [[1, 2]]
    with pytest.raises(ValueError, match=r"shorter|longer"):
        row_builder("abcdef"[:count])(*columns)
