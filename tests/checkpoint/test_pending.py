"""A checkpoint under way: what counts as an acknowledgement."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlet.checkpoint.pending import AckResult, CheckpointKind, PendingCheckpoint, TaskAck


def pending() -> PendingCheckpoint:
    return PendingCheckpoint(7, CheckpointKind.PERIODIC, Path("chk-7"), {(0, 0), (1, 0)}, 0.0)


def test_complete_with_the_last_acknowledgement() -> None:
    """CP-7."""
    checkpoint = pending()
    assert checkpoint.acknowledge(TaskAck((0, 0), 7, {})) is AckResult.SUCCESS
    assert not checkpoint.is_complete
    assert checkpoint.missing() == [(1, 0)]
    assert checkpoint.acknowledge(TaskAck((1, 0), 7, {})) is AckResult.SUCCESS
    assert checkpoint.is_complete


@pytest.mark.parametrize(
    ("ack", "result"),
    [
        (TaskAck((0, 0), 7, {}), AckResult.DUPLICATE),
        (TaskAck((1, 0), 6, {}), AckResult.UNKNOWN),
        (TaskAck((2, 0), 7, {}), AckResult.UNKNOWN),
    ],
)
def test_acknowledgement_that_does_not_count_changes_nothing(
    ack: TaskAck, result: AckResult
) -> None:
    checkpoint = pending()
    checkpoint.acknowledge(TaskAck((0, 0), 7, {}))
    assert checkpoint.acknowledge(ack) is result
    assert checkpoint.missing() == [(1, 0)]


@pytest.mark.parametrize(
    ("kind", "is_savepoint", "ends_job", "commits"),
    [
        (CheckpointKind.PERIODIC, False, False, True),
        (CheckpointKind.SAVEPOINT, True, False, False),
        (CheckpointKind.STOP_SAVEPOINT, True, True, True),
        (CheckpointKind.STOP_CHECKPOINT, False, True, True),
        (CheckpointKind.FINAL, False, True, True),
    ],
)
def test_kinds(kind: CheckpointKind, is_savepoint: bool, ends_job: bool, commits: bool) -> None:
    """SP-5, SP-6, CP-51."""
    assert (kind.is_savepoint, kind.ends_job, kind.commits) == (is_savepoint, ends_job, commits)
