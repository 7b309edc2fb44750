"""Where a handle finds its value: under the current key, or under key and window.

The four classes give handles one way to reach both, without an entry to pass around.
"""

from __future__ import annotations

from typing import Any, Protocol

from streamlet.state.layout import MISSING, Absent
from streamlet.state.log import FlatTable, NestedTable, StateLog


class CurrentWindow:
    """The window that window state belongs to at the moment."""

    __slots__ = ("bounds",)

    def __init__(self) -> None:
        self.bounds: tuple[int, int] = (0, 0)


class Cell(Protocol):
    """The one value of a state under the current key."""

    def get(self) -> Any:
        """The value or MISSING; an owned value must not be changed."""

    def for_update(self) -> Any:
        """The value, which may be changed in place, or MISSING."""

    def put(self, value: Any) -> None: ...
    def remove(self) -> None: ...


class MapCell(Protocol):
    """The entries of a map state under the current key."""

    def get(self, inner: Any) -> Any:
        """The value or MISSING."""

    def put(self, inner: Any, value: Any) -> None: ...
    def remove(self, inner: Any) -> None: ...
    def scan(self) -> list[tuple[Any, Any]]:
        """All entries by ascending inner."""

    def is_empty(self) -> bool: ...
    def drop(self) -> None: ...


class KeyCell:
    """A Cell of the current key."""

    __slots__ = ("_log", "_table")

    def __init__(self, log: StateLog, table: FlatTable) -> None:
        self._log = log
        self._table = table

    def get(self) -> Any:
        return self._table.get(self._log.key, MISSING)

    def for_update(self) -> Any:
        return self._table.for_update(self._log.key)

    def put(self, value: Any) -> None:
        self._table.dirty[self._log.key] = value

    def remove(self) -> None:
        self._table.remove(self._log.key)


class WindowCell:
    """A Cell of the current key and window; the window is the inner of a MAP table."""

    __slots__ = ("_log", "_table", "_window")

    def __init__(self, log: StateLog, window: CurrentWindow, table: NestedTable) -> None:
        self._log = log
        self._window = window
        self._table = table

    def get(self) -> Any:
        return self._table.get(self._log.key, self._window.bounds, MISSING)

    def for_update(self) -> Any:
        return self._table.for_update(self._log.key, self._window.bounds)

    def put(self, value: Any) -> None:
        self._table.put(self._log.key, self._window.bounds, value)

    def remove(self) -> None:
        self._table.remove(self._log.key, self._window.bounds)


class KeyMapCell:
    """A MapCell of the current key."""

    __slots__ = ("_log", "_table")

    def __init__(self, log: StateLog, table: NestedTable) -> None:
        self._log = log
        self._table = table

    def get(self, inner: Any) -> Any:
        inners = self._table.dirty.get(self._log.key)
        if inners is not None and (value := inners.get(inner, MISSING)).__class__ is not Absent:
            return value
        return self._table.get(self._log.key, inner, MISSING)

    def put(self, inner: Any, value: Any) -> None:
        inners = self._table.dirty.get(self._log.key)
        if inners is None:
            self._table.put(self._log.key, inner, value)
        else:
            inners[inner] = value

    def remove(self, inner: Any) -> None:
        self._table.remove(self._log.key, inner)

    def scan(self) -> list[tuple[Any, Any]]:
        return self._table.scan(self._log.key)

    def is_empty(self) -> bool:
        return not self.scan()

    def drop(self) -> None:
        self._table.drop(self._log.key)


class WindowMapCell:
    """A MapCell of the current key and window; `(start, end, map key)` is the inner."""

    __slots__ = ("_log", "_table", "_window")

    def __init__(self, log: StateLog, window: CurrentWindow, table: NestedTable) -> None:
        self._log = log
        self._window = window
        self._table = table

    def get(self, inner: Any) -> Any:
        return self._table.get(self._log.key, (*self._window.bounds, inner), MISSING)

    def put(self, inner: Any, value: Any) -> None:
        self._table.put(self._log.key, (*self._window.bounds, inner), value)

    def remove(self, inner: Any) -> None:
        self._table.remove(self._log.key, (*self._window.bounds, inner))

    def scan(self) -> list[tuple[Any, Any]]:
        bounds = self._window.bounds
        return [
            (inner[2], value)
            for inner, value in self._table.scan(self._log.key)
            if inner[:2] == bounds
        ]

    def is_empty(self) -> bool:
        return not self.scan()

    def drop(self) -> None:
        for inner, _ in self.scan():
            self.remove(inner)
