"""The rules for sinks, as tests: subclass `SinkContract` and say where the sink writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Literal

from streamlet.errors import RestoreError
from streamlet.sink import RestoreContext, Span
from streamlet.testing.connectors.attempts import SinkAttempt, SinkCheckpoint
from streamlet.testing.connectors.breach import (
    ContractBroken,
    check_at_least,
    check_given_back,
    check_same,
    count_open_files,
)
from streamlet.testing.connectors.crashes import sink_deaths, write_to_the_end
from streamlet.testing.connectors.place import SinkPlace

_RECORDS: Final = tuple({"id": number, "kind": "abc"[number % 3]} for number in range(24))


class SinkContract(ABC):
    """What every sink must do. pytest collects a subclass whose name begins with `Test`.

    `make_place` gives a new, empty place each time it is called: a directory, a table, a topic.
    `records` are written to it, and must come back equal from `read_visible`; give others if
    your sink cannot take dicts. Whatever breaks a rule raises `ContractBroken`.

    >>> from streamlet.testing import ListSink
    >>> class TestListSink(SinkContract):
    ...     def make_place(self):
    ...         sink = ListSink()
    ...         return SinkPlace(lambda: sink, lambda: sink.values)
    >>> TestListSink().test_a_commit_can_be_repeated()
    """

    records: Sequence[Any] = _RECORDS
    """What is written: at least twelve records, all different."""

    guarantee: Literal["exactly-once", "at-least-once"] = "exactly-once"
    """At least once: records may be visible early, and again after a crash."""

    tells_later_output = False
    """Whether `recover` refuses or discards output that `RestoreContext.includes` does not."""

    @abstractmethod
    def make_place(self) -> SinkPlace:
        """A new, empty place for output."""

    def test_nothing_is_visible_before_its_commit(self) -> None:
        """SNK-1: not when it is written, flushed, prepared, synced."""
        place = self.make_place()
        run = SinkAttempt(place.make_sink(), parallelism=2)
        run.write(self.records[:6])
        self._check(place, "written", 0, run)
        checkpoint = run.prepare()
        self._check(place, "prepared", 0, run)
        run.write(self.records[6:9])
        run.sync()
        self._check(place, "synced", 0, run)
        run.commit(checkpoint)
        self._check(place, "committed, with three more written since", 6, run)
        _end(run)

    def test_a_commit_can_be_repeated(self) -> None:
        """SNK-3: by the same sink, and by that of the next process."""
        place = self.make_place()
        run = SinkAttempt(place.make_sink(), parallelism=2)
        run.write(self.records[:6])
        checkpoint = run.complete()
        for _ in range(2):
            run.sink.commit(checkpoint.committables)
            self._check(place, "committed again", 6, run)
        run.kill()
        again = SinkAttempt(place.make_sink(), ["r1", "r2"], checkpoint, first_id=2)
        self._check(place, "committed again after a restore", 6, again)
        _end(again)

    def test_a_commit_that_broke_off_can_be_completed(self) -> None:
        """SNK-3: wherever between two committables it broke off."""
        for done in range(3):
            place = self.make_place()
            run = SinkAttempt(place.make_sink(), parallelism=3)
            run.write(self.records[:9])
            checkpoint = run.prepare()
            run.sync()
            run.sink.commit(checkpoint.committables[:done])
            run.kill()
            again = SinkAttempt(place.make_sink(), ["r1", "r2"], checkpoint, first_id=2)
            self._check(place, f"committed after {done} committables were", 9, again)
            _end(again)

    def test_checkpoints_are_committed_one_by_one(self) -> None:
        """SNK-2: each shows its own records, an empty one none."""
        place = self.make_place()
        run = SinkAttempt(place.make_sink(), parallelism=2)
        for stop in (0, 3, 4, 4, 10):
            run.write(self.records[run.written : stop])
            run.complete()
            self._check(place, f"{stop} records committed", stop, run)
        _end(run)

    def test_an_aborted_checkpoint_is_committed_with_the_next(self) -> None:
        """SNK-2: what it prepared is still to be committed, together with what came after."""
        place = self.make_place()
        run = SinkAttempt(place.make_sink())
        run.write(self.records[:3])
        run.prepare()
        run.write(self.records[3:5])
        run.complete()
        self._check(place, "the second of two checkpoints committed", 5, run)
        _end(run)

    def test_what_a_checkpoint_holds_stays_as_it_is(self) -> None:
        """SNK-2: it is written while the writer goes on."""
        place = self.make_place()
        run = SinkAttempt(place.make_sink())
        run.write(self.records[:3])
        checkpoint = run.prepare()
        run.sync()
        run.write(self.records[3:6])
        run.commit(checkpoint)
        run.complete()
        run.check_unchanged()
        _end(run)

    def test_writers_do_not_collide(self) -> None:
        """SNK-1: subtasks of one attempt, and attempts of one run."""
        place = self.make_place()
        sink = place.make_sink()
        run, checkpoint = SinkAttempt(sink, parallelism=4), None
        for first_id in (2, 3):
            run.write(self.records[run.written : run.written + 8])
            checkpoint = run.complete()
            run.close()
            run = SinkAttempt(sink, ["r1"], checkpoint, first_id=first_id, parallelism=4)
        self._check(place, "two attempts of four writers", 16, run)
        _end(run)

    def test_every_record_is_visible_after_a_crash(self) -> None:
        """SNK-3: at each step of a checkpoint, twice in a row, the process killed or not."""
        for step in _CRASHES:
            for is_killed in (True, False):
                self._crash_twice(step, is_killed=is_killed)

    def _crash_twice(self, step: str, *, is_killed: bool) -> None:
        place = self.make_place()
        crashing = _CrashingRun(place, self.records, is_killed=is_killed)
        crashing.start(parallelism=2)
        crashing.complete()
        crashing.crash_at(step)
        crashing.start(parallelism=1)
        crashing.crash_at(step)
        crashing.start(parallelism=3)
        run = crashing.finish()
        self._check(place, f"crashed twice when {step}", len(self.records), run)
        _end(run)
        _check_tidy(place, f"crashed twice when {step}")

    def test_closing_shows_nothing_and_loses_nothing(self) -> None:
        """SNK-1: a writer is closed on every way out; what it prepared may yet be committed."""
        for steps in range(4):
            place = self.make_place()
            run = SinkAttempt(place.make_sink(), parallelism=2)
            checkpoint: SinkCheckpoint | None = None
            if steps >= 1:
                run.write(self.records[:6])
            if steps >= 2:
                checkpoint = run.prepare()
            if steps >= 3:
                run.sync()
            run.close()
            self._check(place, "closed", 0, run)
            if steps >= 3 and checkpoint is not None:
                run.commit(checkpoint)
                self._check(place, "closed, then committed", 6, run)
            run.sink.close()

    def test_sinks_give_back_what_they_hold(self) -> None:
        """SNK-1: files and connections, at the end of every attempt and of the job."""
        self._write_and_close()  # whatever is opened once and kept is no leak
        before = count_open_files()
        held = [self._write_and_close() for _ in range(3)]
        check_given_back("SNK-1", f"closing {len(held)} sinks", before)

    def _write_and_close(self) -> tuple[SinkAttempt, SinkAttempt]:
        sink = self.make_place().make_sink()
        first = SinkAttempt(sink, parallelism=2)
        first.write(self.records[:6])
        checkpoint = first.complete()
        first.write(self.records[6:8])
        first.close()
        second = SinkAttempt(sink, ["r1"], checkpoint, first_id=3)
        second.write(self.records[6:8])
        second.complete()
        _end(second)
        return first, second

    def test_a_savepoint_outlives_a_restart_from_an_older_checkpoint(self) -> None:
        """SP-5: what was prepared for it is committed by its restore, however late."""
        for is_killed in (True, False):
            place = self.make_place()
            run = SinkAttempt(place.make_sink(), parallelism=2)
            run.write(self.records[:4])
            checkpoint = run.complete()
            run.write(self.records[4:8])
            savepoint = run.prepare()
            run.sync()
            self._leave(run, place, is_killed=is_killed)
            context = RestoreContext(1, ["r1", "r2"], savepoints=[("r1", 2)])
            run = SinkAttempt(
                place.make_sink(), ["r1", "r2"], checkpoint, first_id=3, context=context
            )
            run.write(self.records[4:6])
            run.prepare()
            self._leave(run, place, is_killed=is_killed)
            run = SinkAttempt(place.make_sink(), ["r1", "r2", "r3"], savepoint, first_id=4)
            self._check(place, "a savepoint restored after a restart", 8, run)
            _end(run)
            _check_tidy(place, "a savepoint restored after a restart")

    def _leave(self, run: SinkAttempt, place: SinkPlace, *, is_killed: bool) -> None:
        if is_killed:
            run.kill()
            place.lose_power()
        else:
            _end(run)

    def test_later_output_is_refused_kept_or_discarded(self) -> None:
        """SNK-3: whoever goes back to an older checkpoint says what becomes of later output."""
        if not self.tells_later_output:
            return
        for choice, visible in (("refuse", 6), ("keep", 6), ("discard", 2)):
            place = self.make_place()
            run = SinkAttempt(place.make_sink())
            checkpoints = []
            for stop in (2, 4, 6):
                run.write(self.records[run.written : stop])
                checkpoints.append(run.complete())
            run.kill()
            self._go_back(place, checkpoints[0], choice)
            self._check(place, f"gone back with {choice!r}", visible, run)

    def test_output_of_another_savepoint_is_later_output_too(self) -> None:
        """SNK-3: attempts that parted know nothing of each other, whichever number is higher."""
        if not self.tells_later_output:
            return
        for choice, visible in (("refuse", 2), ("discard", 4)):
            place, savepoints = self.make_place(), []
            for number, stop in ((1, 2), (2, 4)):
                context = RestoreContext(0, ["r1"], savepoints=[("r1", 1)])
                run = SinkAttempt(place.make_sink(), first_id=number, context=context)
                run.write(self.records[:stop])
                savepoints.append(run.prepare())
                run.sync()
                run.kill()
            context = RestoreContext(1, ["r1", "r2"], savepoints=[("r1", 2)])
            SinkAttempt(place.make_sink(), ["r1", "r2"], savepoints[0], context=context).kill()
            self._go_back(place, savepoints[1], choice, [("r1", 2, 2)])
            what = f"gone to another savepoint with {choice!r}"
            self._compare(place, what, self.records[:visible], self.records)

    def _go_back(
        self,
        place: SinkPlace,
        checkpoint: SinkCheckpoint,
        choice: str,
        history: Sequence[Span] = (),
    ) -> None:
        sink = place.make_sink()
        try:
            context = RestoreContext(
                checkpoint.checkpoint_id, ["r1", "r2"], choice, history=history
            )
            again = SinkAttempt(sink, ["r1", "r2"], checkpoint, first_id=9, context=context)
            again.close()
        except RestoreError:
            if choice != "refuse":
                raise
        else:
            if choice == "refuse":
                raise ContractBroken("SNK-3", "later output was not refused by a RestoreError")
        finally:
            sink.close()

    def test_every_record_is_visible_once_when_processes_die(self) -> None:
        """SNK-1 to SNK-3: a job on simulated machines that die, resume and rescale."""
        for deaths in sink_deaths():
            place = self.make_place()
            write_to_the_end(place, self.records, deaths)
            what = f"processes died at {', '.join(str(fate.crash) for fate in deaths)}"
            self._compare(place, what, self.records, self.records)

    def _check(self, place: SinkPlace, what: str, committed: int, run: SinkAttempt) -> None:
        """The first records are visible, as many as were committed; no others."""
        self._compare(place, what, self.records[:committed], self.records[: run.written])

    def _compare(
        self, place: SinkPlace, what: str, expected: Sequence[Any], written: Sequence[Any]
    ) -> None:
        if self.guarantee == "exactly-once":
            check_same("SNK-3", what, place.read_visible(), expected)
        else:
            check_at_least("SNK-7", what, place.read_visible(), expected, written)


_CRASHES: Final = {
    "written": False,
    "prepared": False,
    "synced": False,
    "the manifest was written": True,
    "half committed": True,
    "committed": True,
}
"""Steps of a checkpoint, and whether the restore finds it."""


class _CrashingRun:
    """A job that reads its input again from the last checkpoint that was complete."""

    def __init__(self, place: SinkPlace, records: Sequence[Any], *, is_killed: bool) -> None:
        self._place = place
        self._records = records
        self._is_killed = is_killed
        self._sink = place.make_sink()
        self._run_ids = ["r1"]
        self._next_id = 1
        self._latest: SinkCheckpoint | None = None

    def start(self, parallelism: int) -> None:
        """A new attempt writes three records."""
        self._run = SinkAttempt(
            self._sink,
            self._run_ids,
            self._latest,
            first_id=self._next_id,
            parallelism=parallelism,
        )
        self._write()

    def complete(self) -> None:
        """A whole checkpoint, and three records after it."""
        self._latest = self._run.complete()
        self._next_id += 1
        self._write()

    def _write(self) -> None:
        self._run.write(self._records[self._run.written : self._run.written + 3])

    def crash_at(self, step: str) -> None:
        """Ends the attempt there; what it wrote since its last checkpoint is to be replayed."""
        steps = list(_CRASHES)
        reached = steps.index(step)
        if reached >= steps.index("prepared"):
            checkpoint = self._run.prepare()
            self._next_id += 1
            if reached >= steps.index("synced"):
                self._run.sync()
            if _CRASHES[step]:
                self._latest = checkpoint
            half = len(checkpoint.committables) // 2
            if reached >= steps.index("half committed"):
                self._run.sink.commit(checkpoint.committables[:half])
            if reached >= steps.index("committed"):
                self._run.commit(checkpoint)
        self._end_attempt()

    def _end_attempt(self) -> None:
        if not self._is_killed:
            self._run.close()
            return
        self._run.kill()
        self._place.lose_power()
        self._sink = self._place.make_sink()
        self._run_ids.append(f"r{len(self._run_ids) + 1}")

    def finish(self) -> SinkAttempt:
        """Writes the rest and completes the last checkpoint."""
        self._run.write(self._records[self._run.written :])
        self._run.complete()
        return self._run


def _end(run: SinkAttempt) -> None:
    run.close()
    run.sink.close()


def _check_tidy(place: SinkPlace, what: str) -> None:
    if left := list(place.read_leftovers()):
        raise ContractBroken(
            "SNK-3",
            f"{what}: {left[:3]} are left; recover() or close() must remove what no checkpoint "
            "and no savepoint speaks of",
        )
