"""Cutting a failing schedule to its minimum."""

from __future__ import annotations

from streamlet.testing.simulation import Ask, Crash, Fate, Flip, FullDisk
from streamlet.testing.simulation.minimise import MAX_RUNS, minimised

RICH = Fate(
    crash=Crash("before-sink-commit", 9),
    errors=(Crash("before-manifest-sync", 1), Crash("before-run-record-sync", 2)),
    clock_wrong_by_ms=60_000,
    parallelism=3,
    backend="rocksdb",
    asks=(Ask("savepoint", "before-thread", 3), Ask("stop", "before-thread", 9)),
    is_from_savepoint=True,
    loses_notices=True,
    full_disk=FullDisk("before-thread", 2, 20),
    is_slow=True,
    flip=Flip(1, 2),
)


def test_what_the_failure_does_not_need_is_left_out() -> None:
    needed = Crash("before-manifest-sync", 1)

    def fails(schedule: list[Fate]) -> bool:
        return any(needed in fate.errors for fate in schedule)

    assert minimised([RICH, RICH, RICH], fails) == [Fate(errors=(needed,))]


def test_what_it_needs_together_stays_together() -> None:
    def fails(schedule: list[Fate]) -> bool:
        return (
            len(schedule) >= 2
            and schedule[0].crash is not None
            and schedule[-1].backend == "rocksdb"
            and schedule[-1].parallelism == 3
        )

    assert minimised([RICH, RICH, RICH], fails) == [
        Fate(crash=Crash("before-sink-commit", 1), has_power=True),
        Fate(parallelism=3, backend="rocksdb"),
    ]


def test_a_failure_that_does_not_repeat_leaves_the_schedule_as_it_was() -> None:
    assert minimised([RICH], lambda schedule: False) == [RICH]


def test_search_is_bounded() -> None:
    runs: list[list[Fate]] = []

    def fails(schedule: list[Fate]) -> bool:
        runs.append(schedule)
        return False

    minimised([RICH] * 100, fails)
    assert len(runs) == MAX_RUNS


def test_schedule_is_a_literal_without_what_is_as_always() -> None:
    names = {one.__name__: one for one in (Fate, Crash, Ask, Flip, FullDisk)}
    assert eval(repr(RICH), names) == RICH
    assert repr(Fate(crash=Crash("before-thread", 2))) == 'Fate(crash=Crash("before-thread", 2))'
