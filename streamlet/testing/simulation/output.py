"""An exactly-once sink over an outside world that outlives the simulated processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from streamlet.errors import FatalError, RestoreError
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.file_disk import SimulatedFileDisk

Transaction: TypeAlias = tuple[str, int, int]
"""(run id, writer, checkpoint id)"""


@dataclass(slots=True)
class Output:
    """What an outside system would keep: prepared transactions and committed records."""

    committed: dict[Transaction, list[Any]] = field(default_factory=dict)
    """Visible, in the order of the commits."""
    prepared: dict[Transaction, list[Any]] = field(default_factory=dict)
    """Durable, and not yet visible."""
    discarded: set[Transaction] = field(default_factory=set)
    """Committed once, and taken back by who went back further."""
    sent: dict[Transaction, list[Any]] = field(default_factory=dict)
    """Neither: a crash loses it."""
    writers: int = 0
    """How many there were; each has a number of its own."""
    disk: SimulatedFileDisk | None = None
    """The disk as the running process sees it, for pipelines that read and write files."""

    @property
    def values(self) -> list[Any]:
        """The committed records, in the order of the commits."""
        return [value for values in self.committed.values() for value in values]

    def crash(self) -> None:
        """The process that was sending is gone."""
        self.sent.clear()

    def commit(self, transaction: Transaction) -> None:
        """Makes it visible; a second time it changes nothing."""
        if transaction in self.committed:
            return
        if transaction not in self.prepared:
            raise FatalError(f"transaction {transaction} is to be committed and was never durable")
        self.committed[transaction] = self.prepared.pop(transaction)

    def check(self, ctx: RestoreContext) -> list[Transaction]:
        """What was committed that the restored checkpoint does not know, and is to be discarded.

        RestoreError if it would come twice, or if what the checkpoint counts on was discarded.
        """
        later = [t for t in self.committed if t[0] in ctx.run_ids and not ctx.includes(t[0], t[2])]
        if later and ctx.later_output != "discard":
            raise RestoreError(
                f"output of checkpoint {later[-1][2]} was committed, and the job is to go on from "
                f"checkpoint {ctx.checkpoint_id}: it would come twice"
            )
        if gone := [t for t in self.discarded if ctx.includes(t[0], t[2])]:
            raise RestoreError(
                f"output of checkpoint {gone[0][2]} was discarded, and the job is to go on from "
                f"checkpoint {ctx.checkpoint_id}, which counts on it"
            )
        return later

    def recover(self, ctx: RestoreContext) -> None:
        """Rolls back what earlier attempts prepared and no checkpoint or savepoint speaks of."""
        for transaction in self.check(ctx):
            del self.committed[transaction]
            self.discarded.add(transaction)
        for transaction in list(self.prepared):
            run_id, _, checkpoint_id = transaction
            if run_id in ctx.run_ids and not ctx.is_spared(run_id, checkpoint_id):
                del self.prepared[transaction]


class SimulatedSink(Sink[Any]):
    """Two-phase commit into an `Output`: prepared at the barrier, durable at the sync."""

    name = "simulated"

    def __init__(self, output: Output, points: CrashPoints) -> None:
        self._output = output
        self._points = points

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _Writer(ctx, self._output, self._points)

    def commit(self, committables: Sequence[Any]) -> None:
        for run_id, writer, checkpoint_id in committables:
            self._points.reach("before-sink-commit")
            self._output.commit((run_id, writer, checkpoint_id))
            self._points.reach("after-sink-commit")

    def check_restore(self, ctx: RestoreContext, committables: Sequence[Any]) -> None:
        self._output.check(ctx)

    def recover(self, ctx: RestoreContext) -> None:
        """Brings the output to just the restored checkpoint."""
        self._points.reach("before-sink-recover")
        self._output.recover(ctx)
        self._points.reach("after-sink-recover")


class _Writer(SinkWriter[Any]):
    def __init__(self, ctx: WriterContext, output: Output, points: CrashPoints) -> None:
        self._ctx = ctx
        self._output = output
        self._points = points
        self._values: list[Any] = []
        self._unsynced: list[Transaction] = []
        output.writers += 1
        self._number = output.writers

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._values += values

    def prepare_commit(self) -> Sequence[Any]:
        self._points.reach("between-barrier-and-snapshot")
        if not self._values:
            return ()
        ctx = self._ctx
        transaction = (ctx.run_id, self._number, ctx.checkpoint_id)
        self._output.sent[transaction], self._values = self._values, []
        self._unsynced.append(transaction)
        return [transaction]

    def sync(self) -> None:
        self._points.reach("before-sink-sync")
        for transaction in self._unsynced:
            self._output.prepared[transaction] = self._output.sent.pop(transaction)
        self._unsynced.clear()
        self._points.reach("after-sink-sync")
