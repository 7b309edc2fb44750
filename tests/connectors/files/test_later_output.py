"""Histories that parted share an output directory: each finds its own output there, or says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.journal import JOURNAL_NAME
from streamlet.errors import RestoreError
from streamlet.sink import RestoreContext, Span
from streamlet.testing.connectors.attempts import SinkAttempt, SinkCheckpoint
from tests.connectors.files.writing import visible

PAST = ("r1", 1, 1)
FIRST = [PAST, ("r1", 2, 2)]
"""Of savepoint 2, whose attempt failed right after it."""
SECOND = [PAST, ("r1", 3, 4)]
"""Of savepoint 4 of the next attempt, which went on from checkpoint 1."""


def parted(directory: Path, *, commits: bool = True) -> tuple[SinkCheckpoint, SinkCheckpoint]:
    """Both savepoints; the second attempt has committed checkpoint 3 before its own, or none."""
    sink = FileSink.json_lines(directory)
    run = SinkAttempt(sink)
    run.write([1])
    start = run.complete()
    run.write([2])
    first = run.prepare()
    run.sync()
    run.close()
    context = RestoreContext(1, ["r1"], "refuse", [("r1", 2)], "r1", [PAST])
    run = SinkAttempt(sink, ["r1"], start, first_id=3, context=context)
    run.write([2, 3])
    if commits:
        run.complete()
    else:
        run.prepare()
    run.write([4])
    second = run.prepare()
    run.sync()
    run.close()
    sink.close()
    return first, second


def go_on(
    directory: Path,
    checkpoint: SinkCheckpoint | None,
    history: list[Span],
    run_id: str,
    choice: str = "refuse",
) -> SinkCheckpoint:
    """A run from there, which writes nothing more; its first checkpoint has the id of its name."""
    sink, number = FileSink.json_lines(directory), int(run_id[1:])
    restored_id = 0 if checkpoint is None else history[-1][2]
    runs = dict.fromkeys(["r1", *(run for run, _, _ in history), "r10", "r20", run_id])
    savepoints = [("r1", 4)]
    context = RestoreContext(restored_id, [*runs], choice, savepoints, run_id, history)
    try:
        run = SinkAttempt(sink, [run_id], checkpoint, first_id=number, context=context)
        completed = run.complete()
        run.close()
    finally:
        sink.close()
    return completed


def numbers(directory: Path) -> list[int]:
    text = "".join((directory / name).read_text() for name in visible(directory))
    return sorted(map(int, text.split()))


def take_all(directory: Path) -> None:
    for name in visible(directory):
        (directory / name).unlink()


def test_output_of_the_other_savepoint_is_later_although_its_number_is_lower(
    tmp_path: Path,
) -> None:
    first, second = parted(tmp_path, commits=False)
    go_on(tmp_path, first, FIRST, "r10")
    assert numbers(tmp_path) == [1, 2]
    with pytest.raises(RestoreError, match="1 file of which checkpoint 4 knows nothing"):
        go_on(tmp_path, second, SECOND, "r20")
    go_on(tmp_path, second, SECOND, "r20", "discard")
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_output_of_the_other_savepoint_is_later_also_when_a_reader_took_it(tmp_path: Path) -> None:
    first, second = parted(tmp_path, commits=False)
    go_on(tmp_path, first, FIRST, "r10")
    take_all(tmp_path)
    with pytest.raises(RestoreError, match=r"\(run r1, checkpoint 2\),\nwhich was moved away"):
        go_on(tmp_path, second, SECOND, "r20")


@pytest.mark.parametrize("choice", ["refuse", "discard"])
def test_savepoint_that_counts_on_discarded_output_is_refused(tmp_path: Path, choice: str) -> None:
    """Nobody writes it again: the input before the savepoint has been read."""
    _, second = parted(tmp_path)
    go_on(tmp_path, SinkCheckpoint(1, [], [], 1), [PAST], "r10", "discard")
    assert numbers(tmp_path) == [1]
    with pytest.raises(RestoreError, match=r"discarded since \(run r1, checkpoint 3\)") as caught:
        go_on(tmp_path, second, SECOND, "r20", choice)
    assert "--keep-later-output" in str(caught.value)
    assert numbers(tmp_path) == [1]


def test_user_may_go_on_without_discarded_output_and_is_not_asked_again(tmp_path: Path) -> None:
    first, second = parted(tmp_path)
    go_on(tmp_path, first, FIRST, "r10", "discard")
    completed = go_on(tmp_path, second, SECOND, "r20", "keep")
    assert numbers(tmp_path) == [1, 2, 4]
    go_on(tmp_path, completed, [*SECOND, ("r20", 20, 20)], "r30")


def test_output_that_was_kept_is_not_asked_about_by_who_goes_on_from_there(tmp_path: Path) -> None:
    """Whoever goes back again is."""
    first, _ = parted(tmp_path)
    completed = go_on(tmp_path, first, FIRST, "r10", "keep")
    assert numbers(tmp_path) == [1, 2, 2, 3]
    go_on(tmp_path, completed, [*FIRST, ("r10", 10, 10)], "r20")
    with pytest.raises(RestoreError, match="knows nothing"):
        go_on(tmp_path, first, FIRST, "r30")


def test_new_start_lives_with_what_was_taken_before_it_and_with_nothing_after(
    tmp_path: Path,
) -> None:
    """A job that runs once a day may be resumed; yesterday's savepoint is another story."""
    first, _ = parted(tmp_path)
    take_all(tmp_path)
    completed, history = go_on(tmp_path, None, [], "r10"), [("r10", 10, 10)]
    go_on(tmp_path, completed, history, "r20")
    go_on(tmp_path, first, FIRST, "r30", "discard")
    assert numbers(tmp_path) == [2]
    with pytest.raises(RestoreError, match="knows nothing"):
        go_on(tmp_path, completed, history, "r40")


def test_journal_forgets_beside_what_runs_began_that_nobody_goes_back_to(tmp_path: Path) -> None:
    parted(tmp_path)
    take_all(tmp_path)
    for run_id in ("r10", "r20", "r30"):
        go_on(tmp_path, None, [], run_id)
    content = json.loads((tmp_path / JOURNAL_NAME).read_text())
    assert content["beside"] == {"r30": {"r1": [[1, 1], [3, 3]]}}


def test_snapshot_of_an_older_version_has_all_lower_numbers_for_its_past(tmp_path: Path) -> None:
    first, second = parted(tmp_path, commits=False)
    go_on(tmp_path, first, FIRST, "r10")
    sink = FileSink.json_lines(tmp_path)
    sink.check_restore(RestoreContext(4, ["r1", "r20"]), second.committables)
    with pytest.raises(RestoreError, match="checkpoint 1 knows nothing"):
        sink.check_restore(RestoreContext(1, ["r1", "r20"]), [])
    sink.close()
