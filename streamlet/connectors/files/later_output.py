"""Output that a restored state does not know, and output that it counts on and that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.journal import CommitJournal
from streamlet.connectors.files.output import remove, sync_directories
from streamlet.connectors.files.ranges import ByRun, Ranges, common, has, joined, minus, united
from streamlet.errors import RestoreError
from streamlet.sink import RestoreContext

Found: TypeAlias = tuple[Path, str, int]
"""A file of a sink: (path, run id, checkpoint id)"""

_SHOWN: Final = 5


class LaterOutput:
    """What a restore finds in an output directory beside the output of its own history.

    Most of it is newer than the checkpoint. But a savepoint whose attempt was restarted from an
    older checkpoint may be restored too, before or after one that was taken later: then what the
    one has committed is no part of the other, whichever has the higher number.
    """

    def __init__(
        self,
        disk: FileDisk,
        directory: Path,
        journal: CommitJournal,
        visible: Sequence[Found],
        ctx: RestoreContext,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._journal = journal
        self._ctx = ctx
        own = {run_id: _included(ctx, run_id) for run_id in ctx.run_ids}
        runs = {ctx.run_id, *(run for run, _, _ in ctx.history)}
        known = united(own, journal.beside(runs))
        seen: dict[str, Ranges] = {}
        for _, run_id, number in visible:
            seen.setdefault(run_id, []).append((number, number))
        there = united(journal.committed(), {run: joined(ids) for run, ids in seen.items()})
        self._output = minus({run: there.get(run, []) for run in ctx.run_ids}, known)
        """What would come twice: also what readers have taken."""
        self._files = [p for p, run, number in visible if has(self._output.get(run, ()), number)]
        gone = journal.discarded()
        self._lost = {run: both for run in own if (both := common(own[run], gone.get(run, [])))}
        """What would not come at all."""

    def check(self) -> None:
        """Raises RestoreError for what the user must decide; changes nothing."""
        ctx = self._ctx
        if ctx.later_output == "refuse" and self._files:
            raise self._refused_files()
        # A new start after all output was taken is how a job is run once a day.
        if ctx.later_output == "refuse" and self._output and ctx.checkpoint_id:
            raise RestoreError(
                f"{self._directory} had output of this job that checkpoint {ctx.checkpoint_id} "
                f"knows nothing of ({_named(self._output)}),\nwhich was moved away since, and the "
                "job would write these records again:\n"
                "  --resume goes on from the latest checkpoint instead;\n"
                "  --discard-later-output says that what was taken does not count;\n"
                "  --keep-later-output goes on, and these records are there twice"
            )
        if ctx.later_output != "keep" and self._lost:
            raise RestoreError(
                f"{self._directory}: checkpoint {ctx.checkpoint_id} counts on output that was "
                f"discarded since ({_named(self._lost)}),\nwhen the job went back further than "
                "that, and would not write these records again:\n"
                "  --resume goes on from the latest checkpoint instead, and -s SAVEPOINT from one\n"
                "  that the job has gone back to since;\n"
                "  --keep-later-output goes on without these records"
            )

    def settle(self) -> None:
        """Does what the user has decided, after `check`."""
        ctx = self._ctx
        if ctx.later_output == "discard":
            # The journal first: were it last, and the process killed between, a checkpoint that
            # counts on these files could be restored as if a reader had taken them.
            if self._output:
                self._journal.discard(self._output)
            remove(self._disk, self._files)
            sync_directories(self._disk, sorted({path.parent for path in self._files}))
        elif self._output or self._lost:
            saved = {run for run, _ in ctx.savepoints}
            needed = {*saved, ctx.run_id, *(run for run, _, _ in ctx.history)}
            self._journal.live_with(ctx.run_id, self._output, self._lost, needed)

    def _refused_files(self) -> RestoreError:
        ctx, files = self._ctx, self._files
        shown = "\n".join(f"  {path.relative_to(self._directory)}" for path in files[:_SHOWN])
        more = f"\n  and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        if ctx.checkpoint_id:
            found = f"{count} of which checkpoint {ctx.checkpoint_id} knows nothing, and the job"
        else:
            found = f"{count} of its earlier runs, and starting from the beginning"
        return RestoreError(
            f"{self._directory} already holds output of this job: {found}\n"
            f"would write these records again:\n{shown}{more}\n"
            "  --resume goes on from the latest checkpoint instead;\n"
            "  --discard-later-output removes these files;\n"
            "  --keep-later-output leaves them, and their records are there twice"
        )


def _included(ctx: RestoreContext, run_id: str) -> Ranges:
    """The checkpoints of the run that belong to the restored state."""
    if not ctx.history:
        return [(1, ctx.checkpoint_id)] if ctx.checkpoint_id else []
    return joined((first, last) for run, first, last in ctx.history if run == run_id)


def _named(output: ByRun) -> str:
    """Whose output it is, of so many runs as fit on a line."""
    named = [
        f"run {run}, checkpoint{'' if first == last else 's'} {first}"
        f"{'' if first == last else f' to {last}'}"
        for run, ranges in output.items()
        for first, last in ranges
    ]
    return "; ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
