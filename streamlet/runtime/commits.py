"""Commits what a sink prepared, and tries again what failed only for the moment (SNK-4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from streamlet.errors import TransientError, note_place, one_line
from streamlet.plan import ExecutionPlan
from streamlet.sink import Sink

_log = logging.getLogger("streamlet.checkpoint")

_PASSING: Final = (TransientError, OSError)
"""What may be gone at the next try; anything else ends the attempt at once."""


@dataclass(frozen=True, slots=True)
class CommitRetries:
    """How often a commit is tried again, and after how long: doubled each time up to a bound."""

    limit: int = 10
    """`sink.committer.retries`; 0: the first failure ends the attempt."""
    first_delay_ms: int = 100
    longest_delay_ms: int = 10_000

    def delay_ms(self, failures: int, error: BaseException) -> int | None:
        """How long to wait after the given number of failures in a row; None: give up."""
        if failures > self.limit or not isinstance(error, _PASSING):
            return None
        # The exponent is bounded first: 2 ** 10_000 is a number that nobody needs.
        return min(self.first_delay_ms << min(failures - 1, 30), self.longest_delay_ms)


@dataclass(frozen=True, slots=True)
class CommitFailure:
    """A commit that failed and is to be tried again."""

    place: str
    """Which operator it is."""
    error: str
    failures: int
    """How often it has failed in a row."""
    tries: int
    """How often it is tried before the attempt ends."""
    delay_ms: int
    """After how long it is tried again."""

    def __str__(self) -> str:
        return f"{self.place}: {self.error} (try {self.failures} of {self.tries})"


Pause: TypeAlias = Callable[[CommitFailure], Awaitable[object]]
"""Waits until the next try; raises if there is to be none."""


class Committer:
    """Commits the output of one run's checkpoints, sink after sink."""

    def __init__(self, retries: CommitRetries, pause: Pause) -> None:
        self._retries = retries
        self._pause_until_next = pause
        self.failure: CommitFailure | None = None
        """Why the commit under way is being tried again."""

    async def commit(self, plan: ExecutionPlan, committables: Mapping[str, Sequence[Any]]) -> None:
        """Commits what there is for each sink of the plan, by uid, in the order of the plan."""
        for op in plan.operators():
            if op.sink is not None and committables.get(op.uid):
                place = f"in operator {op.name!r}"
                try:
                    await commit_with_retries(
                        op.sink, committables[op.uid], place, self._retries, self._pause
                    )
                finally:
                    self.failure = None

    async def _pause(self, failure: CommitFailure) -> None:
        self.failure = failure
        await self._pause_until_next(failure)


async def commit_with_retries(
    sink: Sink[Any],
    committables: Sequence[Any],
    place: str,
    retries: CommitRetries,
    pause: Pause,
) -> None:
    """Returns when the sink has committed; each try runs in a thread and gets everything again.

    Commits are idempotent, so what an earlier try did is left as it is. Raises the last failure,
    noted with `place` (which operator it is): the attempt ends, and the restart commits again.
    """
    failures = 0
    while True:
        try:
            await asyncio.to_thread(sink.commit, committables)
            return
        except Exception as error:
            failures += 1
            delay_ms = retries.delay_ms(failures, error)
            if delay_ms is None:
                note_place(error, f"{place}, commit number {failures} of a checkpoint's output")
                raise
            failure = CommitFailure(place, one_line(error), failures, retries.limit + 1, delay_ms)
            _log.warning("a commit failed, and is tried again in %d ms: %s", delay_ms, failure)
        await pause(failure)
