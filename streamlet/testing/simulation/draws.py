"""Draws the fates of a seed's processes, out of what processes came by in rehearsals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from streamlet.testing.simulation.crash_points import Crash, may_fail
from streamlet.testing.simulation.fates import WISHES, Ask, Fate, Flip, FullDisk

MAX_CRASHES: Final = 4
ERRORS: Final = (0, 0, 0, 1, 2)
"""How many operations fail in one process."""
CLOCKS_WRONG_BY_MS: Final = (0, 0, 0, -3_600_000, 60_000)
KILLED: Final = 0.4
"""How many crashes end the process alone and leave the disk as it is."""
ASKED: Final = 0.25
CRASHED_AFTER_ASK: Final = 0.8
RARE: Final = 4
RARE_AFTER_ASK: Final = 0.6
COMMITS_AFTER_ASK: Final = 0.3
FILES: Final = (1, 2, 3, 5, 8, 13, 21)
"""Of which file of a commit; the checkpoint that is pending has its own."""
_COMMITS: Final = ("-sink-commit", "-file-rename", "-journal-rename", "-complete-message")
"""Points around the commit of a checkpoint, which every wish but "cancel" leads to."""
FROM_SAVEPOINT: Final = 0.5
SAVEPOINTS_BACK: Final = (0, 0, 1, 2)
PARTED: Final = 0.1
"""How many seeds go from one savepoint to the other."""
LOSES_NOTICES: Final = 0.3
IN_ROCKSDB: Final = 0.2
SLOW: Final = 0.08
FULL: Final = 0.08
FULL_MS: Final = (1, 20, 100, 1_000)
FLIPPED: Final = 0.06
FREQUENT: Final = 0.25
MAX_FASTER: Final = 3
"""By how much more often such a process may pass a point."""
MAX_FILE: Final = 1_000
MAX_BIT: Final = 100_000
LAST: Final = Flip(-1, 100)
_ALL_THE_TIME: Final = "before-thread"


def rehearsals(parallelism: int) -> list[list[Fate]]:
    """Schedules that come by every point, so that it is known how often each is passed."""
    whole = Fate(parallelism=parallelism)
    committed = Crash("before-checkpoint-complete-message", 2)
    killed = Fate(committed, has_power=True, parallelism=parallelism)
    acked = "before-task-ack-message"
    savepoint = Ask("savepoint", acked, 2)
    early = Ask("savepoint", "before-checkpoint-complete-message", 1)
    left = replace(
        killed, crash=Crash("before-manifest-create", 3), asks=(early,), is_frequent=True
    )
    passed = replace(killed, crash=Crash("before-task-opened-message", 1))
    stop, cancel = Ask("stop", acked, 5 * parallelism), Ask("cancel", acked, 5 * parallelism)

    def failing(*points: str, asks: tuple[Ask, ...] = ()) -> Fate:
        errors = tuple(Crash(point, 1) for point in points)
        return Fate(errors=errors, asks=asks, parallelism=parallelism)

    return [
        [whole],
        [killed, whole],
        [killed, failing("before-operator-state-read"), whole],
        [failing("before-keyed-state-sync", "before-sink-commit"), whole],
        [failing("before-output-file-sync"), whole],
        [failing("before-operator-state-sync"), whole],
        [failing(asks=(savepoint, stop)), whole],
        [failing(asks=(savepoint, cancel)), replace(whole, is_from_savepoint=True)],
        [failing("before-savepoint-operator-state-sync", asks=(savepoint, stop)), whole],
        # What the savepoint prepared is left, passed by, and committed after all.
        [left, passed, replace(whole, is_from_savepoint=True)],
        # Of what is to be committed again, the last file is damaged.
        [replace(killed, crash=Crash("before-output-file-rename", 1)), replace(whole, flip=LAST)],
    ]


class Draws:
    """Fates by chance; all numbers follow from a seed and from the rehearsals."""

    def __init__(self, parallelisms: Sequence[int], clocks_wrong_by_ms: Sequence[int]) -> None:
        self._parallelisms = parallelisms
        self._clocks_wrong_by_ms = clocks_wrong_by_ms
        self._passages: Counter[str] = Counter()
        """By crash point, how often one process passed it."""
        self._ways: dict[str, list[Fate]] = {}
        """By crash point, what must happen so that the last of these processes comes by."""
        self._plain: list[str] = []
        """The points by which a process comes to which nothing happens."""
        self._first: set[str] = set()
        """Those by which a process may come that has nothing to resume."""

    def learn(self, happened: Sequence[Fate], hits: Counter[str]) -> None:
        """The last of these processes, in a rehearsal, came by these points."""
        self._plain = self._plain or sorted(hits)
        if len(happened) == 1:
            self._first |= hits.keys()
        for point in hits.keys() - self._passages.keys():
            self._ways[point] = list(happened)
        self._passages |= hits

    def sweep(self) -> Iterator[list[Fate]]:
        """For each point that was come by, a schedule in which a process dies there for sure."""
        for point in sorted(self._ways):
            *earlier, last = self._ways[point]
            yield [*earlier, replace(last, crash=Crash(point, 1), has_power=False)]

    def fates(self, seed: int) -> list[Fate]:
        """Up to four that crash or are disturbed, and one that comes to the end."""
        # Not the world's own numbers: what they are used for depends on the schedule.
        random = Random(f"fates of {seed}")
        count = random.randint(1, MAX_CRASHES)
        last = Fate(parallelism=random.choice(self._parallelisms))
        fates = [self._fate(random, count, number > 0) for number in range(count)]
        if random.random() < PARTED:
            fates = list(_parted(random, fates))
        return [*fates, last]

    def _fate(self, random: Random, count: int, has_earlier: bool) -> Fate:
        """The more processes there are to be, the earlier each dies, so that all of them come."""
        asks = self._asks(random, count)
        points = sorted(self._passages if has_earlier else self._first)
        crash = draw_crash(random, points, self._passages, 2 * count)
        way = self._ways[crash.point][-1]
        is_after_ask = bool(asks) and random.random() < CRASHED_AFTER_ASK
        if is_after_ask:
            crash, way = self._after_ask(random, points), Fate()
        is_frequent = random.random() < FREQUENT
        if is_frequent:
            crash = replace(crash, occurrence=crash.occurrence * random.randint(1, MAX_FASTER))
        fallible = [point for point in points if may_fail(point)]
        errors = [
            draw_crash(random, fallible, self._passages, 4) for _ in range(random.choice(ERRORS))
        ]
        return Fate(
            crash,
            has_power=random.random() < KILLED,
            errors=tuple(dict.fromkeys([*way.errors, *errors])),
            clock_wrong_by_ms=random.choice(self._clocks_wrong_by_ms),
            parallelism=random.choice(self._parallelisms),
            backend="rocksdb" if random.random() < IN_ROCKSDB else "heap",
            asks=asks or way.asks,
            is_crash_after_ask=is_after_ask,
            is_from_savepoint=has_earlier and random.random() < FROM_SAVEPOINT,
            savepoints_back=random.choice(SAVEPOINTS_BACK),
            loses_notices=random.random() < LOSES_NOTICES,
            full_disk=self._full_disk(random, count),
            is_slow=random.random() < SLOW,
            flip=self._flip(random) if has_earlier else None,
            is_frequent=is_frequent,
        )

    def _asks(self, random: Random, count: int) -> tuple[Ask, ...]:
        if random.random() >= ASKED:
            return ()
        # Threads work all the time, so their passages are a measure of it.
        passages = self._passages[_ALL_THE_TIME] // (2 * count)
        at = random.randint(1, max(1, passages))
        return (Ask(random.choice(WISHES), _ALL_THE_TIME, at),)

    def _after_ask(self, random: Random, points: Sequence[str]) -> Crash:
        """Soon, and often at what a process comes by only when it ends or takes a savepoint."""
        if random.random() < COMMITS_AFTER_ASK:
            commits = [point for point in points if point.endswith(_COMMITS)]
            return Crash(random.choice(commits), random.choice(FILES))
        rare = [point for point in points if self._passages[point] <= RARE]
        point = random.choice(rare if random.random() < RARE_AFTER_ASK else points)
        return Crash(point, random.choice((1, 1, 2)))

    def _full_disk(self, random: Random, count: int) -> FullDisk | None:
        if random.random() >= FULL:
            return None
        at = draw_crash(random, self._plain, self._passages, 2 * count)
        return FullDisk(at.point, at.occurrence, random.choice(FULL_MS))

    def _flip(self, random: Random) -> Flip | None:
        if random.random() >= FLIPPED:
            return None
        return Flip(random.randrange(MAX_FILE), random.randrange(MAX_BIT))


def _parted(random: Random, fates: Sequence[Fate]) -> Iterator[Fate]:
    """Two die soon after a savepoint; those after them go back to one and to the other, in turns.

    The second may have gone on from a checkpoint that is older than the first one's savepoint.
    """
    for number in (0, 1):
        yield Fate(
            Crash("before-manifest-create", random.choice((1, 2, 2, 3))),
            has_power=random.random() < KILLED,
            parallelism=fates[-1].parallelism,
            asks=(Ask("savepoint", "before-checkpoint-complete-message", random.randint(1, 3)),),
            is_crash_after_ask=True,
            is_from_savepoint=number > 0 and random.random() < FROM_SAVEPOINT,
            is_frequent=True,
        )
    back = random.randint(0, 1)
    for fate in (*fates[1:], *fates[:1], *fates[-1:]):
        yield replace(fate, is_from_savepoint=True, savepoints_back=back)
        back = 1 - back


def draw_crash(random: Random, points: Sequence[str], passages: Counter[str], parts: int) -> Crash:
    """A point by its name, then a passage in the first of so many parts of a process's life.

    So rare points are tried as often as those that are passed all the time.
    """
    point = random.choice(points)
    return Crash(point, random.randint(1, max(1, passages[point] // parts)))
