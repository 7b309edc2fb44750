"""Drives a sink through checkpoints and restores as the engine does, without a job."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamlet.checkpoint.operator_state import spread
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.testing.connectors.breach import ContractBroken, kept


@dataclass(frozen=True, slots=True)
class SinkCheckpoint:
    """What a checkpoint holds of a sink, and how many records it covers."""

    checkpoint_id: int
    committables: list[Any]
    states: list[Any]
    records: int


class SinkAttempt:
    """One attempt of a job with so many writers.

    Begun from a checkpoint it lets the sink check that, commits what it holds, lets the sink
    recover, and gives the writers their states, in this order.
    """

    def __init__(
        self,
        sink: Sink[Any],
        run_ids: Sequence[str] = ("r1",),
        start: SinkCheckpoint | None = None,
        *,
        first_id: int = 1,
        parallelism: int = 1,
        context: RestoreContext | None = None,
    ) -> None:
        self.sink = sink
        self.written = 0 if start is None else start.records
        """How many records of the input were written, those before the restore included."""
        self._next_id = first_id
        self._uncommitted: list[Any] = []
        self._given: list[tuple[Any, str]] = []
        committables = [] if start is None else start.committables
        restored_id = 0 if start is None else start.checkpoint_id
        context = context or RestoreContext(restored_id, list(run_ids))
        sink.check_restore(context, committables)
        sink.commit(committables)
        sink.recover(context)
        states = spread([] if start is None else start.states, parallelism)
        self._contexts = [
            WriterContext(run_ids[-1], index, parallelism, first_id, states[index])
            for index in range(parallelism)
        ]
        self._writers: list[SinkWriter[Any]] = [sink.create_writer(ctx) for ctx in self._contexts]

    def write(self, values: Sequence[Any]) -> None:
        """One batch to each writer, of about the same size; a writer may get none."""
        for writer, share in zip(
            self._writers, spread(list(values), len(self._writers)), strict=True
        ):
            if share:
                writer.write(share, None)
        self.written += len(values)

    def prepare(self) -> SinkCheckpoint:
        """From the barrier up to the synchronous part of the snapshot."""
        checkpoint_id, self._next_id = self._next_id, self._next_id + 1
        states = []
        for ctx, writer in zip(self._contexts, self._writers, strict=True):
            ctx.checkpoint_id = checkpoint_id
            writer.flush()
            for committable in writer.prepare_commit():
                self._given.append((committable, repr(committable)))
                self._uncommitted.append(kept("SNK-2", "a committable", committable))
            ctx.checkpoint_id = self._next_id
            if (state := writer.snapshot()) is not None:
                self._given.append((state, repr(state)))
                states.append(kept("SNK-2", "a writer's snapshot", state))
        return SinkCheckpoint(checkpoint_id, list(self._uncommitted), states, self.written)

    def check_unchanged(self) -> None:
        """What the writers gave to checkpoints must still be what it was then."""
        for value, was in self._given:
            if repr(value) != was:
                raise ContractBroken(
                    "SNK-2",
                    f"a checkpoint was given {was}, which became {value!r} while it was written; "
                    "prepare_commit() and snapshot() must give values of their own each time",
                )

    def sync(self) -> None:
        """What comes before the acknowledgement."""
        for writer in self._writers:
            writer.sync()

    def commit(self, checkpoint: SinkCheckpoint) -> None:
        """The checkpoint is complete, and the tasks are told."""
        self.sink.commit(checkpoint.committables)
        self._uncommitted = [c for c in self._uncommitted if c not in checkpoint.committables]

    def complete(self) -> SinkCheckpoint:
        """A whole checkpoint."""
        checkpoint = self.prepare()
        self.sync()
        self.commit(checkpoint)
        return checkpoint

    def close(self) -> None:
        """The attempt is over: writers are closed, on every way out."""
        writers, self._writers = self._writers, []
        for writer in writers:
            try:
                writer.close()
            except Exception as error:
                raise ContractBroken("SNK-1", f"close() of a writer raised {error!r}") from error

    def kill(self) -> None:
        """The process is gone: writers are not closed, and locks are free."""
        with warnings.catch_warnings():
            # Files that are still open are closed when their writers are collected, just here.
            warnings.simplefilter("ignore", ResourceWarning)
            self._writers.clear()
        self.sink.close()
