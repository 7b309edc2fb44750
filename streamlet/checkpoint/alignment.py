"""Barrier alignment of one task: which channels may be read, and when to snapshot.

        barrier on a channel              barrier on the last channel
  FREE ----------------------> ALIGNING -----------------------------> snapshot, FREE
                                  |  newer barrier, cancellation, abort
                                  +-----------------------------------> FREE (or ALIGNING anew)

A pure machine: it says what to do and does nothing. Channels that delivered the barrier are
blocked, so that no record behind it is processed before the snapshot (CP-10). A channel whose input
has ended still delivers barriers, because its sender lives until the job's last checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from streamlet.elements import Barrier, CancelBarrier


@dataclass(frozen=True, slots=True)
class Aligned:
    """Every channel delivered this barrier: snapshot now."""

    barrier: Barrier


@dataclass(frozen=True, slots=True)
class Cancelled:
    """This checkpoint will not happen here: tell downstream."""

    checkpoint_id: int


Outcome: TypeAlias = Aligned | Cancelled


class BarrierAlignment:
    """Alignment over a fixed number of channels."""

    def __init__(self, channel_count: int) -> None:
        self._channel_count = channel_count
        self._pending: Barrier | None = None
        self._arrived: set[int] = set()
        self._latest_done = 0
        self._aborted: set[int] = set()

    def is_blocked(self, channel: int) -> bool:
        """Whether the channel must not be read now."""
        return channel in self._arrived

    @property
    def pending_id(self) -> int | None:
        """The checkpoint being aligned."""
        return None if self._pending is None else self._pending.checkpoint_id

    def on_barrier(self, channel: int, barrier: Barrier) -> list[Outcome]:
        """A barrier came on a channel that was not blocked."""
        outcomes: list[Outcome] = []
        if barrier.checkpoint_id <= self._latest_done:
            return outcomes  # done, or aborted before: the channel goes on
        if barrier.checkpoint_id in self._aborted:
            outcomes.append(self._cancel(barrier.checkpoint_id))  # CP-32: the abort came first
            return outcomes
        if self._pending is not None and barrier.checkpoint_id < self._pending.checkpoint_id:
            return outcomes
        if self._pending is not None and barrier.checkpoint_id > self._pending.checkpoint_id:
            outcomes.append(self._cancel(self._pending.checkpoint_id))  # CP-11
        self._pending = barrier
        self._arrived.add(channel)
        if len(self._arrived) == self._channel_count:
            self._free(barrier.checkpoint_id)
            outcomes.append(Aligned(barrier))
        return outcomes

    def on_cancel(self, cancel: CancelBarrier) -> list[Outcome]:
        """A sender says that the checkpoint was aborted there (CP-12)."""
        if cancel.checkpoint_id <= self._latest_done:
            return []
        if self._pending is not None and cancel.checkpoint_id < self._pending.checkpoint_id:
            return []
        return [self._cancel(cancel.checkpoint_id)]

    def abort(self, checkpoint_id: int) -> list[Outcome]:
        """The coordinator gave the checkpoint up; its barriers may still be on their way."""
        if checkpoint_id <= self._latest_done:
            return []
        if self.pending_id == checkpoint_id:
            return [self._cancel(checkpoint_id)]
        self._aborted.add(checkpoint_id)
        return []

    def _cancel(self, checkpoint_id: int) -> Cancelled:
        self._free(checkpoint_id)
        return Cancelled(checkpoint_id)

    def _free(self, done_id: int) -> None:
        self._pending = None
        self._arrived.clear()
        self._latest_done = done_id
        self._aborted = {aborted for aborted in self._aborted if aborted > done_id}
