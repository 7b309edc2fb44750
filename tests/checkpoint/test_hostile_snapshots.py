"""Savepoints that somebody has tampered with, checksums and all: refused in a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import MANIFEST_NAME, read_manifest
from streamlet.checkpoint.restore import KeyedShare, RestoreOptions
from streamlet.checkpoint.row_files import read_state
from streamlet.errors import RestoreError
from streamlet.runtime.recovery import recover
from streamlet.testing import ListSink
from tests.checkpoint.upgraded_job import build, environment

FIXTURE = Path(__file__).parent / "fixtures" / "manifest-v1"
NUMBERS, REMEMBER, WINDOWS = 0, 1, 4
"""Places of operators in the fixture's manifest."""

Content = dict[str, Any]


@pytest.fixture
def savepoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "savepoint"))


def tamper(savepoint: Path, change: Callable[[Content], object]) -> None:
    """Changes the manifest and makes its checksum fit."""
    path = savepoint / MANIFEST_NAME
    envelope = json.loads(path.read_text())
    change(envelope["manifest"])
    body = json.dumps(envelope["manifest"], separators=(",", ":"))
    envelope["sha256"] = hashlib.sha256(body.encode()).hexdigest()
    head = {name: value for name, value in envelope.items() if name != "manifest"}
    path.write_text(f'{json.dumps(head)[:-1]},"manifest":{body}}}')


def restore(savepoint: Path, home: Path) -> None:
    """Reads all of it as a job does that begins with it."""
    env = environment(home, parallelism__default=2)
    build(env, ListSink())
    recovery = recover(RealDisk(), env.get_execution_plan(), savepoint, RestoreOptions())
    for share in recovery.keyed_state.values():
        assert isinstance(share, KeyedShare)
        for _ in read_state(RealDisk(), share.directory, share.files, range(128)):
            pass


def file_of(content: Content) -> Content:
    file: Content = content["operators"][REMEMBER]["subtasks"][0][0]["file"]
    return file


def scoped_of(content: Content) -> Content:
    scoped: Content = content["operators"][REMEMBER]["subtasks"][0][0]
    return scoped


def test_untouched_savepoint_is_read_and_tampering_with_nothing_changes_nothing(
    savepoint: Path, tmp_path: Path
) -> None:
    tamper(savepoint, lambda content: None)
    restore(savepoint, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["operators"].pop(NUMBERS), "items of operator 'numbers', the manifest says 0"),
        (lambda m: m["operators"].append(m["operators"][0]), "the operator 'numbers' 2 times"),
        (lambda m: m["operators"][0].update(item_count=0), "the manifest says 0"),
        (lambda m: m["operators"][0].update(item_count=10**15), "says 1000000000000000"),
        (lambda m: m["operators"][0].update(item_count=-1), "-1 items"),
        (lambda m: m["operators"][1]["subtasks"].pop(), "files of 1 subtasks, expected 2"),
        (lambda m: m["operators"][1].update(parallelism=0), "parallelism 0"),
        (lambda m: m["operators"][1].update(parallelism=10**9), "parallelism 1000000000"),
        (lambda m: m["operators"][1].update(max_parallelism=10**9), "max parallelism 1000000000"),
        (lambda m: m["operators"][1].update(max_parallelism=10**30), "damaged|max parallelism"),
        (lambda m: m.update(checkpoint_id=10**30), "damaged|checkpoint id"),
        (lambda m: m.update(checkpoint_id=2**60), "checkpoint id"),
        (lambda m: m.update(checkpoint_id=0), "checkpoint id is 0"),
        (lambda m: m.update(checkpoint_id="5"), "damaged"),
        (lambda m: m.update(operators=None), "damaged"),
        (lambda m: m.pop("operator_state"), "damaged"),
        (lambda m: file_of(m).update(row_count=7), "rows, the manifest says 7"),
        (lambda m: file_of(m).update(row_count=2**62), "rows"),
        (lambda m: file_of(m).update(size_bytes=1), "size or checksum"),
        (lambda m: file_of(m).update(sha256="0" * 64), "size or checksum"),
        (lambda m: scoped_of(m).update(first_key_group=-1), "key groups -1"),
        (lambda m: scoped_of(m).update(last_key_group=127), "key groups 0 to 127"),
        (lambda m: scoped_of(m).update(last_key_group=2**40), "key groups"),
    ],
)
def test_manifest_that_cannot_be_is_refused(
    savepoint: Path, tmp_path: Path, change: Callable[[Content], object], said: str
) -> None:
    tamper(savepoint, change)
    with pytest.raises(RestoreError, match=said) as caught:
        restore(savepoint, tmp_path)
    assert len(str(caught.value).splitlines()) <= 15


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "../other/x.parquet",
        "../state/../../x.parquet",
        "/etc/x.parquet",
        "sub/x.parquet",
        "..\\x.parquet",
        "nul\0.parquet",
        "x" * 5_000 + ".parquet",
        "",
    ],
)
def test_file_outside_of_the_snapshot_is_never_opened(
    savepoint: Path, tmp_path: Path, path: str
) -> None:
    tamper(savepoint, lambda content: file_of(content).update(path=path))
    with pytest.raises(RestoreError, match="no file of a checkpoint"):
        restore(savepoint, tmp_path)


@pytest.mark.parametrize("name", ["v1-0-a1.parquet", "operator-state.parquet", MANIFEST_NAME])
@pytest.mark.parametrize("what", ["pipe", "device", "directory", "missing", "link to itself"])
def test_what_is_no_file_is_refused_without_waiting_for_it(
    savepoint: Path, tmp_path: Path, name: str, what: str
) -> None:
    """A pipe without a writer would hold up whoever opens it for ever."""
    path = savepoint / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "directory":
        path.mkdir()
    elif what == "link to itself":
        path.symlink_to(path)
    with pytest.raises(RestoreError, match=r"cannot be read|no checkpoint or savepoint"):
        restore(savepoint, tmp_path)


def test_link_to_a_file_is_as_good_as_the_file(savepoint: Path, tmp_path: Path) -> None:
    """Savepoints are copied about, and storage is often linked."""
    for path in list(savepoint.iterdir()):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    restore(savepoint, tmp_path)


def test_files_of_two_operators_changed_about_are_refused(savepoint: Path, tmp_path: Path) -> None:
    """Their checksums are right, but their key groups or states are not."""

    def change(content: Content) -> None:
        operators = content["operators"]
        first, second = operators[REMEMBER]["subtasks"]
        operators[REMEMBER]["subtasks"] = [second, first]

    tamper(savepoint, change)
    with pytest.raises(RestoreError, match="key groups"):
        restore(savepoint, tmp_path)


def test_unknown_version_is_refused_with_the_way_out(savepoint: Path) -> None:
    path = savepoint / MANIFEST_NAME
    path.write_text(path.read_text().replace('"version":1', '"version":99', 1))
    with pytest.raises(RestoreError, match=r"version 99.*with the version that wrote it"):
        read_manifest(RealDisk(), savepoint)
