"""The files of a subtask's keyed state: at each checkpoint, together, the whole state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import ScopedFile
from streamlet.checkpoint.restore import KeyedShare
from streamlet.checkpoint.row_files import merge_rows, read_state
from streamlet.checkpoint.state_files import StateFiles
from streamlet.errors import TransientError
from streamlet.state.rows import STATE_ROWS

GROUPS = range(128)
Changes: TypeAlias = dict[bytes, bytes | None]
"""Key to its new value; None: deleted."""


def batches_of(changes: Changes) -> Iterator[pa.RecordBatch]:
    if changes:
        columns = [
            ["s"] * len(changes),
            [0] * len(changes),
            list(changes),
            *([[b""] * len(changes)] * 2),
            [value or b"" for value in changes.values()],
            [value is None for value in changes.values()],
        ]
        yield pa.RecordBatch.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, STATE_ROWS, strict=True)],
            schema=STATE_ROWS,
        )


def state_files(run: Path, restored: KeyedShare | None = None, name: str = "v1-0") -> StateFiles:
    (run / "state").mkdir(parents=True, exist_ok=True)
    return StateFiles(RealDisk(), run / "state", name, GROUPS, restored)


def contents(run: Path, files: list[ScopedFile]) -> dict[bytes, bytes]:
    rows = merge_rows(read_state(RealDisk(), run / "chk", files, GROUPS))
    return dict(zip(rows["key"].to_pylist(), rows["value"].to_pylist(), strict=True))


def apply(alive: dict[bytes, bytes], changes: Changes) -> None:
    for key, value in changes.items():
        if value is None:
            alive.pop(key, None)
        else:
            alive[key] = value


changes = st.dictionaries(
    st.sampled_from([b"a", b"b", b"c", b"d"]), st.none() | st.binary(min_size=1, max_size=1)
)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.tuples(changes, st.sampled_from(["write", "restart", "savepoint"])), max_size=8))
def test_every_checkpoint_and_savepoint_holds_exactly_the_state_of_its_moment(
    steps: list[tuple[Changes, str]],
) -> None:
    """Bases, deltas, tombstones, merging and restarts together are a dict."""
    with TemporaryDirectory() as directory:
        run = Path(directory) / "run-0"
        files, alive = state_files(run), dict[bytes, bytes]()
        past: list[tuple[Path, list[ScopedFile], dict[bytes, bytes]]] = []
        for number, (changed, what) in enumerate(steps, start=1):
            written = files.write(number, batches_of(changed))
            apply(alive, changed)
            past.append((run, written, dict(alive)))
            if what == "savepoint":
                target = Path(directory) / f"sp-{number}"
                (target / "chk").mkdir(parents=True)
                exported = files.export(number, target / "chk", "counts")
                assert "/" not in exported[0].file.path, "a savepoint has its files within"
                past.append((target, exported, dict(alive)))
            elif what == "restart":
                share = KeyedShare(run / "chk", tuple(written))
                run = Path(directory) / f"run-{number}"
                files = state_files(run, share)
        for where, written, expected in past:
            assert contents(where, written) == expected, "a later checkpoint changed an older one"


def test_checkpoint_without_changes_writes_no_file(tmp_path: Path) -> None:
    files = state_files(tmp_path)
    assert files.write(1, iter(())) == []
    first = files.write(2, batches_of({b"a": b"1"}))
    assert files.write(3, iter(())) == first


def test_first_checkpoint_after_a_restore_depends_on_no_other_run(tmp_path: Path) -> None:
    """CP-71: the snapshot a job began with may be deleted once it has one of its own."""
    first = state_files(tmp_path / "a").write(1, batches_of({b"a": b"1", b"b": b"2"}))
    share = KeyedShare(tmp_path / "a" / "chk", tuple(first))
    written = state_files(tmp_path / "b", share).write(2, iter(()))
    assert [Path(scoped.file.path).name[0] for scoped in written] == ["2"]
    assert contents(tmp_path / "b", written) == {b"a": b"1", b"b": b"2"}


def test_deltas_are_merged_when_they_outgrow_their_base(tmp_path: Path) -> None:
    files = state_files(tmp_path)
    base = {bytes([key]): b"0" for key in range(10)}
    files.write(1, batches_of(dict(base)))
    counts = [
        len(files.write(number, batches_of({bytes([key]): b"1" for key in range(4)})))
        for number in range(2, 7)
    ]
    assert counts == [2, 3, 4, 1, 2], "12 rows of deltas are more than the 10 of the base"


@pytest.mark.parametrize("is_merging", [False, True])
def test_write_that_fails_leaves_the_files_as_they_were(tmp_path: Path, is_merging: bool) -> None:
    files = state_files(tmp_path)
    alive: dict[bytes, bytes] = {}
    before: list[ScopedFile] = []
    for number in range(1, 4 if is_merging else 2):
        change: Changes = {b"a": bytes([number]), b"b": b"x"}
        before = files.write(number, batches_of(change))
        apply(alive, change)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches_of({b"a": b"lost"})
        raise OSError("the disk is full")

    with pytest.raises(TransientError, match="full"):
        files.write(8, broken())
    assert contents(tmp_path, before) == alive
    after = files.write(9, batches_of({b"c": b"3"}))
    assert contents(tmp_path, after) == {**alive, b"c": b"3"}
