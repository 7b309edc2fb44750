"""Which subtasks a batch goes to: one router per sending subtask and edge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeAlias, assert_never

from streamlet.columns import encode_fields, to_rows
from streamlet.elements import Batch, ColumnBatch, KeyColumn, RowBatch
from streamlet.errors import FatalError, note_place
from streamlet.graph import (
    Broadcast,
    Custom,
    Forward,
    Global,
    Hash,
    Partitioning,
    Rebalance,
    Shuffle,
)
from streamlet.operators.place import short
from streamlet.state.keys import KeyRouter, canonical_key

Routed: TypeAlias = Iterator[tuple[int, Batch]]
"""(index of the receiving subtask, its records in order)"""


class Router(ABC):
    """Splits batches over `parallelism` receivers; keeps the order per receiver (DS-5)."""

    def __init__(self, parallelism: int) -> None:
        self.parallelism = parallelism

    @abstractmethod
    def route(self, batch: Batch) -> Routed:
        """The parts of the batch, none of them empty."""

    def _scatter(self, batch: Batch, targets: list[int]) -> Routed:
        if isinstance(batch, ColumnBatch):
            yield from self._scatter_columns(batch, targets)
            return
        positions: list[list[int]] = [[] for _ in range(self.parallelism)]
        for position, target in enumerate(targets):
            positions[target].append(position)
        for target, taken in enumerate(positions):
            if len(taken) == len(targets):
                yield target, batch
            elif taken:
                yield target, batch.take(taken)

    def _scatter_columns(self, batch: ColumnBatch, targets: Any) -> Routed:
        import numpy as np

        target_of = np.asarray(targets)
        for target in range(self.parallelism):
            is_taken = target_of == target
            if is_taken.all():
                yield target, batch
            elif is_taken.any():
                yield target, batch.filter(is_taken)


class OneRouter(Router):
    """Everything to one subtask: forward, global."""

    def __init__(self, target: int) -> None:
        super().__init__(1)
        self._target = target

    def route(self, batch: Batch) -> Routed:
        yield self._target, batch


class BroadcastRouter(Router):
    """Everything to everyone."""

    def route(self, batch: Batch) -> Routed:
        for target in range(self.parallelism):
            yield target, batch


class RebalanceRouter(Router):
    """Even contiguous parts of each batch, beginning where the last one ended."""

    def __init__(self, parallelism: int, start: int) -> None:
        super().__init__(parallelism)
        self._next = start % parallelism

    def route(self, batch: Batch) -> Routed:
        size = -(-len(batch) // self.parallelism)
        for start in range(0, len(batch), size):
            yield self._next, batch.slice(start, start + size)
            self._next = (self._next + 1) % self.parallelism


class ShuffleRouter(Router):
    """Each record to a random subtask."""

    def __init__(self, parallelism: int, random: Random) -> None:
        super().__init__(parallelism)
        self._random = random

    def route(self, batch: Batch) -> Routed:
        draw, parallelism = self._random.randrange, self.parallelism
        return self._scatter(batch, [draw(parallelism) for _ in range(len(batch))])


class CustomRouter(Router):
    """As the user's function says."""

    def __init__(self, parallelism: int, partitioning: Custom) -> None:
        super().__init__(parallelism)
        self._partitioning = partitioning

    def route(self, batch: Batch) -> Routed:
        rows = to_rows(batch)
        return self._scatter(rows, [self._choose(value) for value in rows.values])

    def _choose(self, value: Any) -> int:
        key = self._partitioning.selector(value)
        target = self._partitioning.choose(key, self.parallelism)
        if target.__class__ is not int or not 0 <= target < self.parallelism:
            raise FatalError(
                f"partition_custom ({self._partitioning.description}) gave {target!r} for key "
                f"{short(key)}; it must give an int in [0, {self.parallelism})"
            )
        return target


class HashRouter(Router):
    """By key group; the receiver gets the canonical keys with the records."""

    def __init__(self, parallelism: int, max_parallelism: int, partitioning: Hash) -> None:
        super().__init__(parallelism)
        self._keys = KeyRouter(max_parallelism, parallelism)
        self._partitioning = partitioning

    def route(self, batch: Batch) -> Routed:
        fields = self._partitioning.fields
        if isinstance(batch, ColumnBatch) and fields is not None:
            keys = self._key_column(batch, fields)
            if keys is not None:
                return self._route_columns(replace(batch, keys=keys))
        return self._route_rows(to_rows(batch))

    def _route_rows(self, batch: RowBatch) -> Routed:
        try:
            raw = self._partitioning.keys_of(batch.values)
            keys = self._keys.canonicalise(raw)
        except Exception as error:
            self._note_record(error, batch)
            raise
        keyed = RowBatch(batch.values, batch.timestamps, keys)
        if self.parallelism == 1:
            yield 0, keyed
        else:
            yield from self._scatter(keyed, self._keys.subtasks(keys))

    def _key_column(self, batch: ColumnBatch, fields: Sequence[str]) -> KeyColumn | None:
        """The canonical keys; None: a record has none, and the way of rows names it."""
        import numpy as np

        try:
            codes, distinct = encode_fields(batch.records, fields)
            if distinct.dtype == np.int64:
                return KeyColumn(codes, distinct)
            raw = distinct.tolist()
            keys = self._keys.canonicalise(raw)
        except Exception:  # whatever it is, rows say it with the record
            return None
        if keys is raw:
            return KeyColumn(codes, distinct)
        # Values that differ may be one key: -0.0 and 0.0, a moment in two zones.
        positions: dict[Any, int] = {}
        merged = [positions.setdefault(key, len(positions)) for key in keys]
        return KeyColumn(np.array(merged, np.int64)[codes], np.fromiter(positions, object))

    def _route_columns(self, batch: ColumnBatch) -> Routed:
        """Hashes each distinct key once, by the same function as for rows."""
        import numpy as np

        if self.parallelism == 1:
            yield 0, batch
            return
        assert batch.keys is not None
        distinct = batch.keys.distinct
        target_of_key = np.array(self._keys.subtasks(distinct.tolist()))
        for target, part in self._scatter_columns(batch, target_of_key[batch.keys.codes]):
            assert isinstance(part, ColumnBatch)
            assert part.keys is not None
            own = np.flatnonzero(target_of_key == target)
            renumbered = np.zeros(len(distinct), np.int64)
            renumbered[own] = np.arange(len(own))
            keys = KeyColumn(renumbered[part.keys.codes], distinct[own])
            yield target, replace(part, keys=keys)

    def _note_record(self, error: Exception, batch: RowBatch) -> None:
        """Finds the record whose key cannot be had, by asking again one by one."""
        for value in batch.values:
            try:
                canonical_key(self._partitioning.selector(value))
            except Exception:  # any error of the user's selector marks the record
                break
        else:
            return
        note_place(error, f"in key_by({self._partitioning.description}), record {short(value)}")


def make_router(
    partitioning: Partitioning,
    sender: int,
    parallelism: int,
    max_parallelism: int,
    random: Random,
) -> Router:
    """The router of one sending subtask for one edge."""
    if isinstance(partitioning, Forward):
        return OneRouter(sender)
    if isinstance(partitioning, Global):
        return OneRouter(0)
    if isinstance(partitioning, Broadcast):
        return BroadcastRouter(parallelism)
    if isinstance(partitioning, Rebalance):
        return RebalanceRouter(parallelism, random.randrange(parallelism))
    if isinstance(partitioning, Shuffle):
        return ShuffleRouter(parallelism, random)
    if isinstance(partitioning, Custom):
        return CustomRouter(parallelism, partitioning)
    if isinstance(partitioning, Hash):
        return HashRouter(parallelism, max_parallelism, partitioning)
    assert_never(partitioning)
