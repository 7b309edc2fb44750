"""The simulation can fail: known bugs are planted in the engine, and it finds each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlet.checkpoint import manifest
from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.pending import PendingCheckpoint
from streamlet.elements import Element, RowBatch
from streamlet.eventtime.timers import TimerQueue
from streamlet.operators import timers
from streamlet.runtime import checkpoints
from streamlet.runtime.channel import InputGate
from streamlet.runtime.checkpoints import Checkpoints
from streamlet.testing.simulation import SimulatedDisk, SimulationFailure, simulate
from streamlet.testing.simulation.mounted_disk import MountedDisk, kind_of
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    both_timers,
    running_count,
    tumbling,
)

SEEDS = range(60)

pytestmark = pytest.mark.slow


def found_in(simulated: Simulated) -> SimulationFailure:
    """What the simulation says of the planted bug."""
    with pytest.raises(SimulationFailure) as caught:
        simulate(
            simulated.build,
            SEEDS,
            expected=simulated.expected,
            is_clock_right=simulated.is_clock_right,
        )
    return caught.value


def test_manifest_renamed_before_it_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    write = manifest.write_manifest

    class Careless:
        """Passes everything on but the sync of a file."""

        def __init__(self, disk: Disk) -> None:
            self._disk = disk

        def __getattr__(self, name: str) -> Any:
            return getattr(self._disk, name)

        def sync(self, file: Any) -> None:
            pass

    monkeypatch.setattr(
        checkpoints, "write_manifest", lambda disk, *rest: write(Careless(disk), *rest)
    )
    assert "damaged" in str(found_in(running_count()))


def test_directory_of_keyed_state_not_synced_before_the_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that was synced is lost all the same while no synced directory names it."""
    sync_directory = MountedDisk.sync_directory

    def careless(self: MountedDisk, path: Path) -> None:
        if kind_of(path) != "state-directory":
            sync_directory(self, path)

    monkeypatch.setattr(MountedDisk, "sync_directory", careless)
    assert "cannot be read" in str(found_in(running_count()))


def test_output_committed_before_the_manifest_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[..., Any] = Checkpoints._write

    def hasty(self: Checkpoints, pending: PendingCheckpoint, items: Any) -> Any:
        self._commit(items)
        return write(self, pending, items)

    monkeypatch.setattr(Checkpoints, "_write", hasty)
    assert "too many" in str(found_in(running_count()))


def test_timers_forgotten_at_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = timers.TimerDomain.__init__

    def forgetful(self: timers.TimerDomain, *args: Any) -> None:
        begin(self, *args)
        self._queue = TimerQueue()

    monkeypatch.setattr(timers.TimerDomain, "__init__", forgetful)
    assert "missing" in str(found_in(both_timers()))


def test_what_waits_behind_the_barrier_dropped_with_the_end_of_alignment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = InputGate.poll
    blocked_before: dict[int, set[int]] = {}

    def lossy(self: InputGate) -> tuple[int, Element] | None:
        blocked = {i for i in range(len(self.channels)) if self._is_blocked(i)}
        for channel in blocked_before.get(id(self), set()) - blocked:
            waiting = self.channels[channel]
            if len(waiting) and isinstance(waiting._elements[0], RowBatch):
                waiting.receive_nowait()
        blocked_before[id(self)] = blocked
        return poll(self)

    monkeypatch.setattr(InputGate, "poll", lossy)
    assert "the output differs" in str(found_in(tumbling()))


def test_sync_that_syncs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedDisk, "sync", lambda self, file: None)
    assert found_in(running_count()).schedule
