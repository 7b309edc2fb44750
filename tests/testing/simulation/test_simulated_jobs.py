"""Whole jobs, killed at named points of a simulated world, give what an undisturbed run gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlet import StreamExecutionEnvironment
from streamlet.testing.simulation import (
    CRASH_POINTS,
    ReplayedSource,
    SimulationFailure,
    SimulationReport,
    simulate,
    simulate_schedule,
)
from tests.testing.simulation.file_pipelines import file_to_file
from tests.testing.simulation.pipelines import PIPELINES
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    SimulatedFiles,
    both_timers,
    operator_list_state,
    running_count,
    stateless,
)

SEEDS = range(20)
"""The same each time: `make proof-quick` runs fresh ones."""

SWEPT = (running_count, both_timers, operator_list_state, file_to_file)
"""One for each kind of state, and one for files; the proof sweeps all of them."""


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.__name__)
def test_crashes_at_any_point_leave_no_trace_in_the_output(
    pipeline: Callable[[], Simulated | SimulatedFiles],
) -> None:
    """CP-70: a failure names its seed and its crashes."""
    report = pipeline().simulate(SEEDS, sweep=False)
    assert report.seeds == list(SEEDS)
    assert report.crashes.total() > len(SEEDS)
    assert report.errors.total() > 0
    assert report.unlisted() == set()


@pytest.mark.slow
def test_every_listed_point_is_passed_and_died_at() -> None:
    """A point that no job passes any more is a promise that nobody tests."""
    report = SimulationReport()
    for pipeline in SWEPT:
        report.add(pipeline().simulate([]))
    assert set(report.passed) == CRASH_POINTS
    assert set(report.crashes) == CRASH_POINTS


@pytest.mark.slow
def test_a_run_is_a_function_of_its_seed() -> None:
    first, again = (running_count().simulate(range(4), sweep=False) for _ in range(2))
    assert first.schedules == again.schedules
    assert len(set(first.schedules.values())) == 4


@pytest.mark.slow
def test_failure_says_how_to_repeat_it_and_the_least_that_it_takes() -> None:
    """Of all that was drawn only the crash is left: without it there is no second start."""
    with pytest.raises(SimulationFailure, match="surplus") as caught:
        simulate(differing_after_output(), range(50), expected=["right"])
    failure = caught.value
    assert len(failure.schedule) == 2
    assert all(not fate.errors and not fate.asks for fate in failure.schedule)
    assert f"simulate_schedule(build, {failure.seed}, [\n    {failure.schedule[0]!r}," in str(
        failure
    )
    with pytest.raises(SimulationFailure) as repeated:
        simulate_schedule(
            differing_after_output(), failure.seed, failure.schedule, expected=["right"]
        )
    assert repeated.value.what == failure.what


def differing_after_output() -> Callable[[StreamExecutionEnvironment, Any], None]:
    """A pipeline that is not deterministic: a process that finds output reads something more."""

    def build(env: StreamExecutionEnvironment, sink: Any) -> None:
        has_output = bool(sink._output.committed)
        values = ["right", *(["surplus"] if has_output else [])]
        env.from_source(ReplayedSource({"all": values}, lingering_polls=20)).sink_to(sink)

    return build


def test_wrong_output_of_the_undisturbed_run_is_found_before_any_crash() -> None:
    with pytest.raises(SimulationFailure, match="process 1: parallelism 3, no crash") as caught:
        simulate(stateless().build, [], expected=[("k0-0", 10)])
    assert [fate.crash for fate in caught.value.schedule] == [None]
