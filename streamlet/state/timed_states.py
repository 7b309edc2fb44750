"""Makes the states that have a TTL, for the current key and for key and window.

Their tables have names of their own, so that rows say whether they carry times: a restored state
whose TTL was switched on or off is recognised and refused (TTL-7).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from typing_extensions import TypeVar

from streamlet.clock import Clock
from streamlet.errors import RestoreError, StateTypeError
from streamlet.state.cells import (
    Cell,
    CurrentWindow,
    KeyCell,
    KeyMapCell,
    WindowCell,
    WindowMapCell,
)
from streamlet.state.codec import Codec, handed_out
from streamlet.state.collection_states import ListState
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    AnyDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
    declared_type,
)
from streamlet.state.layout import MISSING, Layout
from streamlet.state.log import FlatTable, NestedTable, StateLog
from streamlet.state.sweep import Sweep, Trim
from streamlet.state.timed_cells import (
    TimedCell,
    TimedMapCell,
    timed_accumulator_codec,
    timed_codec,
    timed_elements_codec,
)
from streamlet.state.ttl import Expiry, StateTtlConfig, Timed, trim_elements, trim_one

T = TypeVar("T", default=Any)

TTL_PREFIX: Final = "_ttl/"

SingleDescriptor: TypeAlias = ValueStateDescriptor[Any] | ReducingStateDescriptor[Any]


class TimedListState(ListState[T]):
    """A list of values per key, each with a time of its own (TTL-4)."""

    __slots__ = ("_expiry", "_sweep")

    def __init__(
        self, descriptor: ListStateDescriptor[T], cell: Cell, expiry: Expiry, sweep: Sweep
    ) -> None:
        super().__init__(descriptor, cell)
        self._expiry = expiry
        self._sweep = sweep

    def get(self) -> list[T]:
        """The elements that are not expired, in the order they were added."""
        elements = self._cell.get()
        if elements is MISSING:
            self._sweep.step()
            return []
        left = self._renewed(trim_elements(elements, self._expiry.limit_ms()))
        if left is MISSING:
            self._cell.remove()
        elif left is not elements:
            self._cell.put(left)
        self._sweep.step()
        shown = elements if self._expiry.is_shown_when_expired else left
        codec = self._codec
        return [handed_out(value, codec) for _, value in (() if shown is MISSING else shown)]

    def update(self, values: Iterable[T]) -> None:
        super().update(values)
        self._sweep.step()

    def _kept(self, value: T) -> Timed:
        return self._expiry.now_ms(), super()._kept(value)

    def _extend(self, added: list[Any]) -> None:
        super()._extend(added)
        self._sweep.step()

    def _renewed(self, elements: Any) -> Any:
        if elements is MISSING or not self._expiry.is_renewed_by_reading:
            return elements
        now_ms = self._expiry.now_ms()
        return [(now_ms, value) for _, value in elements]


class TimedStates:
    """Cells with a TTL; `window` says whose they are: the current key's, or a window's too."""

    def __init__(
        self, log: StateLog, clock: Clock, prefix: str = "", window: CurrentWindow | None = None
    ) -> None:
        self._log = log
        self._clock = clock
        self._prefix = prefix
        self._window = window
        self._sweeps: dict[str, Sweep] = {}

    def single(self, descriptor: SingleDescriptor, ttl: StateTtlConfig) -> TimedCell:
        """The cell of a value or reducing state."""
        codec = timed_codec(descriptor.codec)
        return TimedCell(*self._cell(descriptor, codec, _unchanged, trim_one, ttl))

    def accumulator(
        self, descriptor: AggregatingStateDescriptor[Any, Any], ttl: StateTtlConfig
    ) -> TimedCell:
        codec = timed_accumulator_codec(descriptor.codec)
        return TimedCell(*self._cell(descriptor, codec, None, trim_one, ttl))

    def elements(
        self, descriptor: ListStateDescriptor[T], ttl: StateTtlConfig
    ) -> TimedListState[T]:
        codec = timed_elements_codec(descriptor.codec)
        return TimedListState(descriptor, *self._cell(descriptor, codec, list, trim_elements, ttl))

    def entries(
        self, descriptor: MapStateDescriptor[Any, Any], ttl: StateTtlConfig
    ) -> TimedMapCell:
        table = self._nested(descriptor, timed_codec(descriptor.codec), _unchanged)
        window = self._window
        cell = (
            KeyMapCell(self._log, table)
            if window is None
            else WindowMapCell(self._log, window, table)
        )
        return TimedMapCell(cell, Expiry(ttl, self._clock), self._sweep(table, trim_one, ttl))

    def _cell(
        self, descriptor: Any, codec: Codec, copy: Any, trim: Trim, ttl: StateTtlConfig
    ) -> tuple[Cell, Expiry, Sweep]:
        expiry = Expiry(ttl, self._clock)
        if self._window is not None:
            nested = self._nested(descriptor, codec, copy)
            cell = WindowCell(self._log, self._window, nested)
            return cell, expiry, self._sweep(nested, trim, ttl)
        name = timed_name(self._log, self._prefix, descriptor)
        flat = self._log.flat(name, codec=codec, kind=descriptor.kind, owned=True, copy=copy)
        return KeyCell(self._log, flat), expiry, self._sweep(flat, trim, ttl)

    def _nested(self, descriptor: Any, codec: Codec, copy: Any) -> NestedTable:
        name = timed_name(self._log, self._prefix, descriptor)
        return self._log.nested(
            name, Layout.MAP, codec, kind=descriptor.kind, owned=True, copy=copy
        )

    def _sweep(self, table: FlatTable | NestedTable, trim: Trim, ttl: StateTtlConfig) -> Sweep:
        """One per state: asking for a state again must not begin its sweep anew."""
        name = table.spec.name
        sweep = self._sweeps.get(name)
        if sweep is None:
            sweep = self._sweeps[name] = Sweep(table, trim, ttl.ttl_ms, self._clock)
        elif sweep.ttl_ms != ttl.ttl_ms:
            raise StateTypeError(
                f"state {name.removeprefix(self._prefix + TTL_PREFIX)!r} {self._log.place} is "
                f"asked for with a TTL of {ttl.ttl_ms} ms, but it has one of {sweep.ttl_ms} ms; "
                "give it one TTL"
            )
        return sweep


def plain_name(log: StateLog, prefix: str, descriptor: AnyDescriptor) -> str:
    """The table of a state without a TTL; raises RestoreError when it had one (TTL-7)."""
    name = descriptor.name
    _refuse_twin(log, prefix + TTL_PREFIX + name, f"state {name!r} {log.place} has no TTL now")
    log.types.declare(prefix + name, declared_type(descriptor))
    return prefix + name


def timed_name(log: StateLog, prefix: str, descriptor: AnyDescriptor) -> str:
    """The table of a state with a TTL; raises RestoreError when it had none (TTL-7)."""
    name = descriptor.name
    _refuse_twin(log, prefix + name, f"state {name!r} {log.place} has a TTL now")
    log.types.declare(prefix + TTL_PREFIX + name, declared_type(descriptor))
    return prefix + TTL_PREFIX + name


def _refuse_twin(log: StateLog, twin: str, said: str) -> None:
    """Raises StateTypeError when it is the program itself that asks for both."""
    if not log.has_state(twin):
        return
    has_ttl = TTL_PREFIX in twin
    if log.is_restored(twin):
        raise RestoreError(
            f"{said}, but its restored values {'carry' if has_ttl else 'do not carry'} the times "
            "that a TTL needs; keep ttl= as it was, or use another name for the new state"
        )
    raise StateTypeError(
        f"{said}, but it was asked for {'with' if has_ttl else 'without'} one before; "
        "give it one TTL"
    )


def _unchanged(timed: Timed) -> Timed:
    """A copy of what nobody can change."""
    return timed
