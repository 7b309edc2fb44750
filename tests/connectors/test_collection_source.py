"""CollectionSource and SequenceSource."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.connectors.collection import CollectionSource, SequenceSource
from streamlet.errors import FatalError


def test_items_come_in_their_order_and_then_the_end() -> None:
    reader = CollectionSource(["a", "b", "c"]).open_partition("0", None)
    assert [reader.poll(2), reader.poll(2), reader.poll(2)] == [["a", "b"], ["c"], None]


@pytest.mark.parametrize("stop_after", range(6))
def test_position_restores_to_exactly_the_rest(stop_after: int) -> None:
    source = CollectionSource(range(5))
    first: Any = source.open_partition("0", None)
    read = [first.poll(1) for _ in range(stop_after)]
    second: Any = source.open_partition("0", first.position())
    rest = second.poll(10) or []
    assert [v for polled in read for v in polled or []] + rest == [0, 1, 2, 3, 4]


def test_items_are_taken_when_the_source_is_made() -> None:
    items = [1, 2]
    source = CollectionSource(items)
    items.append(3)
    assert source.open_partition("0", None).poll(10) == [1, 2]


def test_an_iterator_can_be_read_by_every_attempt() -> None:
    source = CollectionSource(iter("ab"))
    assert [source.open_partition("0", None).poll(9) for _ in range(2)] == [["a", "b"]] * 2


def test_items_are_not_copied() -> None:
    item = {"a": 1}
    reader: Any = CollectionSource([item]).open_partition("0", None)
    assert reader.poll(1)[0] is item


def test_an_empty_collection_ends_at_once() -> None:
    source: CollectionSource[int] = CollectionSource([])
    assert source.open_partition("0", None).poll(5) is None
    assert source.bounded


def test_a_sequence_includes_both_bounds() -> None:
    assert SequenceSource(3, 5).open_partition("0", None).poll(10) == [3, 4, 5]


def test_a_long_sequence_is_not_held_in_memory() -> None:
    assert SequenceSource(0, 10**12).open_partition("0", 10**12).poll(10) == [10**12]


def test_a_position_beyond_a_changed_collection_is_refused() -> None:
    with pytest.raises(FatalError, match="only 2"):
        CollectionSource([1, 2]).open_partition("0", 3)


def test_the_only_partition_is_reported_once() -> None:
    enumerator = CollectionSource("ab").create_enumerator(parallelism=4)
    assert list(enumerator.discover()) == ["0"]
    assert list(enumerator.discover()) == []
