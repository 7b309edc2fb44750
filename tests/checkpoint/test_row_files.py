"""Parquet files of state rows: refused when damaged, merged to what is alive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import FileEntry, ScopedFile
from streamlet.checkpoint.row_files import merge_rows, read_file, read_state, write_rows
from streamlet.errors import RestoreError, TransientError
from streamlet.state.rows import STATE_ROWS

Row: TypeAlias = tuple[str, int, bytes, bytes | None]
"""(state, key group, key, value); None: deleted."""


def batch_of(rows: Iterable[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "state": state,
                "key_group": key_group,
                "key": key,
                "namespace": b"",
                "map_key": b"",
                "value": value or b"",
                "deleted": value is None,
            }
            for state, key_group, key, value in rows
        ],
        schema=STATE_ROWS,
    )


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[Row]:
    return [
        (r["state"], r["key_group"], r["key"], None if r["deleted"] else r["value"])
        for batch in batches
        for r in batch.to_pylist()
    ]


ROWS: list[Row] = [("s", 1, b"a", b"1"), ("s", 5, b"b", b"2"), ("t", 9, b"a", None)]


def write(directory: Path, rows: list[Row] = ROWS) -> FileEntry:
    (directory / "state").mkdir(exist_ok=True)
    (directory / "chk").mkdir(exist_ok=True)
    path = directory / "state" / "3-x.parquet"
    return write_rows(RealDisk(), path, directory / "chk", [batch_of(rows)], 3)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    entry = write(tmp_path)
    assert (entry.path, entry.row_count, entry.checkpoint_id) == ("../state/3-x.parquet", 3, 3)
    assert rows_of(read_file(RealDisk(), tmp_path / "chk", entry).to_batches()) == ROWS


def test_files_are_found_after_all_was_moved(tmp_path: Path) -> None:
    """SP-4."""
    (tmp_path / "old").mkdir()
    entry = write(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_file(RealDisk(), tmp_path / "new" / "chk", entry).num_rows == 3


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "empty"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
def test_damage_of_any_kind_is_noticed(tmp_path: Path, damage: str, part: float) -> None:
    entry = write(tmp_path)
    path = tmp_path / "state" / "3-x.parquet"
    content = bytearray(path.read_bytes())
    position = int(part * (len(content) - 1))
    if damage == "flip":
        content[position] ^= 0x10
    elif damage == "cut":
        del content[position:]
    elif damage == "grow":
        content.insert(position, 0)
    else:
        content.clear()
    path.write_bytes(content)
    with pytest.raises(RestoreError, match=r"3-x\.parquet is damaged"):
        read_file(RealDisk(), tmp_path / "chk", entry)


def test_missing_file_is_named(tmp_path: Path) -> None:
    entry = write(tmp_path)
    (tmp_path / "state" / "3-x.parquet").unlink()
    with pytest.raises(RestoreError, match=r"3-x\.parquet"):
        read_file(RealDisk(), tmp_path / "chk", entry)


def test_file_of_an_unknown_version_has_another_checksum(tmp_path: Path) -> None:
    entry = msgspec.structs.replace(write(tmp_path), sha256="0" * 64)
    with pytest.raises(RestoreError):
        read_file(RealDisk(), tmp_path / "chk", entry)


def test_directory_that_is_gone_is_a_transient_error(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "x.parquet"
    with pytest.raises(TransientError, match="cannot write"):
        write_rows(RealDisk(), path, tmp_path, [], 1)


@pytest.mark.parametrize(
    ("scope", "wanted", "keys"),
    [
        ((0, 127), range(128), [b"a", b"b", b"a"]),
        ((0, 127), range(5), [b"a"]),
        ((0, 127), range(5, 10), [b"b", b"a"]),
        ((0, 4), range(128), [b"a"]),
        ((5, 9), range(6, 9), []),
        ((10, 20), range(10), []),
    ],
)
def test_only_rows_in_the_files_scope_and_the_wanted_key_groups_are_read(
    tmp_path: Path, scope: tuple[int, int], wanted: range, keys: list[bytes]
) -> None:
    """KG-5."""
    scoped = ScopedFile(write(tmp_path), *scope)
    read = rows_of(read_state(RealDisk(), tmp_path / "chk", [scoped], wanted))
    assert [key for _, _, key, _ in read] == keys


@pytest.mark.slow
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["s", "t"]),
                st.integers(0, 3),
                st.sampled_from([b"a", b"b", b"ab"]),
                st.none() | st.binary(max_size=2),
            ),
            max_size=6,
        ),
        max_size=5,
    )
)
def test_merged_rows_are_what_a_dict_would_hold(batches: list[list[Row]]) -> None:
    """Of rows with one key the last counts, wherever it stands; deleted ones go."""
    alive: dict[tuple[str, bytes], bytes] = {}
    for state, _, key, value in (row for rows in batches for row in rows):
        if value is None:
            alive.pop((state, key), None)
        else:
            alive[state, key] = value
    merged = rows_of(merge_rows(map(batch_of, batches)).to_batches())
    assert len(merged) == len(alive)
    assert {(state, key): value for state, _, key, value in merged} == alive


@pytest.mark.parametrize(
    "table", [pa.table({"a": [1]}), pa.table({name: ["x"] for name in STATE_ROWS.names})]
)
def test_parquet_file_of_something_else_is_refused(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "foreign.parquet"
    entry = write_rows(RealDisk(), path, tmp_path, table.to_batches(), 1, table.schema)
    with pytest.raises(RestoreError, match=r"foreign\.parquet"):
        read_file(RealDisk(), tmp_path, entry)


def test_small_batches_share_a_row_group(tmp_path: Path) -> None:
    batches = [batch_of([("s", 1, b"%d-%d" % (i, j), b"v") for j in range(10)]) for i in range(50)]
    entry = write_rows(RealDisk(), tmp_path / "rows.parquet", tmp_path, batches, 1)
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 1
    read = read_file(RealDisk(), tmp_path, entry)
    assert read.equals(pa.Table.from_batches(batches))


def test_large_values_do_not_pile_up_before_they_are_written(tmp_path: Path) -> None:
    """A row group is closed by its bytes, not only by its rows."""
    batches = [batch_of([("s", 1, b"%d" % i, bytes(6 << 20))]) for i in range(9)]
    entry = write_rows(RealDisk(), tmp_path / "rows.parquet", tmp_path, batches, 1)
    assert entry.row_count == 9
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 3
