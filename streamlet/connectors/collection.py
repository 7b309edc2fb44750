"""Sources over values that are already there: a collection, a sequence of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from streamlet.errors import FatalError
from streamlet.source import PartitionedSource, PartitionReader

T = TypeVar("T")

_ONLY_PARTITION = "0"


class CollectionSource(PartitionedSource[T]):
    """A bounded source of the items of one iterable, taken when it is made, in their order.

    Its one partition is read from the index of the next item. The items themselves are not copied.

    >>> CollectionSource("ab").open_partition("0", None).poll(10)
    ['a', 'b']
    """

    bounded = True
    name = "collection"

    def __init__(self, items: Iterable[T]) -> None:
        self._items = _frozen(items)

    def list_partitions(self) -> list[str]:
        return [_ONLY_PARTITION]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[T]:
        start = 0 if position is None else int(position)
        if start > len(self._items):
            raise FatalError(
                f"the restored position is item {start:,} of a collection that has only "
                f"{len(self._items):,}; run the job with the collection it was started with"
            )
        return _SequenceReader(self._items, start)


def _frozen(items: Iterable[T]) -> Sequence[T]:
    # A range is as fixed as a list of its numbers, and may be longer than memory.
    return items if isinstance(items, range) else list(items)  # type: ignore[return-value]


class SequenceSource(CollectionSource[int]):
    """A bounded source of the whole numbers from `first` to `last`, both included.

    >>> SequenceSource(1, 3).open_partition("0", None).poll(10)
    [1, 2, 3]
    """

    name = "sequence"

    def __init__(self, first: int, last: int) -> None:
        super().__init__(range(first, last + 1))


class _SequenceReader(PartitionReader[T]):
    def __init__(self, items: Sequence[T], start: int) -> None:
        self._items = items
        self._next = start

    def poll(self, max_records: int) -> list[T] | None:
        if self._next >= len(self._items):
            return None
        polled = list(self._items[self._next : self._next + max_records])
        self._next += len(polled)
        return polled

    def position(self) -> int:
        return self._next
