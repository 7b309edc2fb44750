"""Value, reducing and aggregating state: handles with one value per key (ST-1, ST-2).

What a handle gives out is the caller's own: changing it does not change the state. `update` and
`add` take a copy in the same way, and refuse at once a value that state cannot keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from typing_extensions import TypeVar

from streamlet.errors import note_place
from streamlet.functions import AggregateFunction, ReduceFunction
from streamlet.state.cells import Cell
from streamlet.state.codec import ATOMS, DEFAULT_CODEC, Codec, Encoded, handed_out, keep
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.flat_table import FlatTable
from streamlet.state.layout import MISSING, Absent
from streamlet.state.log import StateLog

T = TypeVar("T", default=Any)
K = TypeVar("K", default=Any)
V = TypeVar("V", default=Any)


class ValueState(Generic[T]):
    """One value per key."""

    __slots__ = ("_codec", "_default", "_name", "_table", "_takes_as_is", "_log")  # noqa: RUF023

    def __init__(
        self, descriptor: ValueStateDescriptor[T], log: StateLog, table: FlatTable
    ) -> None:
        self._log = log
        self._table = table
        self._name = descriptor.name
        self._codec = descriptor.codec
        self._takes_as_is = kept_as_is(descriptor.codec)
        self._default = _kept_default(descriptor)

    def value(self) -> T:
        """The value of the current key, or the default."""
        kept = self._table.dirty.get(self._log.key, MISSING)
        if kept.__class__ is Absent:
            kept = self._table.get(self._log.key, self._default)
        if kept.__class__ is Encoded:
            kept = self._codec.decode(kept.payload)
        return kept  # type: ignore[no-any-return]

    def update(self, value: T | None) -> None:
        """Sets the value; None clears it (ST-2)."""
        if value is None:
            self._table.remove(self._log.key)
        elif type(value) in self._takes_as_is:
            self._table.dirty[self._log.key] = value
        else:
            self._table.dirty[self._log.key] = kept_value(value, self._codec, self._name)

    def clear(self) -> None:
        self._table.remove(self._log.key)


class CellValueState(ValueState[T]):
    """One value per key and window, or one with a TTL: whatever the cell says."""

    __slots__ = ("_cell",)

    def __init__(self, descriptor: ValueStateDescriptor[T], cell: Cell) -> None:
        self._cell = cell
        self._name = descriptor.name
        self._codec = descriptor.codec
        self._default = _kept_default(descriptor)

    def value(self) -> T:
        kept = self._cell.get()
        if kept is MISSING:
            kept = self._default
        return handed_out(kept, self._codec)  # type: ignore[no-any-return]

    def update(self, value: T | None) -> None:
        if value is None:
            self._cell.remove()
        else:
            self._cell.put(kept_value(value, self._codec, self._name))

    def clear(self) -> None:
        self._cell.remove()


class ReducingState(Generic[T]):
    """One value per key, into which what is added is folded."""

    __slots__ = ("_cell", "_codec", "_name", "_reduce")

    def __init__(self, descriptor: ReducingStateDescriptor[T], cell: Cell) -> None:
        self._cell = cell
        self._name = descriptor.name
        self._codec = descriptor.codec
        function = descriptor.fn
        self._reduce: Callable[[T, T], T] = (
            function.reduce if isinstance(function, ReduceFunction) else function
        )

    def get(self) -> T | None:
        """The folded value, or None when nothing was added."""
        kept = self._cell.get()
        return None if kept is MISSING else handed_out(kept, self._codec)

    def add(self, value: T) -> None:
        kept = self._cell.get()
        if kept is not MISSING:
            value = self._reduce(handed_out(kept, self._codec), value)
        self._cell.put(kept_value(value, self._codec, self._name))

    def clear(self) -> None:
        self._cell.remove()


class AggregatingState(Generic[K, V]):
    """One accumulator per key; takes values of type K and gives results of type V."""

    __slots__ = ("_aggregate", "_cell", "_codec", "_is_checked", "_name")

    def __init__(self, descriptor: AggregatingStateDescriptor[K, V], cell: Cell) -> None:
        self._cell = cell
        self._name = descriptor.name
        self._codec = descriptor.codec
        self._aggregate: AggregateFunction[K, Any, V] = descriptor.agg
        self._is_checked = False

    def get(self) -> V | None:
        """The result so far, or None when nothing was added."""
        accumulator = self._cell.get()
        if accumulator is MISSING:
            return None
        # a copy, because the result may be the accumulator itself
        return self._aggregate.get_result(handed_out(accumulator, self._codec))

    def add(self, value: K) -> None:
        accumulator = self._cell.for_update()
        if accumulator is MISSING:
            accumulator = self._aggregate.create_accumulator()
        accumulator = self._aggregate.add(value, accumulator)
        if not self._is_checked:
            # a type that cannot be written fails here, and not at the next checkpoint
            kept_value(accumulator, self._codec, self._name)
            self._is_checked = True
        self._cell.put(accumulator)

    def clear(self) -> None:
        self._cell.remove()


def _kept_default(descriptor: ValueStateDescriptor[Any]) -> Any:
    if descriptor.default is None:
        return None
    return kept_value(descriptor.default, descriptor.codec, descriptor.name)


def kept_as_is(codec: Codec) -> frozenset[type]:
    """The types whose values `keep` gives back as they are, without being asked."""
    return ATOMS if codec is DEFAULT_CODEC else frozenset()


def kept_value(value: Any, codec: Codec, name: str) -> Any:
    """As `keep`; names the state when it refuses the value."""
    try:
        return keep(value, codec)
    except Exception as error:
        note_place(error, f"in state {name!r}")
        raise
