"""Scripts as sources: batches, positions, watermarks of several partitions."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.elements import RowBatch, StreamStatus, Watermark
from streamlet.errors import ConfigError, FatalError
from streamlet.testing import ScriptedSource, active, at, idle, watermark

SCRIPT = [at(1, "a"), at(2, "b"), at(None, "c"), watermark(5), idle(), active(), at(9, "d")]
POLLS = [
    (RowBatch(["a", "b"], [1, 2]), 2),
    (RowBatch(["c"]), 3),
    (Watermark(5), 4),
    (StreamStatus(is_idle=True), 5),
    (StreamStatus(is_idle=False), 6),
    (RowBatch(["d"], [9]), 7),
]


def play(source: ScriptedSource, position: Any = None, max_records: int = 10) -> list[Any]:
    reader = source.open_partition("0", position)
    polls: list[Any] = []
    while (polled := reader.poll(max_records)) is not None:
        polls.append((polled, reader.position()))
    return polls


def test_a_poll_gives_records_of_one_kind_or_one_control_step() -> None:
    assert play(ScriptedSource(SCRIPT)) == POLLS


@pytest.mark.parametrize("start", range(len(POLLS)))
def test_a_reader_goes_on_from_every_position(start: int) -> None:
    assert play(ScriptedSource(SCRIPT), POLLS[start][1]) == POLLS[start + 1 :]


def test_a_poll_gives_no_more_than_it_was_asked_for() -> None:
    polls = play(ScriptedSource([at(n, n) for n in range(5)]), max_records=2)
    assert [len(polled) for polled, _ in polls] == [2, 2, 1]


def test_each_script_is_a_partition() -> None:
    source = ScriptedSource([at(0, "a")], [at(0, "b")])
    assert source.list_partitions() == ["0", "1"]
    assert source.open_partition("1", None).poll(9) == RowBatch(["b"], [0])
    with pytest.raises(FatalError, match="'2'"):
        source.open_partition("2", None)


@pytest.mark.parametrize("script", [["a"], [5_000], [at(0, "a"), None]])
def test_a_step_that_is_none_is_refused_at_once(script: list[Any]) -> None:
    with pytest.raises(ConfigError, match="step"):
        ScriptedSource(script)


@pytest.mark.parametrize("timestamp", ["1s", 1.0, True])
def test_a_timestamp_is_int_milliseconds(timestamp: Any) -> None:
    with pytest.raises(ConfigError, match="int epoch milliseconds"):
        at(timestamp, "a")
