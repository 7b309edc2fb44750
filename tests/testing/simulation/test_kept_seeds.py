"""Schedules that once found a defect, each run for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from streamlet.testing.simulation import Ask, Crash, Fate, Flip, FullDisk
from tests.testing.simulation.file_pipelines import file_to_file, windows_over_files
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    SimulatedFiles,
    reduce_with_ttl,
    running_count,
    session,
    stateless,
    tumbling,
    union_with_idle_input,
)

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Kept:
    """A failure's text ends with the schedule: it is copied here, with what the defect was."""

    found: str
    pipeline: Callable[[], Simulated | SimulatedFiles]
    seeds: Sequence[int]
    schedule: Sequence[Fate]


KEPT = [
    Kept(
        "runs were ordered by the time of day at which they began: after a clock that jumped back "
        "the third went on from the first, and gave again what the second had committed",
        running_count,
        range(5),
        [
            Fate(crash=Crash("before-checkpoint-complete-message", 1)),
            Fate(
                crash=Crash("before-checkpoint-complete-message", 1),
                clock_wrong_by_ms=-HOUR_MS,
            ),
        ],
    ),
    Kept(
        "files of keyed state were synced, the directory that names them was not: with the power "
        "a manifest lost its files",
        running_count,
        range(6),
        [Fate(crash=Crash("after-sink-commit", 4), parallelism=2)],
    ),
    Kept(
        "a manifest whose last sync had failed was discarded, and came back with a loss of power "
        "when its output had been rolled back",
        stateless,
        [3, 8, 17, 18, 79],
        [
            Fate(
                crash=Crash("before-deploy-message", 2),
                errors=(Crash("before-checkpoint-directory-sync", 3),),
                parallelism=2,
            ),
        ],
    ),
    Kept(
        "such a manifest was gone on from and never synced: with the power it was lost when its "
        "output had been committed",
        stateless,
        range(6),
        [
            Fate(
                crash=Crash("after-sink-recover", 2),
                errors=(Crash("before-checkpoint-directory-sync", 2),),
                parallelism=2,
            ),
        ],
    ),
    Kept(
        "a manifest that a killed process had renamed and not synced was committed from, and lost "
        "with the power: its output came twice",
        stateless,
        range(6),
        [
            Fate(crash=Crash("after-manifest-rename", 3), has_power=True, parallelism=2),
            Fate(crash=Crash("after-sink-recover", 1), parallelism=2),
        ],
    ),
    Kept(
        "the same, and the run that went on from it was recorded: it named nothing",
        stateless,
        range(6),
        [
            Fate(crash=Crash("after-manifest-rename", 3), has_power=True, parallelism=2),
            Fate(crash=Crash("after-run-directory-sync", 1), parallelism=2),
        ],
    ),
    Kept(
        "a damaged run record or manifest that is no UTF-8 any more was a UnicodeDecodeError "
        "instead of a RestoreError",
        running_count,
        [0],
        [
            Fate(crash=Crash("before-task-opened-message", 1), has_power=True),
            Fate(flip=Flip(0, 95)),  # in the id of the run
        ],
    ),
    Kept(
        "the output directory of a file sink was made and never synced: with the power all of it "
        "was gone, and the restore called its files lost",
        file_to_file,
        range(6),
        [Fate(crash=Crash("after-manifest-rename", 1))],
    ),
    Kept(
        "a partition's directory that a cancelled run had made was not synced by the next one, "
        "which lost its files with the power",
        file_to_file,
        [*range(6), 2043],
        [
            Fate(asks=(Ask("cancel", "before-checkpoint-directory-make", 1),)),
            Fate(crash=Crash("before-output-journal-sync", 1)),
        ],
    ),
    Kept(
        "the same after a process that was killed",
        file_to_file,
        [2262],
        [
            Fate(
                crash=Crash("after-output-journal-rename", 1),
                has_power=True,
                errors=(Crash("before-output-file-sync", 1),),
                loses_notices=True,
            ),
            Fate(crash=Crash("after-run-directory-sync", 1)),
        ],
    ),
    Kept(
        "the same after an attempt that failed",
        file_to_file,
        range(6, 10),
        [
            Fate(
                crash=Crash("before-output-journal-sync", 1),
                errors=(Crash("before-thread", 11), Crash("before-keyed-state-sync", 1)),
            ),
        ],
    ),
    Kept(
        "a stop whose sinks could not commit was gone on from; a resume after the next checkpoint "
        "went back to the savepoint of the stop",
        stateless,
        range(2),
        [
            Fate(
                crash=Crash("after-sink-commit", 3),
                has_power=True,
                asks=(Ask("stop", "before-task-ack-message", 1),),
                errors=(Crash("before-sink-commit", 2),),
            ),
            Fate(),
        ],
    ),
    Kept(
        "the id of a savepoint was used again by a run that started over: its output passed for "
        "older than the savepoint, was not discarded, and came twice",
        stateless,
        [1249],
        [
            Fate(
                crash=Crash("before-scratch-directory-remove", 1),
                has_power=True,
                asks=(Ask("savepoint", "before-thread", 4),),
                is_crash_after_ask=True,
                full_disk=FullDisk("after-operator-state-sync", 1, 1000),
            ),
            Fate(
                crash=Crash("after-savepoint-operator-state-sync", 1),
                has_power=True,
                asks=(Ask("savepoint", "before-task-ack-message", 2),),
            ),
            Fate(is_from_savepoint=True),
        ],
    ),
    Kept(
        "a stop that its sinks could not commit at first was gone on from and overtaken by a "
        "checkpoint: a resume went back to the savepoint, and found later output",
        file_to_file,
        [9011],
        [
            Fate(
                crash=Crash("before-run-record-create", 2),
                has_power=True,
                errors=(Crash("after-output-journal-sync", 1),),
                parallelism=3,
                asks=(Ask("stop", "before-thread", 6),),
                is_crash_after_ask=True,
            ),
        ],
    ),
    Kept(
        "the simulation took a resumed stop for a going back, because both begin with the same "
        "savepoint, and its readers forgot what they had",
        windows_over_files,
        [650899427],
        [
            Fate(asks=(Ask("stop", "before-thread", 5),), is_frequent=True),
            Fate(
                crash=Crash("after-checkpoint-directory-remove", 1), has_power=True, parallelism=3
            ),
            Fate(
                crash=Crash("before-run-record-create", 1), has_power=True, is_from_savepoint=True
            ),
        ],
    ),
    Kept(
        "the record of a refused run was removed, and back after a loss of power: with a clock "
        "that had jumped back it was the latest, and a resume was refused as that run was",
        tumbling,
        [830457608],
        [
            Fate(
                crash=Crash("before-manifest-create", 2),
                asks=(Ask("savepoint", "before-checkpoint-complete-message", 1),),
                is_crash_after_ask=True,
                is_frequent=True,
            ),
            Fate(
                crash=Crash("before-manifest-create", 2),
                has_power=True,
                asks=(Ask("savepoint", "before-checkpoint-complete-message", 3),),
                is_crash_after_ask=True,
                is_frequent=True,
            ),
            Fate(
                crash=Crash("before-savepoint-manifest-rename", 1),
                has_power=True,
                asks=(Ask("savepoint", "before-task-ack-message", 2),),
                is_from_savepoint=True,
                savepoints_back=1,
                is_frequent=True,
            ),
            Fate(is_from_savepoint=True),
            Fate(
                crash=Crash("before-savepoint-manifest-rename", 1),
                clock_wrong_by_ms=-HOUR_MS,
                asks=(Ask("savepoint", "before-task-ack-message", 2),),
                is_from_savepoint=True,
                savepoints_back=1,
                is_frequent=True,
            ),
        ],
    ),
    Kept(
        "files of a run that had finished were back after a loss of power, and stayed for ever",
        file_to_file,
        range(6),
        [Fate(crash=Crash("after-state-directory-remove", 1), parallelism=3)],
    ),
    Kept(
        "the same, of a run before it that had completed no checkpoint",
        file_to_file,
        [4047],
        [
            Fate(crash=Crash("after-operator-state-sync", 1)),
            Fate(crash=Crash("after-state-directory-remove", 1)),
        ],
    ),
    Kept(
        "what a savepoint would commit was rolled back by a restart from an older checkpoint",
        file_to_file,
        range(3),
        [
            Fate(
                crash=Crash("before-manifest-create", 3),
                has_power=True,
                parallelism=3,
                asks=(Ask("savepoint", "before-checkpoint-complete-message", 1),),
                is_frequent=True,
            ),
            Fate(crash=Crash("before-task-opened-message", 1), has_power=True, parallelism=3),
            Fate(parallelism=3, is_from_savepoint=True),
        ],
    ),
    Kept(
        "a restore from an older savepoint discarded later output, could not read its state then "
        "and left no trace: a resume went on from the newest checkpoint, without its output",
        session,
        [113663270],
        [
            Fate(
                crash=Crash("before-attempt-ended-message", 1),
                has_power=True,
                asks=(Ask("savepoint", "before-thread", 25),),
                is_crash_after_ask=True,
                is_frequent=True,
            ),
            Fate(errors=(Crash("before-savepoint-keyed-state-read", 1),), is_from_savepoint=True),
        ],
    ),
    Kept(
        "the same, in the middle of its files",
        reduce_with_ttl,
        [113663117],
        [
            Fate(
                crash=Crash("before-run-directory-sync", 2),
                has_power=True,
                asks=(Ask("savepoint", "before-thread", 5),),
                is_crash_after_ask=True,
                is_frequent=True,
            ),
            Fate(
                errors=(Crash("before-savepoint-keyed-state-read", 3),),
                parallelism=2,
                is_from_savepoint=True,
            ),
        ],
    ),
    Kept(
        "a savepoint whose writer was killed before its last sync was spared its output, and a "
        "loss of power took it: nobody removed the hidden files any more",
        file_to_file,
        [2087],
        [
            Fate(
                crash=Crash("before-savepoint-directory-sync", 1),
                has_power=True,
                parallelism=2,
                asks=(Ask("savepoint", "before-task-ack-message", 2),),
                is_slow=True,
                loses_notices=True,
            ),
            Fate(crash=Crash("before-state-directory-remove", 1)),
        ],
    ),
    Kept(
        "no defect but an expectation: an input that wakes up behind the others holds back nobody "
        "(WM-14), and when they had come to their end its last record was late, and called lost",
        union_with_idle_input,
        [1026, 1031, 1066, 1096],
        [Fate(is_slow=True)],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("kept", KEPT, ids=range(len(KEPT)))
def test_what_was_found_once_is_not_found_again(kept: Kept) -> None:
    """`found` says what each of these schedules met."""
    simulated = kept.pipeline()
    for seed in kept.seeds:
        report = simulated.simulate_schedule(seed, kept.schedule)
        planned = sum(fate.crash is not None for fate in kept.schedule)
        assert report.crashes.total() == planned, f"seed {seed} does not meet its crashes any more"
