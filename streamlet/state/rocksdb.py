"""The RocksDB store: a cache on disk for state that does not fit into memory.

It is filled anew for each attempt and deleted afterwards; the checkpoint is elsewhere. So there is
no write-ahead log, and nothing is ever flushed for safety. rocksdict holds the GIL while it writes:
batches are small, so that the loop gets its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    ReadOptions,
    SstFileWriter,
    WriteBatch,
    WriteOptions,
)

from streamlet.errors import TransientError
from streamlet.state.heap import HeapStore
from streamlet.state.layout import StateSpec
from streamlet.state.rocks_cells import RocksFlatCells, RocksNestedCells
from streamlet.state.row_keys import ID_BYTES, RowKeys, end_of_range
from streamlet.state.rows import row_keys
from streamlet.state.store import FlatCells, NestedCells

WRITE_BATCH_ROWS: Final = 256
_PAGE_ROWS: Final = 64
_INGEST_ROWS: Final = 16_384
_INGEST_BYTES: Final = 256 << 20
_ROW_BYTES: Final = 250
"""What a restored row takes in Python: its key, its value, its place in a dict."""
_OBJECT_FACTOR: Final = 4
"""How much more memory a decoded value takes than its encoding, roughly."""


class RocksStore:
    """One database for all tables of a subtask.

        in memory, as on the heap ---(three quarters of it are used)---> evicting

    While everything fits, nothing goes into the database: the checkpoint is the only copy on disk.
    Afterwards a quarter of the memory holds clean entries, a quarter dirty and frozen ones, and
    RocksDB has the other half for its blocks and its write buffers.
    """

    is_bounded = True

    def __init__(self, directory: Path, memory_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._options = _options(memory_bytes)
        self.database = Database(directory / "db", self._options)
        self.clean_bytes = memory_bytes // 4
        self._dirty_bytes = memory_bytes // 8
        self._memory_bytes = memory_bytes * 3 // 4
        self._heap: HeapStore | None = HeapStore()
        self._cells: list[RocksFlatCells | RocksNestedCells] = []
        self._ids: dict[str, bytes] = {}
        self._restored: set[str] = set()
        self._arriving: list[tuple[str, pa.RecordBatch]] = []
        self._arriving_bytes = 0
        self._ingested = 0
        self._age = 0
        self.held_bytes = 0
        """About how much memory the clean entries of all tables take."""

    def flat(self, spec: StateSpec) -> FlatCells:
        if self._heap is not None:
            return self._heap.flat(spec)
        cells = RocksFlatCells(spec, self._row_keys(spec), self, self._has_rows_of(spec.name))
        self._cells.append(cells)
        return cells

    def nested(self, spec: StateSpec) -> NestedCells:
        if self._heap is not None:
            return self._heap.nested(spec)
        cells = RocksNestedCells(spec, self._row_keys(spec), self, self._has_rows_of(spec.name))
        self._cells.append(cells)
        return cells

    def load(self, name: str, rows: pa.RecordBatch) -> None:
        self._arriving.append((name, rows))
        self._arriving_bytes += rows.column("value").nbytes * _OBJECT_FACTOR
        self._arriving_bytes += rows.num_rows * _ROW_BYTES
        if self._heap is not None and self._arriving_bytes > self._memory_bytes:
            self._heap = None
        if self._heap is None and self._arriving_bytes > _INGEST_BYTES:
            self._ingest()

    def loaded(self) -> None:
        if self._heap is None:
            self._ingest()
            return
        for name, rows in self._arriving:
            self._heap.load(name, rows)
        self._arriving = []

    def keep(self, name: str, rows: pa.RecordBatch) -> None:
        """Called from a background thread, one at a time; readers look into frozen layers first."""
        if self._heap is not None:
            return
        state_id = self._id(name)
        self.database.write(
            [state_id + key for key in row_keys(rows).to_pylist()],
            rows.column("value").to_pylist(),
            rows.column("deleted").to_pylist(),
        )

    def wants_spill(self, dirty_bytes: int) -> bool:
        if self._heap is None:
            return dirty_bytes > self._dirty_bytes
        return dirty_bytes + self._heap.clean_bytes() > self._memory_bytes

    def begins_to_evict(self) -> bool:
        if self._heap is None:
            return False
        self._arriving = self._heap.take_waiting()
        self._heap = None
        return True

    def grew(self, size_bytes: int) -> None:
        """Called when clean entries came into memory: evicts the oldest of all tables."""
        self.held_bytes += size_bytes
        while self.held_bytes > self.clean_bytes and self._evict():
            pass

    def next_age(self) -> int:
        """A number that grows."""
        self._age += 1
        return self._age

    def settle(self, budget: int) -> None:
        if self._heap is not None:
            self._heap.settle(budget)
        for cells in self._cells:
            if budget <= 0:
                return
            budget -= cells.settle(budget)

    def close(self) -> None:
        self._cells.clear()
        self._heap = None
        self.database.close()

    def _has_rows_of(self, name: str) -> bool:
        """Whether the database has rows of a restored state; it may have waited for being asked."""
        if any(name == waiting for waiting, _ in self._arriving):
            self._ingest()
        return name in self._restored

    def _evict(self) -> bool:
        """Evicts one generation; False: there is none."""
        tables = [cells.generations for cells in self._cells]
        ages = [(age, i) for i, table in enumerate(tables) if (age := table.oldest_age())]
        if not ages:
            return False
        self.held_bytes -= tables[min(ages)[1]].evict()
        return True

    def _id(self, name: str) -> bytes:
        return self._ids.setdefault(name, len(self._ids).to_bytes(ID_BYTES, "big"))

    def _row_keys(self, spec: StateSpec) -> RowKeys:
        return RowKeys(spec.layout, self._id(spec.name))

    def _ingest(self) -> None:
        """Writes what arrived as one sorted file; of equal keys the last counts."""
        if not self._arriving:
            return
        table = pa.Table.from_batches([self._stored(name, rows) for name, rows in self._arriving])
        self._restored.update(name for name, _ in self._arriving)
        self._arriving, self._arriving_bytes = [], 0
        table = table.combine_chunks().sort_by("key")
        is_last = np.ones(table.num_rows, bool)
        keys = table["key"].combine_chunks()
        is_last[:-1] = pc.not_equal(keys[:-1], keys[1:]).to_numpy(zero_copy_only=False)
        table = table.filter(pa.array(is_last))  # the sort is stable
        path = self._directory / f"restore-{self._ingested}.sst"
        self._ingested += 1
        writer = SstFileWriter(options=self._options)
        writer.open(str(path))
        for batch in table.to_batches(max_chunksize=_INGEST_ROWS):
            keys, values, deleted = (column.to_pylist() for column in batch.columns)
            for key, value, is_gone in zip(keys, values, deleted, strict=True):
                if is_gone:
                    del writer[key]
                else:
                    writer[key] = value
        writer.finish()
        self.database.ingest(path)

    def _stored(self, name: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as the database has them."""
        prefix = pa.scalar(self._id(name), pa.binary())
        keys = pc.binary_join_element_wise(prefix, row_keys(rows), b"")
        columns = [keys, rows.column("value"), rows.column("deleted")]
        return pa.record_batch(columns, ["key", "value", "deleted"])


class Database:
    """The few calls of RocksDB that state needs; keys and values are bytes."""

    def __init__(self, path: Path, options: Options) -> None:
        # as column family options: opened with options alone, the table's settings are ignored
        self._db = Rdict(str(path), options, column_families={"default": options})
        without_log = WriteOptions()
        without_log.disable_wal = True  # type: ignore[method-assign, assignment]  # stub: a method
        self._db.set_write_options(without_log)
        self.reads = 0

    def read(self, key: bytes) -> bytes | None:
        """The value, or None when there is none."""
        self.reads += 1
        value: bytes | None = self._db.get(key)
        return value

    def read_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The value or None of each key; quicker than one by one, and without the GIL."""
        self.reads += len(keys)
        wanted: Any = keys
        values: Any = self._db.get(wanted)
        return list(values)

    def write(self, keys: list[bytes], values: list[bytes], deleted: list[bool]) -> None:
        """Puts and deletes, a small batch at a time."""
        for start in range(0, len(keys), WRITE_BATCH_ROWS):
            rows = slice(start, start + WRITE_BATCH_ROWS)
            batch = WriteBatch(raw_mode=True)
            for key, value, is_gone in zip(keys[rows], values[rows], deleted[rows], strict=True):
                if is_gone:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            self._db.write(batch)

    def ingest(self, path: Path) -> None:
        """Takes over a sorted file."""
        moved = IngestExternalFileOptions()
        moved.set_move_files(True)
        self._db.ingest_external_file([str(path)], moved)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with `prefix`, in order, from the key `start` on."""
        bounds = _bounds(prefix)
        rows = self._db.iter(bounds)
        rows.seek(start or prefix)
        while rows.valid():
            yield rows.key(), rows.value()
            rows.next()
        _check(rows)

    def walk(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """As `scan`, for slow readers: no iterator stays open, so rows may change meanwhile."""
        start = prefix
        while page := list(islice(self.scan(prefix, start), _PAGE_ROWS)):
            yield from page
            start = page[-1][0] + b"\x00"

    def prefixes(self, prefix: bytes, cut: Callable[[bytes], bytes]) -> Iterator[bytes]:
        """What `cut` makes of the keys under `prefix`, each once, skipping the rows between."""
        bounds = _bounds(prefix)
        rows = self._db.iter(bounds)
        rows.seek(prefix)
        while rows.valid():
            found = cut(rows.key())
            yield found
            rows.seek(end_of_range(found))
        _check(rows)

    def close(self) -> None:
        self._db.close()


def _bounds(prefix: bytes) -> ReadOptions:
    """Keeps a scan out of the tombstones of what was dropped behind it.

    rocksdict does not keep these options alive for its iterator: the caller must.
    """
    bounds = ReadOptions()
    bounds.set_iterate_upper_bound(end_of_range(prefix))
    return bounds


def _check(rows: Any) -> None:
    """An iterator over a damaged file just ends: only its status tells."""
    try:
        rows.status()
    except Exception as error:
        raise TransientError(f"the local state database cannot be read: {error}") from error


def _options(memory_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(min(max(memory_bytes // 8, 1 << 20), 64 << 20))
    options.set_max_write_buffer_number(2)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(1)
    options.set_stats_dump_period_sec(0)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(max(memory_bytes // 4, 1 << 20)))
    table.set_bloom_filter(10, False)
    # whole index blocks cost milliseconds per look-up in big files: partitions are read as needed
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(4096)
    table.set_pin_top_level_index_and_filter(True)
    table.set_format_version(5)
    options.set_block_based_table_factory(table)
    return options
