"""Single fates of whole jobs: a clock that jumps back, a full disk, a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlet.errors import RestoreError, TransientError
from streamlet.testing.simulation import Crash
from streamlet.testing.simulation.world import CHECKPOINTS, Fate, World, from_build
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    running_count,
    stateless,
    tumbling,
)

HOUR_MS = 3_600_000


def world_of(simulated: Simulated, seed: int = 0) -> World:
    return World(from_build(simulated.build), seed, {"parallelism.default": 2})


def run(world: World, *fates: Fate) -> None:
    """All but the last one must come to the crash they are told."""
    for fate in fates[:-1]:
        assert world.run_process(fate).has_crashed
    assert world.run_process(fates[-1]).is_finished


def files(world: World, directory: Path) -> Iterator[Path]:
    for path in world.disk.list(directory):
        below = list(files(world, path))
        yield from below or [path]


def test_run_after_a_clock_that_jumped_back_is_the_latest_all_the_same() -> None:
    """The third run must go on from the second one, whose clock was an hour behind the first's.

    Runs were ordered by the time of day at which they began: the third went on from the first, and
    gave again what the second had committed.
    """
    simulated = running_count()
    world = world_of(simulated)
    committed = "before-checkpoint-complete-message"
    wrong = Fate(Crash(committed, 1), clock_wrong_by_ms=-HOUR_MS)
    run(world, Fate(Crash(committed, 2)), wrong, Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.parametrize("seed", range(6))
def test_file_that_a_manifest_names_is_named_by_a_synced_directory(seed: int) -> None:
    """A crash right behind a checkpoint must not cost it a file of keyed state.

    The files were synced, the directory they are in was not: the manifest outlived them.
    """
    simulated = running_count()
    world = world_of(simulated, seed)
    run(world, Fate(Crash("after-sink-commit", 4)), Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.parametrize("seed", [3, 8, 17, 18, 79])
def test_manifest_whose_last_sync_failed_counts_as_it_is_found(seed: int) -> None:
    """It was discarded, and came back with a loss of power when its output was rolled back."""
    simulated = stateless()
    world = world_of(simulated, seed)
    sync = Crash("before-checkpoint-directory-sync", 3)
    run(world, Fate(Crash("before-deploy-message", 2), errors=(sync,)), Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("point", ["after-sink-recover", "after-run-directory-sync"])
def test_manifest_that_a_killed_process_left_unsynced_is_synced_before_it_is_used(
    point: str, seed: int
) -> None:
    """Else a loss of power takes it back when its output is committed, or its name recorded."""
    simulated = stateless()
    world = world_of(simulated, seed)
    killed = Fate(Crash("after-manifest-rename", 3), has_power=True)
    run(world, killed, Fate(Crash(point, 1)), Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.slow
@pytest.mark.parametrize("capacity_bytes", [0, 300, 3_000, 6_000, 12_000])
def test_full_disk_fails_the_job_and_space_lets_it_go_on(capacity_bytes: int) -> None:
    simulated = tumbling()
    world = world_of(simulated)
    world.disk.capacity_bytes = capacity_bytes
    with pytest.raises((TransientError, OSError), match="space"):
        world.run_process(Fate())
    world.disk.capacity_bytes = None
    run(world, Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.slow
def test_flipped_bit_in_any_file_of_the_latest_checkpoint_is_refused_or_harmless() -> None:
    """Never a wrong result: either the file is not needed, or the job says that it is damaged."""
    simulated = running_count()
    refused = set()
    crashed = Fate(Crash("before-sink-commit", 4))
    for number in range(len(list(files(after(simulated, crashed), CHECKPOINTS)))):
        for bit in (3, 400, 1_203):
            world = after(simulated, crashed)
            path = list(files(world, CHECKPOINTS))[number]
            world.disk.flip_bit(path, bit % (8 * len(world.disk.read(path))))
            try:
                run(world, Fate())
            except RestoreError:
                refused.add(path.name)
                continue
            assert sorted(world.output.values) == sorted(simulated.expected)
    assert {"manifest.json", "operator-state.parquet", "run.json"} <= refused
    assert any("-v1-" in name for name in refused)


def after(simulated: Simulated, crashed: Fate) -> World:
    world = world_of(simulated)
    assert world.run_process(crashed).has_crashed
    return world
