"""Aggregates fold records one by one, and sessions into each other, to the same results."""

import copy
import statistics
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet import aggregates as agg
from streamlet.errors import ConfigError, GraphError, RecordError


def fold(aggregate: Any, records: Any) -> Any:
    accumulator = aggregate.create()
    for part in aggregate.parts(records):
        accumulator = aggregate.add(accumulator, part)
    return accumulator


def result_of(aggregate: Any, records: Any) -> Any:
    return aggregate.result(fold(aggregate, records))


def prices(*values: Any) -> Any:
    return [{"price": value, "n": n} for n, value in enumerate(values)]


RESULTS = [
    pytest.param(agg.count(), prices(5, None, 7), 3, id="count takes every record"),
    pytest.param(agg.sum("price"), prices(5, 7), 12, id="sum"),
    pytest.param(agg.sum("price"), prices(2**63 - 1, 1), 2**63, id="sum does not overflow"),
    pytest.param(agg.sum("price"), prices(0.1, 0.2), 0.1 + 0.2, id="sum of floats"),
    pytest.param(agg.sum("price"), prices(Decimal("0.1"), 1), Decimal("1.1"), id="sum of Decimals"),
    pytest.param(agg.sum("price"), prices(None, 7, None), 7, id="sum steps over None"),
    pytest.param(agg.sum("price"), prices(None), 0, id="sum of None"),
    pytest.param(agg.sum(), [1, 2, 3], 6, id="sum of the records"),
    pytest.param(agg.min("price"), prices(5, 3, None, 7), 3, id="min"),
    pytest.param(agg.max("price"), prices(5, None, 7, 3), 7, id="max"),
    pytest.param(agg.min("price"), prices(None, None), None, id="min of None"),
    pytest.param(agg.max("price"), prices(0, -1), 0, id="max keeps a falsy value"),
    pytest.param(agg.min(), ["b", "a"], "a", id="min of texts"),
    pytest.param(agg.mean("price"), prices(1, 2, None), 1.5, id="mean"),
    pytest.param(agg.mean("price"), prices(None), None, id="mean of None"),
    pytest.param(agg.first("price"), prices(5, 3), 5, id="first"),
    pytest.param(agg.first("price"), prices(None, 3), None, id="first may be None"),
    pytest.param(agg.last("price"), prices(5, 3, None), None, id="last may be None"),
    pytest.param(agg.last(), ["a", "b"], "b", id="last record"),
    pytest.param(agg.collect("price"), prices(5, None, 5), [5, None, 5], id="collect"),
    pytest.param(agg.collect(), [(1,), (2,)], [(1,), (2,)], id="collect records"),
    pytest.param(agg.count_distinct("price"), prices(5, 5, 3, None), 2, id="count_distinct"),
    pytest.param(agg.count_distinct(0), [(1,), (1.0,), (2,)], 2, id="1 and 1.0 are one"),
    pytest.param(agg.quantile("price", 0.5), prices(9, 1, 4, None), 4, id="quantile: the middle"),
    pytest.param(agg.quantile("price", 0.5), prices(4, 1), 2.5, id="quantile: between two"),
    pytest.param(agg.quantile("price", 0.0), prices(4, 1, 9), 1, id="quantile: least"),
    pytest.param(agg.quantile("price", 1), prices(4, 1, 9), 9, id="quantile: greatest"),
    pytest.param(agg.quantile(None, 0.9), [7], 7, id="quantile of one"),
    pytest.param(agg.quantile(None, 0.9), [None], None, id="quantile of None"),
]


@pytest.mark.parametrize(("aggregate", "records", "expected"), RESULTS)
def test_result(aggregate: Any, records: Any, expected: Any) -> None:
    result = result_of(aggregate, records)
    assert result == expected


def test_sum_of_ints_is_an_int_and_quantile_a_float() -> None:
    assert type(result_of(agg.sum("price"), prices(5, 7))) is int
    assert type(result_of(agg.quantile("price", 0.5), prices(1, 2, 3))) is float


@pytest.mark.parametrize("best", [agg.min, agg.max])
def test_first_of_equal_values_wins(best: Any) -> None:
    result = result_of(best(), [1, 1.0, True])
    assert type(result) is int


def test_top_gives_the_greatest_first_and_ties_by_arrival() -> None:
    records = prices(5, 9, 5, None, 9, 5)
    best = result_of(agg.top(4, "price"), records)
    assert [record["n"] for record in best] == [1, 4, 0, 2]


def test_top_gives_what_there_is_when_there_is_less() -> None:
    assert result_of(agg.top(3, 0), [(1,), (2,)]) == [(2,), (1,)]
    assert result_of(agg.top(3, 0), []) == []


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 5))
def test_top_is_the_head_of_a_stable_sort(values: Any, n: Any) -> None:
    records = prices(*values)
    expected = sorted(records, key=lambda record: -record["price"])[:n]
    assert result_of(agg.top(n, "price"), records) == expected


@given(st.lists(st.integers(-100, 100), min_size=2), st.integers(1, 99))
def test_quantile_interpolates_as_inclusive_percentiles_do(values: Any, percent: Any) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    assert result_of(agg.quantile(None, percent / 100), values) == pytest.approx(expected)


ALL = [
    agg.count(), agg.sum("price"), agg.min("price"), agg.max("price"), agg.mean("price"),
    agg.first("n"), agg.last("n"), agg.collect("n"), agg.count_distinct("price"),
    agg.quantile("price", 0.3), agg.top(2, "price"),
]  # fmt: skip


@pytest.mark.parametrize("aggregate", ALL, ids=lambda aggregate: type(aggregate).__name__)
@given(
    taken=st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=12), cut=st.integers(0, 12)
)
def test_merging_an_older_and_a_newer_part_gives_the_result_of_all(
    aggregate: Any, taken: Any, cut: Any
) -> None:
    """WN-43: nothing but sessions merges, so nothing else would notice."""
    records = prices(*taken)
    older, newer = fold(aggregate, records[:cut]), fold(aggregate, records[cut:])
    merged = aggregate.merge(older, newer)
    assert aggregate.result(merged) == result_of(aggregate, records)
    for part in aggregate.parts(prices(1, 2)):
        merged = aggregate.add(merged, part)
    assert aggregate.result(merged) == result_of(aggregate, records + prices(1, 2))


def is_keepable(part: Any) -> Any:
    if isinstance(part, dict):
        return all(is_keepable(entry) for entry in part.items())
    if isinstance(part, list | tuple):
        return all(is_keepable(entry) for entry in part)
    return part is None or type(part) in {bool, int, float, str, bytes}


@pytest.mark.parametrize("aggregate", ALL, ids=lambda aggregate: type(aggregate).__name__)
def test_accumulator_consists_of_what_state_can_keep(aggregate: Any) -> None:
    assert is_keepable(aggregate.create())
    assert is_keepable(fold(aggregate, prices(5, 3, None, 7)))


@pytest.mark.parametrize("aggregate", ALL, ids=lambda aggregate: type(aggregate).__name__)
def test_result_and_accumulator_share_nothing_changeable(aggregate: Any) -> None:
    accumulator = fold(aggregate, prices(5, 3, 4))
    before = copy.deepcopy(accumulator)
    result = aggregate.result(accumulator)
    if isinstance(result, list):
        result.clear()
    assert accumulator == before


@pytest.mark.parametrize("q", [-0.1, 1.1, True, None, "0.5", float("nan")])
def test_quantile_outside_of_its_range_is_refused(q: Any) -> None:
    with pytest.raises(ConfigError):
        agg.quantile("price", q)


@pytest.mark.parametrize("n", [0, -1, 1.0, True, None])
def test_top_of_no_number_is_refused(n: Any) -> None:
    with pytest.raises(ConfigError):
        agg.top(n, "price")


def test_wrong_selector_is_refused_while_building() -> None:
    wrong: Any = 1.5
    with pytest.raises(GraphError):
        agg.sum(wrong)
    with pytest.raises(GraphError):
        agg.top(3, wrong)


def test_record_without_the_field_is_refused() -> None:
    with pytest.raises(RecordError, match="field 'price'"):
        fold(agg.sum("price"), [{"cost": 1}])


def test_named_aggregates_keep_their_order_and_names() -> None:
    named = agg.NamedAggregates(
        {"total": agg.sum("price"), "bids": agg.count(), "a": agg.last("n")}
    )
    assert named.names == ("total", "bids", "a")
    result = result_of(named, prices(5, 3))
    assert list(result.items()) == [("total", 8), ("bids", 2), ("a", 1)]


def test_named_aggregates_merge_each_with_its_own() -> None:
    named = agg.NamedAggregates({"total": agg.sum("price"), "first": agg.first("n")})
    merged = named.merge(fold(named, prices(5, 3)), fold(named, prices(1)))
    assert named.result(merged) == {"total": 9, "first": 0}


def test_named_aggregates_start_each_key_afresh() -> None:
    named = agg.NamedAggregates({"all": agg.collect("n")})
    assert result_of(named, prices(1)) == result_of(named, prices(1)) == {"all": [0]}


@pytest.mark.parametrize("named", [{}, {"n": agg.count}, {"n": "price"}, {"n": None}])
def test_what_is_no_aggregate_is_refused(named: Any) -> None:
    with pytest.raises(GraphError):
        agg.NamedAggregates(named)


KEYED = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(-3, 3))), max_size=12
)


@pytest.mark.parametrize("aggregate", ALL, ids=lambda aggregate: type(aggregate).__name__)
@given(taken=KEYED)
def test_a_batch_folds_as_its_records_do_one_by_one(aggregate: Any, taken: Any) -> None:
    named = agg.NamedAggregates({"n": agg.count(), "it": aggregate})
    records = prices(*(price for _, price in taken))
    one_by_one: Any = {key: named.create() for key, _ in taken}
    folded, run = copy.deepcopy(one_by_one), copy.deepcopy(one_by_one)
    expected = []
    for (key, _), part in zip(taken, named.parts(records), strict=True):
        one_by_one[key] = named.add(one_by_one[key], part)
        expected.append(named.result(one_by_one[key]))

    columns = named.columns(records)
    for at, each in enumerate(named.aggregates):
        each.fold([folded[key] for key, _ in taken], at, columns[at])
    assert folded == one_by_one

    results: Any = []
    named.run([run[key] for key, _ in taken], named.columns(records), results)
    assert run == one_by_one
    assert named.row_builder(())(*results) == expected


def test_a_record_that_fails_in_a_batch_is_where_the_results_end() -> None:
    named = agg.NamedAggregates({"n": agg.count(), "total": agg.sum("price")})
    results: Any = []
    accumulator = named.create()
    with pytest.raises(TypeError):
        named.run([accumulator] * 3, named.columns(prices(1, "two", 3)), results)
    assert len(results[-1]) == 1


@pytest.mark.parametrize("aggregate", ALL, ids=lambda aggregate: type(aggregate).__name__)
def test_what_replaces_its_accumulators_leaves_the_one_before_as_it_was(aggregate: Any) -> None:
    named = agg.NamedAggregates({"it": aggregate})
    accumulator = named.create()
    before = copy.deepcopy(accumulator)
    copied = list(accumulator)
    for part in named.parts(prices(9, None, 1)):
        named.add(copied, part)
    assert copied != before
    assert (accumulator == before) is named.is_replaced


@pytest.mark.parametrize("count", range(1, 8))
def test_rows_have_the_leading_columns_first(count: int) -> None:
    named = agg.NamedAggregates({f"a{n}": agg.count() for n in range(count)})
    accumulators = [[n + 10 * row for n in range(count)] for row in range(3)]
    rows = named.row_builder(("key",))("xyz", *named.results(accumulators))
    names = ["key", *named.names]
    assert [list(row.items()) for row in rows] == [
        list(zip(names, (key, *row), strict=True))
        for key, row in zip("xyz", accumulators, strict=True)
    ]


def test_results_of_many_accumulators_are_those_of_each() -> None:
    named = agg.NamedAggregates({"mean": agg.mean("price"), "all": agg.collect("n")})
    accumulators = [fold(named, prices(5, 4)), fold(named, prices(3))]
    rows = named.row_builder(())(*named.results(accumulators))
    assert rows == [named.result(accumulator) for accumulator in accumulators]
