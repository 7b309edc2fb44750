"""Operator state of a checkpoint: split positions, committables, writer state; one small file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import FileEntry, Manifest
from streamlet.checkpoint.row_files import read_file, write_rows
from streamlet.state.codec import DEFAULT_CODEC

_SCHEMA: Final = pa.schema(
    [("operator", pa.string()), ("state", pa.string()), ("value", pa.binary())]
)
FILE_NAME: Final = "operator-state.parquet"


@dataclass(slots=True)
class OperatorItems:
    """The operator state of one operator, over all its subtasks."""

    items: list[Any] = field(default_factory=list)
    """What the subtasks snapshot, in subtask order."""
    committables: list[Any] = field(default_factory=list)
    enumerator: list[Any] = field(default_factory=list)
    """At most one: what the split enumeration of a source must remember."""

    def rows(self) -> Iterator[tuple[str, Any]]:
        """(state, value) of every item."""
        for state in ("items", "committables", "enumerator"):
            for value in getattr(self, state):
                yield state, value

    def count(self) -> int:
        return len(self.items) + len(self.committables) + len(self.enumerator)


def write_operator_state(
    disk: Disk, directory: Path, operators: dict[str, OperatorItems], checkpoint_id: int
) -> FileEntry:
    """Writes the file of a checkpoint's operator state. Called in a thread."""
    rows = [
        (uid, state, DEFAULT_CODEC.encode(value))
        for uid, items in sorted(operators.items())
        for state, value in items.rows()
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)],
        schema=_SCHEMA,
    )
    return write_rows(disk, directory / FILE_NAME, directory, [batch], checkpoint_id, _SCHEMA)


def read_operator_state(
    disk: Disk, directory: Path, manifest: Manifest
) -> dict[str, OperatorItems]:
    """The operator state of a checkpoint, by uid."""
    table = read_file(disk, directory, manifest.operator_state)
    operators: dict[str, OperatorItems] = {}
    for row in table.to_pylist():
        items = operators.setdefault(row["operator"], OperatorItems())
        getattr(items, _known_state(row["state"])).append(DEFAULT_CODEC.decode(row["value"]))
    return operators


def _known_state(name: str) -> str:
    if name not in ("items", "committables", "enumerator"):
        raise ValueError(f"unknown operator state {name!r}")
    return name


def spread(items: list[Any], parallelism: int) -> list[list[Any]]:
    """Items in even contiguous shares, one per subtask (OP-1)."""
    size, extra = divmod(len(items), parallelism)
    shares, start = [], 0
    for index in range(parallelism):
        stop = start + size + (1 if index < extra else 0)
        shares.append(items[start:stop])
        start = stop
    return shares


def flatten(lists: Iterable[list[Any]]) -> list[Any]:
    """The items of all lists, in order."""
    return [item for items in lists for item in items]
