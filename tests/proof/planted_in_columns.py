"""Bugs to plant in what is kept of columns: accumulators, slices, and up to when they fired."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from streamlet.operators.fired import FiredUntil
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.state.layout import StateSpec

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
