"""Whole jobs, killed at named points of a simulated world, give what an undisturbed run gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import SystemRandom
from typing import Any

import pytest

from streamlet import StreamExecutionEnvironment
from streamlet.sink import Sink
from streamlet.testing.simulation import (
    CRASH_POINTS,
    Crash,
    ReplayedSource,
    SimulationFailure,
    SimulationReport,
    simulate,
)
from streamlet.testing.simulation.world import Fate, World, from_build
from tests.testing.simulation.simulated_pipelines import (
    PIPELINES,
    Simulated,
    both_timers,
    running_count,
    stateless,
    tumbling,
)

FIXED_SEEDS = range(20)
FRESH_SEEDS = 12


def run(simulated: Simulated, seeds: Iterable[int]) -> SimulationReport:
    return simulate(
        simulated.build,
        seeds,
        expected=simulated.expected,
        is_clock_right=simulated.is_clock_right,
    )


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.__name__)
def test_crashes_at_any_point_leave_no_trace_in_the_output(
    pipeline: Callable[[], Simulated],
) -> None:
    """CP-70: fixed seeds, and fresh ones; a failure names its seed and its crashes."""
    fresh = SystemRandom()
    seeds = [*FIXED_SEEDS, *(fresh.randrange(1_000, 2**32) for _ in range(FRESH_SEEDS))]
    report = run(pipeline(), seeds)
    assert report.seeds == seeds
    assert report.crashes.total() > len(seeds)
    assert report.errors.total() > 0
    assert report.unlisted() == set()


@pytest.mark.slow
def test_every_listed_point_is_passed_and_most_are_died_at() -> None:
    """A point that no job passes any more is a promise that nobody tests."""
    report = run(both_timers(), range(30))
    passed = set(report.passed)
    world = World(from_build(tumbling().build), 0, {})
    for fate in (
        Fate(Crash("before-task-ack-message", 5), errors=(Crash("before-keyed-state-sync", 2),)),
        Fate(errors=(Crash("before-operator-state-read", 1),)),  # refused, so it leaves no trace
    ):
        passed |= set(world.run_process(fate).hits)
    assert passed == CRASH_POINTS
    assert len(report.crashes) > len(CRASH_POINTS) // 2


@pytest.mark.slow
def test_a_run_is_a_function_of_its_seed() -> None:
    first, again = (run(running_count(), range(4)) for _ in range(2))
    assert first.schedules == again.schedules
    assert len(set(first.schedules.values())) == 4


@pytest.mark.slow
def test_failure_says_how_to_repeat_it_and_the_seed_alone_repeats_it() -> None:
    simulated = running_count()
    with pytest.raises(SimulationFailure, match=r"1 are too many .*surplus") as caught:
        simulate(differing_at_restart(simulated), range(50), expected=simulated.expected)
    failure = caught.value
    assert any(fate.crash for fate in failure.schedule)
    assert f"seeds=[{failure.seed}]" in str(failure)
    with pytest.raises(SimulationFailure) as repeated:
        simulate(differing_at_restart(simulated), [failure.seed], expected=simulated.expected)
    assert str(repeated.value) == str(failure)


def differing_at_restart(simulated: Simulated) -> Callable[[StreamExecutionEnvironment, Any], None]:
    """A pipeline that is not deterministic: what it gives tells how often it was started."""
    starts: list[int] = []

    def build(env: StreamExecutionEnvironment, sink: Sink[Any]) -> None:
        starts.append(1)
        simulated.build(env, sink)
        if len(starts) > 3:
            env.from_source(ReplayedSource({"more": ["surplus"]})).uid("more").sink_to(sink)

    return build


def test_wrong_output_of_the_undisturbed_run_is_found_before_any_crash() -> None:
    with pytest.raises(SimulationFailure, match="process 1: parallelism 3, no crash") as caught:
        simulate(stateless().build, [], expected=[("k0-0", 10)])
    assert [fate.crash for fate in caught.value.schedule] == [None]
