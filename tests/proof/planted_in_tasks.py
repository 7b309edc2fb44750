"""Bugs to plant in what tasks do: alignment, positions, state, timers, sessions, watermarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamlet.checkpoint import operator_state
from streamlet.checkpoint.alignment import BarrierAlignment
from streamlet.checkpoint.state_files import StateFiles
from streamlet.elements import Element, RowBatch
from streamlet.eventtime.splits import SplitWatermarks
from streamlet.eventtime.timers import TimerQueue
from streamlet.operators import timers
from streamlet.operators.operator import OperatorContext
from streamlet.operators.session import END, START, SessionWindowOperator
from streamlet.runtime import attempt_start, recovery
from streamlet.runtime.channel import InputGate
from streamlet.runtime.recovery import Recovery
from streamlet.runtime.split_reader import Polled, SplitReader
from streamlet.state.log import Generation, Stage, StateLog

Patch: TypeAlias = pytest.MonkeyPatch


def barriers_block_nothing(patch: Patch) -> None:
    """CP-10: records behind a barrier then count in its checkpoint, and again after a restore."""
    patch.setattr(BarrierAlignment, "is_blocked", lambda self, channel: False)


def batch_behind_the_barrier_is_dropped(patch: Patch) -> None:
    """What waited in a blocked channel is lost with the end of the alignment."""
    poll = InputGate.poll
    blocked_before: dict[int, set[int]] = {}

    def lossy(self: InputGate) -> tuple[int, Element] | None:
        blocked = {i for i in range(len(self.channels)) if self._is_blocked(i)}
        for channel in blocked_before.get(id(self), set()) - blocked:
            waiting = self.channels[channel]
            if len(waiting) and isinstance(waiting._elements[0], RowBatch):
                waiting.receive_nowait()
        blocked_before[id(self)] = blocked
        return poll(self)

    patch.setattr(InputGate, "poll", lossy)


def position_is_ahead_of_what_was_emitted(patch: Patch) -> None:
    """What a thread has read ahead is then neither in the output nor read again."""
    poll = SplitReader._poll

    def hasty(self: SplitReader, max_records: int) -> Polled:
        polled = poll(self, max_records)
        self.position = polled.position
        return polled

    patch.setattr(SplitReader, "_poll", hasty)


def restored_splits_begin_anew(patch: Patch) -> None:
    """SRC-2: a split goes back to the coordinator with its position."""
    recover = recovery.recover

    def forgetful(*args: Any, **options: Any) -> Recovery:
        recovered = recover(*args, **options)
        recovered.splits = {
            uid: [[name, None] for name, _ in splits] for uid, splits in recovered.splits.items()
        }
        return recovered

    patch.setattr(attempt_start, "recover", forgetful)


def timers_are_forgotten_at_a_restore(patch: Patch) -> None:
    """TM-11: timers are state."""
    begin = timers.TimerDomain.__init__

    def forgetful(self: timers.TimerDomain, *args: Any) -> None:
        begin(self, *args)
        self._queue = TimerQueue()

    patch.setattr(timers.TimerDomain, "__init__", forgetful)


def session_is_split_by_a_restore(patch: Patch) -> None:
    """The restored part ends where it began, so that what belongs to it begins another one."""
    begin = SessionWindowOperator.open

    def forgetful(self: SessionWindowOperator, ctx: OperatorContext) -> None:
        begin(self, ctx)
        for key, _ in list(self._sessions.items()):
            sessions = self._sessions.for_update(key)
            for restored in sessions:
                restored[END] = restored[START] + 1
            self._sessions.put(key, sessions)

    patch.setattr(SessionWindowOperator, "open", forgetful)


def deletions_are_not_written(patch: Patch) -> None:
    """What was cleared is back after a restore."""
    write = StateFiles.write

    def undeleted(
        self: StateFiles, checkpoint_id: int, changes: Iterator[pa.RecordBatch]
    ) -> list[Any]:
        kept = (batch.filter(pc.invert(batch["deleted"])) for batch in changes)
        return write(self, checkpoint_id, kept)

    patch.setattr(StateFiles, "write", undeleted)


def changes_of_a_failed_write_count_as_written(patch: Patch) -> None:
    """The next checkpoint is then complete, and lacks them."""

    def hopeful(self: StateLog, generation: Generation) -> None:
        generation.stage = Stage.WRITTEN
        self.retire(generation)

    patch.setattr(StateLog, "unfreeze", hopeful)


def watermarks_do_not_wait_for_unread_splits(patch: Patch) -> None:
    """WM-34: the records of a split that is read later, as after a rescale, are late then."""
    patch.setattr(SplitWatermarks, "hold", property(lambda self: False, lambda self, value: None))


def remainder_of_list_state_is_dropped(patch: Patch) -> None:
    """OP-1: shares are even only if the parallelism divides the number of items."""

    def even(items: list[Any], parallelism: int, first: int = 0) -> list[list[Any]]:
        size = len(items) // parallelism
        return [items[index * size : (index + 1) * size] for index in range(parallelism)]

    patch.setattr(operator_state, "spread", even)
