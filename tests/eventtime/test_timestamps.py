"""Timestamps: int epoch milliseconds or a moment with a time zone; anything else is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.errors import GraphError, RecordError
from streamlet.eventtime.timestamps import compile_extractor

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
    pa = pytest.importorskip("pyarrow")
    stamp = compile_extractor(0)
    assert stamp([(pa.scalar(1_500, pa.timestamp("ms", tz="UTC")),)], None) == [1_500]
    assert stamp([(pa.scalar(7, pa.int64()),)], None) == [7]
    with pytest.raises(RecordError):
        stamp([(pa.scalar(1_500, pa.timestamp("ms")),)], None)


def test_numpy_integers_are_taken_and_other_numpy_values_refused() -> None:
    np = pytest.importorskip("numpy")
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
