"""Cuts a failing schedule to its minimum, by leaving out what the failure does not need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from streamlet.testing.simulation.crash_points import Crash
from streamlet.testing.simulation.fates import Fate

MAX_RUNS: Final = 200
"""How often a schedule is tried; what is left then may not be the least."""


def minimised(schedule: Sequence[Fate], fails: Callable[[list[Fate]], bool]) -> list[Fate]:
    """A schedule of which nothing can be left out; `fails` says whether one still fails."""
    least, runs = list(schedule), 0
    candidates = _simpler(least)
    while (candidate := next(candidates, None)) is not None and runs < MAX_RUNS:
        runs += 1
        if fails(candidate):
            least, candidates = candidate, _simpler(candidate)
    return least


def _simpler(schedule: list[Fate]) -> Iterator[list[Fate]]:
    """Schedules with one thing less, the biggest things first."""
    if len(schedule) > 1:
        for index in range(len(schedule)):
            yield [*schedule[:index], *schedule[index + 1 :]]
    for index, fate in enumerate(schedule):
        for plainer in _plainer(fate):
            yield [*schedule[:index], plainer, *schedule[index + 1 :]]


def _plainer(fate: Fate) -> Iterator[Fate]:
    if fate.crash is not None:
        yield replace(fate, crash=None, has_power=False, is_crash_after_ask=False)
    for name in (
        "full_disk",
        "flip",
        "is_slow",
        "loses_notices",
        "is_from_savepoint",
        "savepoints_back",
    ):
        yield from _without(fate, name)
    for asked in fate.asks:
        yield replace(fate, asks=tuple(ask for ask in fate.asks if ask != asked))
    for failed in fate.errors:
        yield replace(fate, errors=tuple(error for error in fate.errors if error != failed))
    for name in ("clock_wrong_by_ms", "backend", "parallelism"):
        yield from _without(fate, name)
    if fate.crash is not None:
        if not fate.has_power:
            yield replace(fate, has_power=True)  # a killed process loses less than the machine
        for earlier in {1, fate.crash.occurrence // 2, fate.crash.occurrence - 1}:
            if 0 < earlier < fate.crash.occurrence:
                yield replace(fate, crash=Crash(fate.crash.point, earlier))


def _without(fate: Fate, name: str) -> Iterator[Fate]:
    usual: Any = getattr(Fate(), name)
    if getattr(fate, name) != usual:
        yield replace(fate, **{name: usual})
