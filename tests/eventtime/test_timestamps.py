"""Timestamps: int epoch milliseconds or a moment with a time zone; anything else is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.columns import to_rows
from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, ColumnBatch, RowBatch
from streamlet.errors import GraphError, RecordError
from streamlet.eventtime.timestamps import Stamper, compile_extractor

SUMMER = timezone(timedelta(hours=2))

ACCEPTED = [
    pytest.param(5, 5, id="int"),
    pytest.param(-5, -5, id="before 1970"),
    pytest.param(MAX_TIMESTAMP, MAX_TIMESTAMP, id="largest"),
    pytest.param(MIN_TIMESTAMP + 1, MIN_TIMESTAMP + 1, id="least"),
    pytest.param(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1_000, id="UTC"),
    pytest.param(datetime(1970, 1, 1, 2, 0, 1, tzinfo=SUMMER), 1_000, id="other zone"),
    pytest.param(datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=UTC), 1, id="microseconds"),
    pytest.param(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC), -1, id="floors"),
    pytest.param(datetime(9999, 12, 31, tzinfo=UTC), 253402214400000, id="exact, far away"),
]

REFUSED = [
    pytest.param(None, id="None"),
    pytest.param(True, id="bool"),
    pytest.param(5.0, id="float"),
    pytest.param("5", id="text"),
    pytest.param(datetime(2024, 1, 1), id="datetime without a zone"),  # noqa: DTZ001 - the point
    pytest.param(MAX_TIMESTAMP + 1, id="too large"),
    pytest.param(MIN_TIMESTAMP, id="means none"),
    pytest.param([5], id="list"),
]


@pytest.mark.parametrize(("raw", "expected"), ACCEPTED)
def test_point_in_time_becomes_epoch_milliseconds(raw: Any, expected: Any) -> None:
    stamps = compile_extractor("ts")([{"ts": raw}, {"ts": 7}], None)
    assert stamps == [expected, 7]
    assert {type(stamp) for stamp in stamps} == {int}


@pytest.mark.parametrize("raw", REFUSED)
def test_what_is_no_point_in_time_is_refused_with_the_record(raw: Any) -> None:
    with pytest.raises(RecordError) as refused:
        compile_extractor("ts")([{"ts": 7, "n": 0}, {"ts": raw, "n": 1}], None)
    message = str(refused.value)
    assert "'n': 1" in message
    assert "field 'ts'" in message
    assert "with_timestamp_assigner" in message


def test_record_without_the_field_is_refused() -> None:
    with pytest.raises(RecordError, match="field 'ts'"):
        compile_extractor("ts")([{"time": 5}], None)


def test_arrow_timestamps_are_moments_if_they_have_a_zone() -> None:
    stamp = compile_extractor(0)
    assert stamp([(pa.scalar(1_500, pa.timestamp("ms", tz="UTC")),)], None) == [1_500]
    assert stamp([(pa.scalar(7, pa.int64()),)], None) == [7]
    with pytest.raises(RecordError):
        stamp([(pa.scalar(1_500, pa.timestamp("ms")),)], None)


def test_numpy_integers_are_taken_and_other_numpy_values_refused() -> None:
    stamp = compile_extractor(0)
    (taken,) = stamp([(np.int64(7),)], None)
    assert (taken, type(taken)) == (7, int)
    for wrong in (np.float64(7), np.bool_(True), np.datetime64("2024-01-01")):
        with pytest.raises(RecordError):
            stamp([(wrong,)], None)


class Missing(datetime):
    """How pandas says that there is no moment: a datetime that differs from itself."""

    def __ne__(self, other: Any) -> Any:
        return True


def test_missing_moment_is_refused() -> None:
    with pytest.raises(RecordError, match="without event time"):
        compile_extractor(0)([(Missing(2024, 1, 1, tzinfo=UTC),)], None)


def test_callable_of_two_also_gets_the_timestamp_a_record_came_with() -> None:
    stamp = compile_extractor(lambda value, timestamp: timestamp + value)
    assert stamp([1, 2], [10, 20]) == [11, 22]


def test_record_that_came_without_a_timestamp_shows_the_least() -> None:
    seen: list[int] = []

    def look(value: Any, timestamp: int) -> Any:
        seen.append(timestamp)
        return value

    compile_extractor(look)([1, 2], None)
    assert seen == [MIN_TIMESTAMP, MIN_TIMESTAMP]


def test_callable_with_a_second_default_argument_gets_the_record_alone() -> None:
    def scaled(value: int, factor: int = 1_000) -> int:
        return value * factor

    stamp = compile_extractor(scaled)
    assert stamp([1, 2], [10, 20]) == [1_000, 2_000]


def test_class_that_cannot_be_inspected_gets_the_record_alone() -> None:
    assert compile_extractor(int)(["5"], None) == [5]


@pytest.mark.parametrize(
    "assigner", [lambda value: 1 // value, lambda value, timestamp: 1 // value]
)
def test_exception_of_the_callable_keeps_its_type_and_names_the_record(assigner: Any) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        compile_extractor(assigner)([1, 0, 2], None)
    assert any("record 0" in note for note in raised.value.__notes__)


def test_wrong_selector_is_refused_while_building() -> None:
    wrong: Any = None
    with pytest.raises(GraphError):
        compile_extractor(wrong)


def test_empty_batch_has_no_timestamps() -> None:
    assert compile_extractor("ts")([], None) == []


def stamps_or_error(batch: ColumnBatch | RowBatch, assigner: Any = "ts") -> Any:
    """The timestamps, or the type and the text of the error."""
    try:
        stamps = Stamper(assigner).stamp(batch).timestamps
    except Exception as error:
        return type(error), str(error)
    assert stamps is not None
    return [int(stamp) for stamp in stamps]


def columns_and_rows(column: pa.Array, assigner: Any = "ts") -> list[Any]:
    """What stamping gives for the column, and for the same records as rows."""
    names = ["n", "ts"]
    numbers = pa.array(range(len(column)), pa.int64())
    columns = ColumnBatch(pa.RecordBatch.from_arrays([numbers, column], names))
    as_columns = stamps_or_error(columns, assigner)
    try:
        rows = to_rows(columns)
    except Exception as error:
        return [as_columns, (type(error), str(error))]
    return [as_columns, stamps_or_error(rows, assigner)]


INSTANT = st.integers(-(2**63), 2**63 - 1)
ZONED = [pa.timestamp(unit, tz) for unit in ("s", "ms", "us", "ns") for tz in ("UTC", "+02:00")]


@pytest.mark.slow
@given(
    st.sampled_from([pa.int64(), *ZONED, pa.timestamp("ms")]),
    st.lists(st.one_of(INSTANT, st.integers(-(10**13), 10**13), st.none()), min_size=1),
)
def test_columns_get_the_timestamps_or_the_error_that_rows_get(
    kind: pa.DataType, numbers: list[int | None]
) -> None:
    as_columns, as_rows = columns_and_rows(pa.array(numbers, pa.int64()).cast(kind))
    assert as_columns == as_rows


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([5, -5], pa.int16()), [5, -5]),
        (pa.array([5, 2**32 - 1], pa.uint32()), [5, 2**32 - 1]),
        (pa.array([1_999_999, -1], pa.timestamp("us", "UTC")), [1_999, -1]),
        (pa.array([1_999_999, -1_000], pa.timestamp("ns", "UTC")), [1, -1]),
        (pa.array([7, -7], pa.timestamp("s", "+02:00")), [7_000, -7_000]),
        (pa.array([5, 5, 7]).dictionary_encode(), [5, 5, 7]),
        (pa.array([], pa.int64()), []),
        (pa.array([1, 2, 3]).slice(1, 1), [2]),
    ],
)
def test_column_of_ints_or_instants_becomes_milliseconds(
    column: pa.Array, expected: list[int]
) -> None:
    assert columns_and_rows(column) == [expected, expected]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([5, None]),
        pa.array([5.0]),
        pa.array([True]),
        pa.array(["5"]),
        pa.array([5], pa.timestamp("ms")),
        pa.array([5], pa.date32()),
        pa.array([2**63], pa.uint64()),
        pa.array([MIN_TIMESTAMP]),
        pa.array([2**62], pa.timestamp("s", "UTC")),
        pa.array([-(2**63)], pa.timestamp("s", "UTC")),
        pa.array([[5]]),
        pa.nulls(1),
    ],
)
def test_column_that_is_no_time_is_refused_as_rows_are(column: pa.Array) -> None:
    as_columns, as_rows = columns_and_rows(column)
    assert as_columns == as_rows
    assert issubclass(as_columns[0], Exception)


def test_columns_without_the_field_are_refused_as_rows_are() -> None:
    as_columns, as_rows = columns_and_rows(pa.array([5]), "time")
    assert as_columns == as_rows
    assert "field 'time'" in as_columns[1]


def test_of_two_columns_of_one_name_the_last_counts_as_in_a_dict() -> None:
    twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["ts", "ts"])
    assert stamps_or_error(ColumnBatch(twice)) == [2]


def test_callable_of_two_gets_the_timestamps_columns_came_with() -> None:
    batch = ColumnBatch(pa.RecordBatch.from_pydict({"n": [1, 2]}), np.array([10, 20], np.int64))
    assert stamps_or_error(batch, lambda record, came_with: came_with + record["n"]) == [11, 22]


def test_stamped_columns_stay_columns() -> None:
    batch = ColumnBatch(pa.RecordBatch.from_pydict({"ts": [1, 2]}))
    stamped = Stamper("ts").stamp(batch)
    assert isinstance(stamped, ColumnBatch)
    assert stamped.records is batch.records
