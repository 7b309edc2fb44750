"""Hands out the state of the current key, and the state of the current key and window."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from streamlet.clock import Clock
from streamlet.state.cells import CurrentWindow, KeyCell, KeyMapCell, WindowCell, WindowMapCell
from streamlet.state.codec import Codec
from streamlet.state.collection_states import ListState, MapState, elements_codec
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.log import FlatTable, Layout, NestedTable, StateLog
from streamlet.state.single_states import (
    AggregatingState,
    CellValueState,
    ReducingState,
    ValueState,
)
from streamlet.state.timed_states import TimedStates, plain_name

__all__ = [
    "AggregatingState",
    "KeyedStateHandles",
    "ListState",
    "MapState",
    "ReducingState",
    "ValueState",
    "WindowStateHandles",
]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

WINDOW_PREFIX: Final = "_window/"
"""Window state has names of its own, so that it may share a name with the key's state."""


class KeyedStateHandles:
    """The KeyedStateStore of one operator: state of the key that `log.key` is at each access.

    Asking twice for one name gives handles to one state; as another kind it is refused (ST-4).
    """

    def __init__(self, log: StateLog, clock: Clock) -> None:
        self._log = log
        self._timed = TimedStates(log, clock)
        self._windows = WindowStateHandles(log, clock)

    def namespaced(self, window: tuple[int, int]) -> WindowStateHandles:
        """State of the current key and this window, until the next call names another."""
        self._windows.window.bounds = window
        return self._windows

    def get_state(self, descriptor: ValueStateDescriptor[T]) -> ValueState[T]:
        if descriptor.ttl is not None:
            return CellValueState(descriptor, self._timed.single(descriptor, descriptor.ttl))
        return ValueState(descriptor, self._log, self._flat(descriptor, descriptor.codec))

    def get_list_state(self, descriptor: ListStateDescriptor[T]) -> ListState[T]:
        if descriptor.ttl is not None:
            return self._timed.elements(descriptor, descriptor.ttl)
        codec = elements_codec(descriptor.codec)
        table = self._flat(descriptor, codec, owned=True, copy=list)
        return ListState(descriptor, KeyCell(self._log, table))

    def get_map_state(self, descriptor: MapStateDescriptor[K, V]) -> MapState[K, V]:
        if descriptor.ttl is not None:
            return MapState(descriptor, self._timed.entries(descriptor, descriptor.ttl))
        name = plain_name(self._log, "", descriptor)
        table = self._log.nested(name, Layout.MAP, descriptor.codec, kind=descriptor.kind)
        return MapState(descriptor, KeyMapCell(self._log, table))

    def get_reducing_state(self, descriptor: ReducingStateDescriptor[T]) -> ReducingState[T]:
        if descriptor.ttl is not None:
            return ReducingState(descriptor, self._timed.single(descriptor, descriptor.ttl))
        table = self._flat(descriptor, descriptor.codec)
        return ReducingState(descriptor, KeyCell(self._log, table))

    def get_aggregating_state(
        self, descriptor: AggregatingStateDescriptor[K, V]
    ) -> AggregatingState[K, V]:
        if descriptor.ttl is not None:
            return AggregatingState(descriptor, self._timed.accumulator(descriptor, descriptor.ttl))
        table = self._flat(descriptor, descriptor.codec, owned=True)
        return AggregatingState(descriptor, KeyCell(self._log, table))

    def _flat(
        self, descriptor: Any, codec: Codec, *, owned: bool = False, copy: Any = None
    ) -> FlatTable:
        name = plain_name(self._log, "", descriptor)
        return self._log.flat(name, codec=codec, kind=descriptor.kind, owned=owned, copy=copy)


class WindowStateHandles:
    """The KeyedStateStore of one window: `window.bounds` says which at each access."""

    def __init__(self, log: StateLog, clock: Clock) -> None:
        self._log = log
        self.window = CurrentWindow()
        self._timed = TimedStates(log, clock, WINDOW_PREFIX, self.window)

    def get_state(self, descriptor: ValueStateDescriptor[T]) -> ValueState[T]:
        if descriptor.ttl is not None:
            return CellValueState(descriptor, self._timed.single(descriptor, descriptor.ttl))
        return CellValueState(descriptor, self._cell(descriptor))

    def get_list_state(self, descriptor: ListStateDescriptor[T]) -> ListState[T]:
        if descriptor.ttl is not None:
            return self._timed.elements(descriptor, descriptor.ttl)
        codec = elements_codec(descriptor.codec)
        return ListState(descriptor, self._cell(descriptor, codec, owned=True, copy=list))

    def get_map_state(self, descriptor: MapStateDescriptor[K, V]) -> MapState[K, V]:
        if descriptor.ttl is not None:
            return MapState(descriptor, self._timed.entries(descriptor, descriptor.ttl))
        table = self._nested(descriptor, descriptor.codec)
        return MapState(descriptor, WindowMapCell(self._log, self.window, table))

    def get_reducing_state(self, descriptor: ReducingStateDescriptor[T]) -> ReducingState[T]:
        if descriptor.ttl is not None:
            return ReducingState(descriptor, self._timed.single(descriptor, descriptor.ttl))
        return ReducingState(descriptor, self._cell(descriptor))

    def get_aggregating_state(
        self, descriptor: AggregatingStateDescriptor[K, V]
    ) -> AggregatingState[K, V]:
        if descriptor.ttl is not None:
            return AggregatingState(descriptor, self._timed.accumulator(descriptor, descriptor.ttl))
        return AggregatingState(descriptor, self._cell(descriptor, owned=True))

    def _cell(
        self,
        descriptor: Any,
        codec: Codec | None = None,
        *,
        owned: bool = False,
        copy: Any = None,
    ) -> WindowCell:
        table = self._nested(descriptor, codec or descriptor.codec, owned=owned, copy=copy)
        return WindowCell(self._log, self.window, table)

    def _nested(
        self, descriptor: Any, codec: Codec, *, owned: bool = False, copy: Any = None
    ) -> NestedTable:
        name = plain_name(self._log, WINDOW_PREFIX, descriptor)
        kind = descriptor.kind
        return self._log.nested(name, Layout.MAP, codec, kind=kind, owned=owned, copy=copy)
