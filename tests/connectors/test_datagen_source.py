"""DataGenSource: its pace and its positions."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.connectors.datagen import DataGenSource
from streamlet.errors import ConfigError


class SteppedClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic_s(self) -> float:
        return self.seconds


def test_it_is_bounded_if_and_only_if_it_has_a_count() -> None:
    assert DataGenSource(str, count=3).bounded
    assert not DataGenSource(str).bounded


def test_count_records_come_and_then_the_end() -> None:
    reader = DataGenSource(lambda index: index * 10, count=5).open_partition("0", None)
    assert [reader.poll(3) for _ in range(3)] == [[0, 10, 20], [30, 40], None]


@pytest.mark.parametrize("stop_after", range(5))
def test_position_restores_to_exactly_the_rest(stop_after: int) -> None:
    source = DataGenSource(lambda index: index, count=4)
    first: Any = source.open_partition("0", None)
    read = [value for _ in range(stop_after) for value in first.poll(1) or []]
    second: Any = source.open_partition("0", first.position())
    assert read + (second.poll(9) or []) == [0, 1, 2, 3]


def test_records_are_evenly_spaced_at_the_rate() -> None:
    clock = SteppedClock()
    reader = DataGenSource(lambda index: index, rate=4, clock=clock).open_partition("0", None)
    seen = []
    for _ in range(8):
        clock.seconds += 0.125
        seen.append(reader.poll(100))
    assert seen == [[], [0], [], [1], [], [2], [], [3]]


def test_a_reader_that_fell_behind_catches_up() -> None:
    clock = SteppedClock()
    reader = DataGenSource(lambda index: index, rate=10, clock=clock).open_partition("0", None)
    clock.seconds += 1
    assert [reader.poll(6), reader.poll(6), reader.poll(6)] == [list(range(6)), [6, 7, 8, 9], []]


def test_a_restored_reader_counts_its_pace_from_when_it_opens() -> None:
    clock = SteppedClock()
    reader = DataGenSource(lambda index: index, rate=1, clock=clock).open_partition("0", 50)
    assert reader.poll(10) == []
    clock.seconds += 1
    assert reader.poll(10) == [50]


def test_an_error_of_the_function_keeps_its_type_and_names_the_index() -> None:
    reader = DataGenSource(lambda index: 1 // (2 - index), count=9).open_partition("0", None)
    with pytest.raises(ZeroDivisionError) as caught:
        reader.poll(9)
    assert "index 2" in caught.value.__notes__[0]
    assert reader.position() == 0


@pytest.mark.parametrize("settings", [{"count": -1}, {"rate": 0}, {"rate": -2.5}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DataGenSource(str, **settings)  # type: ignore[arg-type]


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="function of the index"):
        DataGenSource(5)  # type: ignore[arg-type]
