"""FileSink: death at any operation of the disk, with and without power, beside a reader that takes.

A reader moves files away as soon as they are visible. After a loss of power a file may be visible
again, under the same name and with the same records: the reader knows the name.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.encoders import JsonLinesEncoder
from streamlet.connectors.files.journal import CommitJournal
from streamlet.connectors.files.parts import TextParts
from streamlet.errors import FatalError, RestoreError, TransientError
from streamlet.testing.connectors import ContractBroken
from streamlet.testing.connectors.attempts import SinkAttempt, SinkCheckpoint
from streamlet.testing.simulation.crash_points import Crash, CrashPoints, ProcessDeath
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.file_disk import SimulatedFileDisk

OUT = Path("/out")
RECORDS = list(range(12))
STEP = 4


class Reader:
    """Takes whole files, once each by name."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.taken: dict[str, list[int]] = {}

    def take(self) -> None:
        for directory in [OUT, *self.disk.list(OUT)]:
            for path in self.disk.list(directory):
                if path.name.startswith("part-"):
                    lines = self.disk.read(path).decode().splitlines()
                    records = [json.loads(line) for line in lines]
                    assert self.taken.setdefault(path.name, records) == records
                    self.disk.remove(path)

    def records(self) -> list[int]:
        return sorted(record for records in self.taken.values() for record in records)


class World:
    """A disk, a reader, and the latest checkpoint, which is durable as soon as it is set."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk()
        self.reader = Reader(self.disk)
        self.latest: SinkCheckpoint | None = None
        self.run_ids: list[str] = []
        self.next_id = 1

    def run(self, crash: Crash | None, errors: Sequence[Crash] = ()) -> Counter[str]:
        """A process that writes all records from the latest checkpoint on.

        After an error it begins again, as a job does that restarts.
        """
        self.run_ids.append(f"r{len(self.run_ids) + 1}")
        points = CrashPoints(crash, errors)
        disk = SimulatedFileDisk(self.disk, points)
        sink = FileSink(
            OUT,
            lambda: TextParts(JsonLinesEncoder(None)),
            partition_by=lambda record: record % 2,
            disk=disk,
        )
        try:
            while not self._attempt(sink):
                assert points.has_failed
        except ProcessDeath:
            points.is_dead = True
        return points.hits

    def _attempt(self, sink: FileSink) -> bool:
        """Whether it came to the end."""
        attempt = None
        try:
            attempt = SinkAttempt(sink, self.run_ids, self.latest, first_id=self.next_id)
            self._write(attempt)
        except TransientError:
            if attempt is not None:
                with suppress(TransientError, ContractBroken):
                    attempt.close()
            return False
        sink.close()
        return True

    def _write(self, attempt: SinkAttempt) -> None:
        while attempt.written < len(RECORDS):
            attempt.write(RECORDS[attempt.written : attempt.written + STEP])
            checkpoint = attempt.prepare()
            self.next_id += 1
            attempt.sync()
            self.latest = checkpoint
            attempt.commit(checkpoint)
            self.reader.take()
        attempt.close()

    def check(self, what: str, random: Random) -> None:
        """At the end all is there once, and stays whatever happens to the machine."""
        self.disk.crash(random)
        self.reader.take()
        assert self.reader.records() == RECORDS, what
        left = [path for path in self.disk.list(OUT) if path.name.startswith(".part-")]
        assert not left, what


def passages() -> list[Crash]:
    hits = World().run(None)
    return [Crash(point, n) for point in sorted(hits) for n in range(1, hits[point] + 1)]


def test_the_run_comes_by_every_operation_of_a_commit() -> None:
    passed = passages()
    assert len(passed) > 60
    for operation in ("create", "rename", "sync", "make"):
        assert any(crash.point.endswith(operation) for crash in passed)


@pytest.mark.slow
def test_a_kill_leaves_nothing_that_a_later_loss_of_power_takes() -> None:
    """A killed process may have made a directory that nobody has synced; the next one finds it."""
    for killed, (lost, seed) in itertools.product(passages(), _some(passages())):
        world = World()
        world.run(killed)
        world.run(lost)
        world.reader.take()
        world.disk.crash(Random(seed))
        world.run(None)
        world.check(f"killed at {killed}, power lost at {lost}", Random(seed))


def _some(crashes: list[Crash]) -> list[tuple[Crash, int]]:
    """Every ninth, with a seed of its own."""
    return [(crash, seed) for seed, crash in enumerate(crashes[::9])]


@pytest.mark.slow
@pytest.mark.parametrize("has_power", [True, False], ids=["power", "no power"])
@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "left"])
def test_every_record_is_read_once_wherever_the_process_dies(
    has_power: bool, is_taken: bool
) -> None:
    for crash, seed in itertools.product(passages(), range(1 if has_power else 8)):
        world, random = World(), Random(seed)
        for fate in (crash, Crash(crash.point, 1), None):
            world.run(fate)
            if is_taken:
                world.reader.take()
            if not has_power and fate is not None:
                world.disk.crash(random)
        world.check(f"{crash}, seed {seed}", random)


@pytest.mark.slow
def test_every_record_is_read_once_whichever_operation_fails() -> None:
    """The job restarts in the same process; power is lost at some time after that."""
    fallible = [crash for crash in passages() if crash.point.startswith("before-")]
    for error, (lost, seed) in itertools.product(fallible, _some(passages())):
        world = World()
        world.run(lost, [error, Crash(error.point, error.occurrence + 1)])
        world.reader.take()
        world.disk.crash(Random(seed))
        world.run(None)
        world.check(f"{error} failed twice, power lost at {lost}", Random(seed))


class NoJournal(CommitJournal):
    """A planted bug: nothing is noted."""

    def advance(self, run_id: str, first: int, last: int) -> None:
        pass


class UnsyncedJournal(CommitJournal):
    """A planted bug: what is noted is not durable."""

    def _write(self, content: Any) -> None:
        scratch = self._path.with_name("scratch")
        with self._disk.create(scratch) as file:
            file.write(json.dumps({"version": 1, "runs": content.runs}).encode())
        self._disk.rename(scratch, self._path)
        self._content = content


@pytest.mark.parametrize("journal", [NoJournal, UnsyncedJournal])
def test_a_planted_bug_is_found(
    journal: type[CommitJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlet.connectors.files.sink.CommitJournal", journal)
    with pytest.raises((FatalError, RestoreError), match=r"is lost|cannot be read"):
        test_every_record_is_read_once_wherever_the_process_dies(has_power=False, is_taken=True)
