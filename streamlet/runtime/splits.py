"""Hands the splits of one source to its readers: each to exactly one, none forgotten.

A split is in exactly one place: here, or with a reader. The coordinator snapshots this machine and
sends the trigger in one step, and messages to a task keep their order. So a split handed out before
the trigger is in the reader's part of the checkpoint, and one handed out after it in ours (SRC-2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streamlet.runtime.messages import Split


@dataclass(frozen=True, slots=True)
class Handed:
    """What one reader gets."""

    subtask: int
    splits: list[Split]
    is_last: bool
    """No further split will come for this reader."""


class SplitAssignment:
    """The splits of one source that no reader has yet.

    `on_demand`: a reader gets one split at a time, when it asks; otherwise all are dealt out evenly
    as they are found. `is_growing`: further splits may be found while the job runs.
    """

    def __init__(self, parallelism: int, *, on_demand: bool, is_growing: bool) -> None:
        self._parallelism = parallelism
        self._on_demand = on_demand
        self._is_growing = is_growing
        self._unread: deque[Split] = deque()
        self._asking: deque[int] = deque()
        self._dealt = 0
        self._queues: list[list[Split]] = [[] for _ in range(parallelism)]

    def add(self, splits: Iterable[Split]) -> None:
        """Splits that were found, or came back in a restore, in the order to hand them out."""
        if self._on_demand:
            self._unread.extend(splits)
            return
        for split in splits:
            self._queues[self._dealt % self._parallelism].append(split)
            self._dealt += 1

    def ask(self, subtask: int) -> None:
        """A reader could take more; it stays asking until it got a split or its last answer."""
        if subtask not in self._asking:
            self._asking.append(subtask)

    def hand_out(self) -> list[Handed]:
        """What goes to the asking readers now."""
        return self._hand_out_one_each() if self._on_demand else self._hand_out_queues()

    @property
    def has_unread(self) -> bool:
        """Whether a known split is with no reader yet."""
        return bool(self._unread) or any(self._queues)

    def unread(self) -> list[list[Any]]:
        """The splits with no reader, as [name, position], for the checkpoint."""
        queued = [split for queue in self._queues for split in queue]
        return [[name, position] for name, position in [*self._unread, *queued]]

    def _hand_out_one_each(self) -> list[Handed]:
        handed = []
        while self._asking and self._unread:
            handed.append(Handed(self._asking.popleft(), [self._unread.popleft()], is_last=False))
        if not self._unread and not self._is_growing:
            handed += [Handed(subtask, [], is_last=True) for subtask in self._asking]
            self._asking.clear()
        return handed

    def _hand_out_queues(self) -> list[Handed]:
        handed = []
        for subtask in list(self._asking):
            splits, self._queues[subtask] = self._queues[subtask], []
            if splits or not self._is_growing:
                handed.append(Handed(subtask, splits, is_last=not self._is_growing))
            if not self._is_growing:
                self._asking.remove(subtask)
        return handed
