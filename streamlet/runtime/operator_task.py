"""A task that reads from other tasks: it aligns barriers and combines watermarks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streamlet.checkpoint.alignment import Aligned, BarrierAlignment, Outcome
from streamlet.elements import (
    Barrier,
    CancelBarrier,
    ColumnBatch,
    Element,
    EndOfInput,
    KeyColumn,
    RowBatch,
    StreamStatus,
    Watermark,
)
from streamlet.errors import InternalError
from streamlet.eventtime.combiner import WatermarkCombiner
from streamlet.runtime.channel import Channel, InputGate
from streamlet.runtime.messages import CheckpointAborted, ToTask
from streamlet.runtime.task import Task, TaskParts

_log = logging.getLogger("streamlet.task")


class OperatorTask(Task):
    """Reads its channels in turn, except those that wait for a barrier's alignment."""

    def __init__(self, channels: Sequence[Channel], parts: TaskParts) -> None:
        super().__init__(parts)
        self._alignment = BarrierAlignment(len(channels))
        self._gate = InputGate(channels, self._alignment.is_blocked)
        self._combiner = WatermarkCombiner(len(channels))
        self._open_channels = set(range(len(channels)))
        self._keyed_state = self._contexts[self.head_uid].keyed_state
        for channel in channels:
            channel.on_element(self.wake)

    def _open(self) -> None:
        super()._open()
        if self._keyed_state is not None:
            self._keyed_state.check_own_taken()
            if self.task[1] == 0:  # what is restored is noted alike for all subtasks
                self._warn_of_unasked(self._keyed_state.unasked())

    def _warn_of_unasked(self, names: Sequence[str]) -> None:
        if names:
            _log.warning(
                "the savepoint has state that operator %r did not ask for in open(): %s; it is "
                "kept as it is for a later version. If it was renamed, give it its old name",
                self.head_uid,
                ", ".join(map(repr, names)),
            )

    async def _step(self) -> bool:
        polled = self._gate.poll()
        if polled is None:
            return False
        await self._on_element(*polled)
        return True

    def _next_step_ms(self) -> int | None:
        return None

    async def _on_message(self, message: ToTask) -> None:
        if isinstance(message, CheckpointAborted):
            await self._follow_up(self._alignment.abort(message.checkpoint_id))
        await super()._on_message(message)

    async def _on_element(self, channel: int, element: Element) -> None:
        if isinstance(element, RowBatch | ColumnBatch):
            if self._keyed_state is not None and (keys := element.keys) is not None:
                self._keyed_state.prefetch(keys.distinct if isinstance(keys, KeyColumn) else keys)
            await self._feed(element)
        elif isinstance(element, Watermark):
            for combined in self._combiner.on_watermark(channel, element.timestamp_ms):
                await self._feed(combined)
        elif isinstance(element, StreamStatus):
            for combined in self._combiner.on_status(channel, element.is_idle):
                await self._feed(combined)
        elif isinstance(element, Barrier):
            await self._follow_up(self._alignment.on_barrier(channel, element))
        elif isinstance(element, CancelBarrier):
            await self._follow_up(self._alignment.on_cancel(element))
        elif isinstance(element, EndOfInput):
            await self._on_end_of_input(channel)
        else:
            raise InternalError(f"{element!r} does not go through a channel")

    async def _on_end_of_input(self, channel: int) -> None:
        for combined in self._combiner.on_end(channel):
            await self._feed(combined)
        self._open_channels.discard(channel)
        if not self._open_channels:
            await self._feed(EndOfInput())
            self._end()

    async def _follow_up(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Aligned):
                await self._checkpoint(outcome.barrier)
            else:
                await self._cancel_barrier(outcome.checkpoint_id)
