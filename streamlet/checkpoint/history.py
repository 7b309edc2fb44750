"""The checkpoints that led to each checkpoint of a run: what they committed belongs to its state.

    run a   1 -- 2 -- 3 (savepoint)         its history is a 1 to 3
                  \\
    run a          4 -- 5 -- 6 (savepoint)  its history is a 1 to 2, a 4 to 6

Attempt two of the run went on from checkpoint 2 and knows nothing of the savepoint 3. Ids alone do
not tell: 3 is lower than 6. Were 3 restored, and then 6, the records after 2 would come twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamlet.sink import Span


class RunHistory:
    """The history of one run's checkpoints, attempt after attempt."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._spans: list[Span] = []
        self._first = 1
        self._savepoint_id = 0
        """The latest savepoint of this run; 0: none."""

    def begin_attempt(self, history: Sequence[Span], next_id: int) -> None:
        """The attempt goes on from a state with this history; its first checkpoint has `next_id`.

        The ids between were of checkpoints that never were, so the spans of two attempts are one.
        Only a savepoint is passed by and still there, and may be restored: it is not in between.
        """
        self._spans, self._first = list(history), next_id
        if history:
            run_id, first, last = history[-1]
            if run_id == self._run_id and self._savepoint_id <= last:
                self._spans, self._first = list(history[:-1]), first

    def on_savepoint(self, checkpoint_id: int) -> None:
        """A savepoint of that id is about to be written."""
        self._savepoint_id = checkpoint_id

    def up_to(self, checkpoint_id: int) -> list[Span]:
        """The history of this checkpoint of the attempt, itself included."""
        return [*self._spans, (self._run_id, self._first, checkpoint_id)]
