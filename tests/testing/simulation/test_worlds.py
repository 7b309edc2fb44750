"""Single fates of whole jobs: a full disk, a damaged file, what clients ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamlet.errors import RestoreError, TransientError
from streamlet.testing.simulation import Ask, Crash, Fate, FullDisk
from streamlet.testing.simulation.fates import Wish
from streamlet.testing.simulation.world import CHECKPOINTS, World, from_build, from_file_build
from tests.testing.simulation.file_pipelines import file_to_file
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    SimulatedFiles,
    running_count,
    tumbling,
)


def world_of(
    simulated: Simulated | SimulatedFiles,
    seed: int = 0,
    restart: str = "exponential-delay",
    interval: str = "30ms",
) -> World:
    config = {
        "parallelism.default": 2,
        "restart-strategy.type": restart,
        "execution.checkpointing.interval": interval,
    }
    if isinstance(simulated, SimulatedFiles):
        return World(from_file_build(simulated.build), seed, config, simulated.files)
    return World(from_build(simulated.build), seed, config)


def run(world: World, *fates: Fate) -> None:
    """All but the last one must come to the crash they are told."""
    for fate in fates[:-1]:
        assert world.run_process(fate).has_crashed
    assert world.run_process(fates[-1]).is_finished


def files(world: World, directory: Path) -> Iterator[Path]:
    for path in world.disk.list(directory):
        below = list(files(world, path))
        yield from below or [path]


@pytest.mark.slow
@pytest.mark.parametrize("capacity_bytes", [0, 300, 3_000, 6_000, 12_000])
def test_full_disk_fails_the_job_and_space_lets_it_go_on(capacity_bytes: int) -> None:
    simulated = tumbling()
    world = world_of(simulated, restart="none")
    world.disk.capacity_bytes = capacity_bytes
    with pytest.raises((TransientError, OSError), match="space"):
        world.run_process(Fate())
    world.disk.capacity_bytes = None
    run(world, Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["before-checkpoint-directory-make", "after-keyed-state-create", "before-sink-commit"]
)
def test_job_waits_out_a_full_disk(point: str) -> None:
    """Restart after restart, each a little later, until there is space."""
    simulated = tumbling()
    world = world_of(simulated)
    ended = world.run_process(Fate(full_disk=FullDisk(point, 2, 3_000)))
    assert ended.was_full
    assert ended.is_finished
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.slow
def test_flipped_bit_in_any_file_of_the_latest_checkpoint_is_refused_or_harmless() -> None:
    """Never a wrong result: either the file is not needed, or the job says that it is damaged."""
    simulated = running_count()
    refused = set()
    crashed = Fate(Crash("before-sink-commit", 4))
    for number in range(len(list(files(after(simulated, crashed), CHECKPOINTS)))):
        for bit in (3, 399, 400, 1_203, 1_207):  # the highest of a byte among them
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


def asked(wish: Wish, at: int = 3) -> tuple[Ask, ...]:
    return (Ask(wish, "before-task-ack-message", at),)


@pytest.mark.parametrize("wish", ["stop", "interrupt", "cancel"])
def test_whoever_ends_a_process_finds_it_resumed_without_a_trace(wish: Wish) -> None:
    """SP-6, SP-7: after a savepoint, after a last checkpoint, and after no farewell at all."""
    simulated = running_count()
    world = world_of(simulated)
    ended = world.run_process(Fate(asks=asked(wish)))
    assert not ended.is_finished
    assert not ended.has_crashed
    assert ended.savepoints == (wish == "stop")
    run(world, Fate(parallelism=3))
    assert sorted(world.output.values) == sorted(simulated.expected)


def test_restore_from_a_savepoint_takes_back_the_output_since() -> None:
    """SP-5: the savepoint itself neither commits nor goes."""
    simulated = running_count()
    world = world_of(simulated)
    first_of_all = (Ask("savepoint", "before-task-opened-message", 1),)
    crash = Crash("before-checkpoint-complete-message", 1)
    ended = world.run_process(Fate(crash, has_power=True, asks=first_of_all))
    assert ended.has_crashed
    assert ended.savepoints == 1
    committed = dict(world.output.committed)
    restored = world.run_process(Fate(Crash("after-sink-recover", 1), is_from_savepoint=True))
    assert restored.hits["before-savepoint-manifest-read"]
    assert len(world.output.committed) < len(committed)
    run(world, Fate())
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.parametrize("simulated", [running_count(), file_to_file()])
def test_savepoint_outlives_a_restart_from_an_older_checkpoint(
    simulated: Simulated | SimulatedFiles,
) -> None:
    """SP-5: what it would commit stays prepared, whoever goes back and past it meanwhile."""
    world = world_of(simulated)
    asks = (Ask("savepoint", "before-checkpoint-complete-message", 1),)
    ended = world.run_process(Fate(Crash("before-manifest-create", 3), asks=asks, is_frequent=True))
    assert ended.has_crashed
    assert ended.savepoints == 1
    past = Fate(Crash("before-checkpoint-complete-message", 2), is_frequent=True)
    assert world.run_process(past).has_crashed
    restored = world.run_process(Fate(is_from_savepoint=True))
    assert restored.hits["before-savepoint-manifest-read"]
    assert restored.is_finished
    assert sorted(world.result()) == sorted(simulated.expected)


GONE_BACK = Fate(Crash("before-deploy-message", 1), is_from_savepoint=True)
"""It dies when its output is that of the latest savepoint."""
TO_THE_FIRST = replace(GONE_BACK, savepoints_back=1)


@pytest.mark.parametrize(
    ("simulated", "asked_at", "dead_after"), [(running_count(), 25, 20), (file_to_file(), 18, 12)]
)
def test_output_of_another_savepoint_is_no_part_of_one_with_a_higher_number(
    simulated: Simulated | SimulatedFiles, asked_at: int, dead_after: int
) -> None:
    """Each was taken from the beginning of the input on: together they would give it twice."""
    world = world_of(simulated, interval="1h")
    asks, crash = (Ask("savepoint", "before-thread", asked_at),), Crash("before-thread", dead_after)
    for _ in range(2):
        ended = world.run_process(Fate(crash, asks=asks, is_crash_after_ask=True))
        assert (ended.has_crashed, ended.savepoints) == (True, 1)
    assert world.run_process(TO_THE_FIRST).has_crashed
    assert world.result()
    run(world, GONE_BACK, Fate())
    assert sorted(world.result()) == sorted(simulated.expected)


@pytest.mark.parametrize("simulated", [running_count(), file_to_file()])
def test_savepoint_is_refused_whose_past_was_discarded_and_the_job_goes_on(
    simulated: Simulated | SimulatedFiles,
) -> None:
    world = world_of(simulated)
    for checkpoints in (1, 2):  # the second process goes on from before the first savepoint
        asks = (Ask("savepoint", "before-checkpoint-complete-message", checkpoints),)
        crash = Crash("before-manifest-create", checkpoints + 2)
        assert world.run_process(Fate(crash, asks=asks, is_frequent=True)).savepoints == 1
    assert world.run_process(TO_THE_FIRST).has_crashed
    assert world.run_process(GONE_BACK).is_turned_away
    run(world, Fate())
    assert sorted(world.result()) == sorted(simulated.expected)


def test_state_goes_from_one_backend_to_the_other_and_back() -> None:
    simulated = tumbling()
    world = world_of(simulated)
    crash = Crash("after-sink-commit", 2)
    run(world, Fate(crash), Fate(crash, backend="rocksdb"), Fate(crash), Fate(backend="rocksdb"))
    assert sorted(world.output.values) == sorted(simulated.expected)


@pytest.mark.slow
def test_checkpoints_that_a_slow_disk_lets_expire_leave_no_trace() -> None:
    """CP-8, CP-40: late acknowledgements are discarded, and the next checkpoint makes up for it."""
    simulated = running_count()
    expired = 0
    for seed in range(10):
        world = world_of(simulated, seed)
        ended = world.run_process(Fate(is_slow=True, loses_notices=True, parallelism=3))
        expired += ended.hits["before-checkpoint-aborted-message"]
        if not ended.is_finished:
            run(world, Fate())
        assert sorted(world.output.values) == sorted(simulated.expected)
    assert expired
