"""Bugs to plant in what is kept of columns: accumulators, slices, and up to when they fired."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from streamlet.eventtime.timers import TimerQueue
from streamlet.operators.fired import FiredUntil
from streamlet.operators.operator import OperatorContext
from streamlet.operators.session import SessionWindowOperator
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.state.arrays import Part
from streamlet.state.flat_table import FlatTable
from streamlet.state.key_index import Keys, Slots
from streamlet.state.layers import Layer, LayeredTable
from streamlet.state.layout import StateSpec
from streamlet.state.nested_table import NestedTable

Patch: TypeAlias = pytest.MonkeyPatch


def mark_of_fired_windows_is_not_written(patch: Patch) -> None:
    """WM-54: a slice that is restored would fire in windows that have fired."""
    patch.setattr(FiredUntil, "snapshot", lambda self, watermark_ms: [])


def late_columns_are_folded_in_after_a_restore(patch: Patch) -> None:
    """SQL-3: what is late is so with and without a restore, also for a whole batch."""

    def lenient(self: SlicedWindowOperator, timestamp: int) -> bool:
        return self._assigner.spans(timestamp)[0][1] - 1 > self._watermark_ms

    patch.setattr(SlicedWindowOperator, "_are_all_open", lenient)


def accumulators_are_changed_while_they_are_written(patch: Patch) -> None:
    """ST-5: the checkpoint then holds what came after its barrier."""

    def shared(self: StateSpec, value: Any) -> Any:
        return value

    patch.setattr(StateSpec, "copied", shared)


def arrays_are_not_written(patch: Patch) -> None:
    """ST-5: a barrier that forgets what columns work on; in memory nothing is missing."""
    freeze = LayeredTable.freeze

    def forgetful(self: LayeredTable) -> list[Layer]:
        arrays, self.arrays = self.arrays, {}
        layers = freeze(self)
        self.arrays = arrays
        return layers

    patch.setattr(LayeredTable, "freeze", forgetful)


def frozen_arrays_go_on_changing(patch: Patch) -> None:
    """ST-5: what comes after the barrier is folded into what is being written."""
    freeze = LayeredTable.freeze

    def shared(self: LayeredTable) -> list[Layer]:
        arrays = self.arrays
        layers = freeze(self)
        self.arrays = arrays
        return layers

    patch.setattr(LayeredTable, "freeze", shared)


def windows_frozen_in_arrays_are_dropped_without_a_trace(patch: Patch) -> None:
    """WN-23: they have fired, and a restore brings them back."""
    remove_all = NestedTable._remove_all

    def traceless(self: NestedTable, outer: Any, inners: list[Any]) -> None:
        frozen = self._frozen
        self._frozen = [layer for layer in frozen if isinstance(layer.get(outer, {}), dict)]
        remove_all(self, outer, inners)
        self._frozen = frozen

    patch.setattr(NestedTable, "_remove_all", traceless)


def failed_write_hides_newer_arrays(patch: Patch) -> None:
    """ST-5: what could not be written is dirty again, although arrays hold what came after it."""
    take_out = LayeredTable._take_out

    def without_arrays(self: LayeredTable, layer: Layer) -> list[Layer]:
        return [newer for newer in take_out(self, layer) if newer is not self.arrays]

    patch.setattr(LayeredTable, "_take_out", without_arrays)


def removal_stays_beside_what_is_put_in_arrays(patch: Patch) -> None:
    """ST-5: a key that comes again is written as removed."""

    def beside(self: FlatTable, entries: Keys, slots: Slots, parts: list[Part]) -> None:
        self.arrays.put(entries, slots, parts)

    patch.setattr(FlatTable, "put_in_arrays", beside)


def sessions_that_fired_in_arrays_leave_no_trace(patch: Patch) -> None:
    """ST-5: a restore finds them in an older checkpoint, and they fire once more."""

    def traceless(self: FlatTable, entries: Keys) -> None:
        self.arrays.remove(entries)

    patch.setattr(FlatTable, "remove_from_arrays", traceless)


def sessions_are_restored_without_their_timers(patch: Patch) -> None:
    """TM-11: those that no further record comes for never fire."""
    open_ = SessionWindowOperator.open

    def untimed(self: SessionWindowOperator, ctx: OperatorContext) -> None:
        open_(self, ctx)
        self._timers = TimerQueue()

    patch.setattr(SessionWindowOperator, "open", untimed)
