"""Plants known bugs in the engine, one at a time: the simulation must find each.

    python -m tests.proof.mutants

Each bug is one that an engine of this kind has had somewhere. None shows in a run without failures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from streamlet.testing.simulation import SimulationFailure
from tests.proof import planted_in_checkpoints as in_checkpoints
from tests.proof import planted_in_columns as in_columns
from tests.proof import planted_in_tasks as in_tasks
from tests.testing.simulation.columnar_pipelines import (
    crowded_session_columns,
    late_columns,
    running_columns,
    session_columns,
    sliding_columns,
    tumbling_columns,
)
from tests.testing.simulation.file_pipelines import file_to_file, windows_over_files
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    SimulatedFiles,
    both_timers,
    operator_list_state,
    running_count,
    session,
    stateless,
    tumbling,
)

SEEDS: Final = range(400)


@dataclass(frozen=True)
class Mutant:
    """A bug, and the pipeline that meets it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    pipeline: Callable[[], Simulated | SimulatedFiles] = running_count

    @property
    def name(self) -> str:
        return self.plant.__name__

    def found(self) -> SimulationFailure | None:
        """What the simulation says of the engine with the bug; None: it found nothing."""
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            try:
                self.pipeline().simulate(SEEDS)
            except SimulationFailure as failure:
                return failure
        return None


MUTANTS: Final = (
    Mutant(in_checkpoints.manifest_is_renamed_before_it_is_synced),
    Mutant(in_checkpoints.state_directory_is_not_synced_before_the_manifest),
    Mutant(in_checkpoints.sync_syncs_nothing),
    Mutant(in_checkpoints.output_is_committed_before_the_manifest),
    Mutant(in_checkpoints.output_file_is_not_synced, file_to_file),
    Mutant(in_checkpoints.output_directory_is_not_synced, file_to_file),
    Mutant(in_checkpoints.commit_is_not_noted_in_the_journal, windows_over_files),
    Mutant(in_checkpoints.damage_of_hidden_files_goes_unnoticed, file_to_file),
    Mutant(in_checkpoints.output_of_an_aborted_checkpoint_is_forgotten, stateless),
    Mutant(in_checkpoints.stop_is_not_recorded_before_its_output_is_committed),
    Mutant(in_checkpoints.restored_output_is_not_committed_again),
    Mutant(in_checkpoints.output_of_a_savepoint_is_rolled_back, file_to_file),
    Mutant(in_checkpoints.savepoint_is_not_recorded),
    Mutant(in_checkpoints.history_is_not_kept, stateless),
    Mutant(in_checkpoints.discarded_output_is_forgotten, file_to_file),
    Mutant(in_checkpoints.older_checkpoint_is_resumed),
    Mutant(in_checkpoints.deltas_are_read_newest_first, both_timers),
    Mutant(in_checkpoints.base_is_swept_while_its_deltas_are_kept),
    Mutant(in_checkpoints.name_of_a_state_file_is_used_again_after_a_restart),
    Mutant(in_checkpoints.rescaled_subtask_reads_only_its_namesakes_files),
    Mutant(in_tasks.barriers_block_nothing),
    Mutant(in_tasks.batch_behind_the_barrier_is_dropped, tumbling),
    Mutant(in_tasks.position_is_ahead_of_what_was_emitted, stateless),
    Mutant(in_tasks.restored_splits_begin_anew, stateless),
    Mutant(in_tasks.timers_are_forgotten_at_a_restore, both_timers),
    Mutant(in_tasks.session_is_split_by_a_restore, session),
    Mutant(in_tasks.deletions_are_not_written, tumbling),
    Mutant(in_tasks.watermarks_do_not_wait_for_unread_splits, windows_over_files),
    Mutant(in_tasks.remainder_of_list_state_is_dropped, operator_list_state),
    Mutant(in_tasks.changes_of_a_failed_write_count_as_written, tumbling),
    Mutant(in_columns.mark_of_fired_windows_is_not_written, sliding_columns),
    Mutant(in_columns.late_columns_are_folded_in_after_a_restore, late_columns),
    Mutant(in_columns.accumulators_are_changed_while_they_are_written, session_columns),
    Mutant(in_columns.arrays_are_not_written, running_columns),
    Mutant(in_columns.frozen_arrays_go_on_changing, running_columns),
    Mutant(in_columns.windows_frozen_in_arrays_are_dropped_without_a_trace, tumbling_columns),
    Mutant(in_columns.removal_stays_beside_what_is_put_in_arrays, session_columns),
    Mutant(in_columns.failed_write_hides_newer_arrays, running_columns),
    Mutant(in_columns.sessions_that_fired_in_arrays_leave_no_trace, session_columns),
    Mutant(in_columns.sessions_are_restored_without_their_timers, crowded_session_columns),
)


def plant_all() -> dict[str, int | None]:
    """By bug the seed that found it, None if none did; tells each as it is found."""
    found: dict[str, int | None] = {}
    for mutant in MUTANTS:
        failure = mutant.found()
        found[mutant.name] = None if failure is None else failure.seed
        what = "NOT FOUND" if failure is None else str(failure).splitlines()[0][:100]
        sys.stdout.write(f"{mutant.name:55} {what}\n")
        sys.stdout.flush()
    return found


def main() -> int:
    """1 if one was not found."""
    found = plant_all().values()
    missed = sum(seed is None for seed in found)
    sys.stdout.write(f"planted bugs caught: {len(found) - missed} of {len(found)}\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
