"""Savepoints of every manifest version there was: a fixture of each is kept, and must be read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import read_manifest
from streamlet.testing import ListSink
from tests.checkpoint.upgraded_job import build, environment, stop_half_way

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("manifest-v*"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the job gives that made the fixtures, when nothing stops it."""
    return run(tmp_path_factory.mktemp("whole"))


def run(home: Path, *, parallelism: int = 2, **settings: str) -> list[Any]:
    env, sink = environment(home, parallelism__default=parallelism, **settings), ListSink()
    build(env, sink)
    env.execute("upgraded")
    return sorted(sink.values, key=json.dumps)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_savepoint_of_an_older_version_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: list[Any], fixture: Path, backend: str
) -> None:
    """SP-4, OP-3: every kind of state, timers, windows, list state, splits and committables."""
    restored = run(
        tmp_path, execution__state_recovery__path=str(fixture), state__backend__type=backend
    )
    assert restored == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_savepoint_of_an_older_version_goes_on_at_another_parallelism(
    tmp_path: Path, uninterrupted: list[Any], fixture: Path
) -> None:
    """KG-5. How `count` numbers its records depends on its subtasks, so that is left out."""

    def without_count(values: list[Any]) -> list[Any]:
        kept = (value[:-1] if isinstance(value[0], str) else value for value in values)
        return sorted(kept, key=json.dumps)

    restored = run(tmp_path, parallelism=3, execution__state_recovery__path=str(fixture))
    assert without_count(restored) == without_count(uninterrupted)


def test_there_is_a_fixture_of_every_version_and_one_of_the_types_that_came_later() -> None:
    assert [path.name for path in FIXTURES] == ["manifest-v1", "manifest-v1-types"]
    old, new = (read_manifest(RealDisk(), path).operators[1] for path in FIXTURES)
    assert (old.key_types, new.key_types) == ([], ["int"])
    assert [state.codec for state in old.states] == [""] * 8
    visit = next(state for state in new.states if state.name == "visit")
    assert [schema.fields for schema in visit.classes] == [{"number": "int", "tags": "list[str]"}]


@pytest.mark.slow
def test_savepoints_still_note_the_types_that_the_newest_fixture_has(tmp_path: Path) -> None:
    """What is noted is a format: who changes it makes a new fixture, and keeps the old one."""
    path = asyncio.run(stop_half_way(tmp_path, tmp_path / "savepoints"))
    fresh, kept = (read_manifest(RealDisk(), Path(p)).operators for p in (path, FIXTURES[-1]))
    noted = [(entry.uid, entry.kind, entry.key_types, entry.states) for entry in fresh]
    assert noted == [(entry.uid, entry.kind, entry.key_types, entry.states) for entry in kept]
    assert [(state.name, state.kind) for state in fresh[2].states] == [("seen", "split list")]
