"""What a source of the user's may give, and how it is told what it may not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from streamlet.errors import FatalError
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ListSink
from tests.runtime.pipelines import environment


class Once(PartitionReader[Any]):
    def __init__(self, given: Any) -> None:
        self._given = [given]

    def poll(self, max_records: int) -> Any:
        return self._given.pop() if self._given else None

    def position(self) -> int:
        return 1


class OnceSource(PartitionedSource[Any]):
    bounded = True

    def __init__(self, given: Any, *partitions: str) -> None:
        self._given = given
        self._partitions = list(partitions or "a")

    def list_partitions(self) -> list[str]:
        return self._partitions

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        return Once(self._given)


def run(source: OnceSource) -> list[Any]:
    env, sink = environment(), ListSink()
    env.from_source(source).sink_to(sink)
    env.execute("once")
    return sink.values


def test_a_poll_may_give_a_list_or_a_record_batch() -> None:
    assert run(OnceSource([1, 2])) == [1, 2]
    assert run(OnceSource(pa.RecordBatch.from_pylist([{"a": 1}]))) == [{"a": 1}]


def test_a_source_says_what_python_code_sees_of_its_columns() -> None:
    source = OnceSource(pa.RecordBatch.from_pylist([{"a": 1}, {"a": 2}]))
    source.make_records = lambda names, columns: [(*names, value) for value in columns[0]]
    assert run(source) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("given", ["text", (1, 2), 5, {"a": 1}, pa.table({"a": [1]})])
def test_a_poll_that_gives_something_else_is_told_what_it_may_give(given: Any) -> None:
    with pytest.raises(FatalError, match=rf"poll\(\) gave a {type(given).__name__}") as caught:
        run(OnceSource(given))
    assert "split 'a'" in caught.value.__notes__[0]


def test_a_partition_that_is_listed_twice_is_named() -> None:
    """It was taken for a bug of the engine."""
    with pytest.raises(FatalError, match="'b' twice"):
        run(OnceSource([1], "a", "b", "b"))
