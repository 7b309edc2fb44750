"""What a sink for records must offer.

At every barrier a writer's records are flushed and described by committables. They travel with the
checkpoint; once it is complete, `Sink.commit` makes them visible. A crash between the two commits
the same committables again after the restore, so a commit must be idempotent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from streamlet.columns import records_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

T = TypeVar("T")

Span: TypeAlias = tuple[str, int, int]
"""(run id, first, last) checkpoint id of an attempt or of several, both included."""


@dataclass(slots=True)
class WriterContext:
    """Where a writer runs, and for which checkpoint it writes."""

    run_id: str
    """Unique per run of a job; its attempts share it, and tell their output by checkpoint id."""
    subtask_index: int
    parallelism: int
    checkpoint_id: int = 1
    """The checkpoint that will cover the records being written; set anew before each `flush`."""
    restored: Sequence[Any] = ()
    """This subtask's share of what the writers' `snapshot` gave in the restored checkpoint."""


@dataclass(frozen=True, slots=True)
class RestoreContext:
    """What a sink may know when a job goes on from a checkpoint, before any writer exists."""

    checkpoint_id: int
    """The restored checkpoint; 0: the job starts empty."""
    run_ids: Sequence[str]
    """All earlier runs of this job, the attempts of this run included."""
    later_output: str = "refuse"
    """What to do with output that is not its own (see `includes`): "refuse", "keep", "discard"."""
    savepoints: Sequence[tuple[str, int]] = ()
    """(run id, checkpoint id) of the savepoints that can still be restored (see `is_spared`)."""
    run_id: str = ""
    """The run that goes on from the checkpoint."""
    history: Sequence[Span] = ()
    """The checkpoints that led to the restored one, and itself (see `includes`); empty: unknown."""

    def includes(self, run_id: str, checkpoint_id: int) -> bool:
        """Whether what this run committed for that checkpoint belongs to the restored state.

        Other output would come twice, be it newer or of attempts that parted before: one that was
        restarted from an older checkpoint knows nothing of a savepoint taken in between.
        """
        if not self.history:
            return checkpoint_id <= self.checkpoint_id
        return any(
            run == run_id and first <= checkpoint_id <= last for run, first, last in self.history
        )

    def is_spared(self, run_id: str, checkpoint_id: int) -> bool:
        """Whether uncommitted output that this run wrote for that checkpoint must stay.

        A savepoint commits nothing: what was prepared for it, or earlier and not committed since,
        is committed when it is restored, be that after restarts from older checkpoints.
        """
        return any(run == run_id and checkpoint_id <= last for run, last in self.savepoints)


class SinkWriter(ABC, Generic[T]):
    """Writes the records of one subtask. Called by one thread at a time."""

    @abstractmethod
    def write(self, values: Sequence[T], timestamps: Sequence[int] | None) -> None:
        """Takes records in order; `timestamps` is parallel to them, or None."""

    def write_columns(
        self, records: pa.RecordBatch, timestamps: npt.NDArray[np.int64] | None
    ) -> None:
        """Takes the rows of `records` in order, as `write` would take them as dicts.

        Called only if the sink says that it takes columns (`rows_because = None`); rows may come
        in between.
        """
        stamps = None if timestamps is None else timestamps.tolist()
        self.write(records_of(records), stamps)  # type: ignore[arg-type]

    def flush(self) -> None:
        """Called at every barrier and at the end of input, before `prepare_commit`."""

    def prepare_commit(self) -> Sequence[Any]:
        """What to commit once the checkpoint is complete; values that state can keep."""
        return ()

    def snapshot(self) -> Any:
        """What a restored writer must know (None: nothing); asked after `prepare_commit`."""
        return None

    def sync(self) -> None:
        """Makes durable what the last `prepare_commit` spoke of. Called in a thread, while
        `write` goes on; the checkpoint is acknowledged only after it. An exception ends the
        attempt: after a failed fsync nobody knows what is on the disk."""

    def close(self) -> None:
        """Gives back what the writer holds. Called once, on every way out."""


class Sink(ABC, Generic[T]):
    """Creates one writer per subtask, and commits what the writers prepared."""

    name: str = "sink"
    """How the operator is called unless the pipeline names it."""

    rows_because: str | None = "it writes Python objects"
    """Why it needs records as Python objects, for the plan; None: writers take columns."""

    def destination(self) -> str | None:
        """The place, in words, that only one operator of a job may write to; None: any number may.

        Two operators whose sinks name the same place are refused before the job starts.
        """
        return None

    @abstractmethod
    def create_writer(self, ctx: WriterContext) -> SinkWriter[T]: ...

    def commit(self, committables: Sequence[Any]) -> None:
        """Makes prepared output visible. Called in a thread, in checkpoint order; idempotent.

        After a TransientError or an OSError it is called again with the same committables, up to
        `sink.committer.retries` times; other errors end the attempt at once.
        """

    def check_restore(self, ctx: RestoreContext, committables: Sequence[Any]) -> None:
        """Called once per attempt, before anything else: changes no output.

        Raises RestoreError if later output would come twice, or if some of what the restored
        checkpoint prepared is gone, so that `commit` could not make it visible.
        """

    def recover(self, ctx: RestoreContext) -> None:
        """Called once per attempt, after restored committables were committed and before any
        writer exists: removes what crashed attempts left and `ctx` does not spare, refuses what
        cannot be right."""

    def close(self) -> None:
        """Called once, at the end of the job: gives back what `commit` and `recover` took."""
