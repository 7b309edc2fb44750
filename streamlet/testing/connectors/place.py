"""Where a sink under test writes, and how the test sees what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from streamlet.sink import Sink


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class SinkPlace:
    """A place for output, empty at first."""

    make_sink: Callable[[], Sink[Any]]
    """A new sink that writes there, as each process of a job makes one."""
    read_visible: Callable[[], Sequence[Any]]
    """The records that readers see there now, in any order."""
    read_leftovers: Callable[[], Sequence[Any]] = list
    """What is prepared there and not visible: hidden files, open transactions."""
    lose_power: Callable[[], None] = _nothing
    """Forgets what no `sync` made durable, if the place can; called when a process was killed."""
