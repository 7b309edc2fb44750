"""Hands out the state of the current key, and the state of the current key and window."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from streamlet.state.cells import KeyCell, KeyMapCell, WindowCell, WindowMapCell, WindowScope
from streamlet.state.collection_states import ListState, MapState, elements_codec
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.log import Layout, StateLog
from streamlet.state.single_states import (
    AggregatingState,
    ReducingState,
    ValueState,
    WindowValueState,
)

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

    def __init__(self, log: StateLog) -> None:
        self._log = log
        self._windows = WindowStateHandles(log)

    def namespaced(self, window: tuple[int, int]) -> WindowStateHandles:
        """State of the current key and this window, until the next call names another."""
        self._windows.scope.bounds = window
        return self._windows

    def get_state(self, descriptor: ValueStateDescriptor[T]) -> ValueState[T]:
        table = self._log.flat(descriptor.name, codec=descriptor.codec, kind=descriptor.kind)
        return ValueState(descriptor, self._log, table)

    def get_list_state(self, descriptor: ListStateDescriptor[T]) -> ListState[T]:
        codec = elements_codec(descriptor.codec)
        return ListState(descriptor, self._owned(descriptor.name, codec, descriptor.kind, list))

    def get_map_state(self, descriptor: MapStateDescriptor[K, V]) -> MapState[K, V]:
        table = self._log.nested(
            descriptor.name, Layout.MAP, descriptor.codec, kind=descriptor.kind
        )
        return MapState(descriptor, KeyMapCell(self._log, table))

    def get_reducing_state(self, descriptor: ReducingStateDescriptor[T]) -> ReducingState[T]:
        table = self._log.flat(descriptor.name, codec=descriptor.codec, kind=descriptor.kind)
        return ReducingState(descriptor, KeyCell(self._log, table))

    def get_aggregating_state(
        self, descriptor: AggregatingStateDescriptor[K, V]
    ) -> AggregatingState[K, V]:
        cell = self._owned(descriptor.name, descriptor.codec, descriptor.kind, None)
        return AggregatingState(descriptor, cell)

    def _owned(self, name: str, codec: Any, kind: str, copy: Any) -> KeyCell:
        table = self._log.flat(name, codec=codec, kind=kind, owned=True, copy=copy)
        return KeyCell(self._log, table)


class WindowStateHandles:
    """The KeyedStateStore of one window: `scope.bounds` is the window at each access."""

    def __init__(self, log: StateLog) -> None:
        self._log = log
        self.scope = WindowScope()

    def get_state(self, descriptor: ValueStateDescriptor[T]) -> ValueState[T]:
        return WindowValueState(descriptor, self._cell(descriptor))

    def get_list_state(self, descriptor: ListStateDescriptor[T]) -> ListState[T]:
        codec = elements_codec(descriptor.codec)
        return ListState(descriptor, self._cell(descriptor, codec, owned=True, copy=list))

    def get_map_state(self, descriptor: MapStateDescriptor[K, V]) -> MapState[K, V]:
        table = self._log.nested(
            WINDOW_PREFIX + descriptor.name, Layout.MAP, descriptor.codec, kind=descriptor.kind
        )
        return MapState(descriptor, WindowMapCell(self._log, self.scope, table))

    def get_reducing_state(self, descriptor: ReducingStateDescriptor[T]) -> ReducingState[T]:
        return ReducingState(descriptor, self._cell(descriptor))

    def get_aggregating_state(
        self, descriptor: AggregatingStateDescriptor[K, V]
    ) -> AggregatingState[K, V]:
        return AggregatingState(descriptor, self._cell(descriptor, owned=True))

    def _cell(
        self, descriptor: Any, codec: Any = None, *, owned: bool = False, copy: Any = None
    ) -> WindowCell:
        table = self._log.nested(
            WINDOW_PREFIX + descriptor.name,
            Layout.MAP,
            codec or descriptor.codec,
            kind=descriptor.kind,
            owned=owned,
            copy=copy,
        )
        return WindowCell(self._log, self.scope, table)
