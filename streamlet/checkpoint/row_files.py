"""Parquet files of state rows: written once, checked when read, merged where they pile up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamlet.checkpoint.disk import Disk, writing
from streamlet.checkpoint.manifest import FileEntry, ScopedFile
from streamlet.checkpoint.manifest_checks import FILE_PATH
from streamlet.errors import RestoreError
from streamlet.state.rows import STATE_ROWS

_THREADED_BYTES: Final = 1 << 20
"""A smaller file is read before other threads would have begun."""

_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 16 << 20

_FORMAT: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    # keys and values hardly repeat: a dictionary of them costs time and makes the file larger
    "use_dictionary": ["operator", "state"],
    "write_statistics": ["operator", "state", "key_group"],
}

_ROW_KEY = ("state", "key", "namespace", "map_key")


def write_rows(
    disk: Disk,
    path: Path,
    relative_to: Path,
    batches: Iterable[pa.RecordBatch],
    checkpoint_id: int,
    schema: pa.Schema = STATE_ROWS,
) -> FileEntry:
    """Writes the batches to a new file, durable when this returns. Called in a thread."""
    rows = 0
    with writing(path):
        with disk.create(path) as file:
            with pq.ParquetWriter(file, schema, **_FORMAT) as writer:
                for group in _row_groups(batches, schema):
                    writer.write_table(group)
                    rows += group.num_rows
            disk.sync(file)
        content = disk.read(path)
    relative = Path(os.path.relpath(path, relative_to)).as_posix()
    return FileEntry(
        relative, len(content), hashlib.sha256(content).hexdigest(), rows, checkpoint_id
    )


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches in tables of a good size: a row group for each batch costs twice the time."""
    group: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size_bytes += batch.nbytes
        if rows >= _GROUP_ROWS or size_bytes >= _GROUP_BYTES:
            yield pa.Table.from_batches(group, schema)
            group = []
            rows = size_bytes = 0
    if group:
        yield pa.Table.from_batches(group, schema)


def read_whole(disk: Disk, directory: Path, entry: FileEntry) -> tuple[Path, bytes]:
    """Where a file is, and its bytes; raises RestoreError when they are not those written."""
    if not FILE_PATH.fullmatch(entry.path):
        raise RestoreError(
            f"the manifest in {directory} names {entry.path!r}, which is no file of a checkpoint"
        )
    path = Path(os.path.normpath(directory / entry.path))
    try:
        content = disk.read(path)
    except OSError as error:
        raise RestoreError(f"the file {path} of the checkpoint cannot be read: {error}") from error
    if len(content) != entry.size_bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise RestoreError(
            f"the file {path} is damaged: its size or checksum is not what the manifest says "
            f"({len(content)} bytes, expected {entry.size_bytes})"
        )
    return path, content


def read_file(
    disk: Disk, directory: Path, entry: FileEntry, schema: pa.Schema = STATE_ROWS
) -> pa.Table:
    """The schema's columns of one file; raises RestoreError when it is not what it should be."""
    path, content = read_whole(disk, directory, entry)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        stored = file.read(use_threads=len(content) > _THREADED_BYTES)
        table = stored.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise RestoreError(f"the file {path} was not written as state: {error}") from error
    if table.num_rows != entry.row_count:
        raise RestoreError(
            f"the file {path} has {table.num_rows} rows, the manifest says {entry.row_count}"
        )
    return table


def read_state(
    disk: Disk, directory: Path, files: Sequence[ScopedFile], key_groups: range
) -> Iterator[pa.RecordBatch]:
    """The rows of these key groups, file by file: later rows override earlier ones."""
    for scoped in files:
        first = max(scoped.first_key_group, key_groups.start)
        last = min(scoped.last_key_group, key_groups.stop - 1)
        if first > last:
            continue
        table = read_file(disk, directory, scoped.file)
        group = table["key_group"]
        # Typed: for a bare int pyarrow looks for packages that may not be there, every time.
        bounds = (pa.scalar(first, group.type), pa.scalar(last, group.type))
        inside = pc.and_(pc.greater_equal(group, bounds[0]), pc.less_equal(group, bounds[1]))
        yield from table.filter(inside).to_batches(max_chunksize=4096)


def merge_rows(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """One table of what is alive: of rows with one key the last counts, deleted ones go.

    Nearly all of it runs without the GIL.
    """
    table = pa.Table.from_batches(batches, schema=STATE_ROWS)
    if table.num_rows == 0:
        return table
    order = pa.array(np.arange(table.num_rows))
    keys = table.select(list(_ROW_KEY)).append_column("order", order)
    # with threads it would take more of all cores together than it does of one
    latest = keys.group_by(list(_ROW_KEY), use_threads=False).aggregate([("order", "max")])
    merged = table.take(pa.array(np.sort(latest["order_max"].to_numpy())))
    return merged.filter(pc.invert(merged["deleted"]))
