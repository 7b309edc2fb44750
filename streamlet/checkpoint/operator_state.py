"""Operator state of a checkpoint: split positions, committables, lists; one small file.

An element of a list of a CheckpointedFunction is a row of its own, `(subtask, element)`, under the
state `split/<name>` or `union/<name>`; all else is a row per item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import LIST_KINDS, FileEntry, Manifest, StateEntry
from streamlet.checkpoint.row_files import read_file, write_rows
from streamlet.errors import RestoreError
from streamlet.state.codec import DEFAULT_CODEC
from streamlet.state.operator_lists import SPLIT, UNION, ListMode, ListSnapshot
from streamlet.state.schemas import class_schemas
from streamlet.state.seen_types import tags_in

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
                if isinstance(value, ListSnapshot):
                    for item in value.items:
                        yield f"{value.mode}/{value.name}", (value.subtask, item)
                else:
                    yield state, value

    def take(self, state: str, value: Any) -> None:
        """Takes back a row that `rows` gave."""
        if state in ("items", "committables", "enumerator"):
            getattr(self, state).append(value)
            return
        mode, _, name = state.partition("/")
        if mode not in (SPLIT, UNION):
            raise ValueError(f"unknown operator state {state!r}")
        subtask, item = value
        part = ListSnapshot(name, UNION if mode == UNION else SPLIT, subtask, [item])
        last = self.items[-1] if self.items else None
        if isinstance(last, ListSnapshot) and replace(last, items=[item]) == part:
            last.items.append(item)
        else:
            self.items.append(part)

    def count(self) -> int:
        """How many rows it makes."""
        return sum(1 for _ in self.rows())


def list_states(items: OperatorItems) -> list[StateEntry]:
    """What a manifest notes of the lists of a CheckpointedFunction."""
    tags: dict[tuple[str, ListMode], set[str]] = {}
    for part in items.items:
        if isinstance(part, ListSnapshot):
            written = b"".join(map(DEFAULT_CODEC.encode, part.items))
            tags.setdefault((part.name, part.mode), set()).update(tags_in(written))
    return [
        StateEntry(name, LIST_KINDS[mode], classes=class_schemas(found))
        for (name, mode), found in sorted(tags.items())
    ]


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
    disk: Disk, directory: Path, manifest: Manifest, uids: Collection[str] | None = None
) -> dict[str, OperatorItems]:
    """The operator state that a checkpoint has of these operators, by uid; None: of all.

    What the others have is not decoded: its classes may be gone. Raises RestoreError when it is not
    what the manifest says, or cannot be read any more.
    """
    table = read_file(disk, directory, manifest.operator_state, _SCHEMA)
    counted = Counter(table["operator"].to_pylist())
    said = Counter({entry.uid: entry.item_count for entry in manifest.operators})
    for uid in sorted({*counted, *said}):
        if counted[uid] != said[uid]:
            raise RestoreError(
                f"{directory / manifest.operator_state.path} has {counted[uid]} items of operator "
                f"{uid!r}, the manifest says {said[uid]}"
            )
    operators: dict[str, OperatorItems] = {}
    if uids is not None:
        table = table.filter(pc.is_in(table["operator"], pa.array(uids, pa.string())))
    for row in table.to_pylist():
        items = operators.setdefault(row["operator"], OperatorItems())
        try:
            items.take(row["state"], DEFAULT_CODEC.decode(row["value"]))
        except Exception as error:
            raise RestoreError(
                f"state {row['state']!r} of operator {row['operator']!r} cannot be read: {error}"
            ) from error
    return operators


def deal(items: list[Any], old_parallelism: int, parallelism: int) -> list[list[Any]]:
    """The items of a restored operator, by new subtask: lists by their mode, others evenly."""
    shares = spread([i for i in items if not isinstance(i, ListSnapshot)], parallelism)
    lists: dict[tuple[str, ListMode], list[ListSnapshot]] = {}
    for item in items:
        if isinstance(item, ListSnapshot):
            lists.setdefault((item.name, item.mode), []).append(item)
    first = 0
    for (name, mode), parts in sorted(lists.items()):
        everything = flatten(part.items for part in parts)
        if mode == UNION:
            dealt = [everything] * parallelism
        elif parallelism == old_parallelism:
            dealt = _own_shares(parts, parallelism)
        else:
            dealt = spread(everything, parallelism, first)
            first += len(everything)  # the next list's remainder goes to other subtasks (OP-1)
        for subtask, share in enumerate(dealt):
            shares[subtask].append(ListSnapshot(name, mode, subtask, share))
    return shares


def _own_shares(parts: list[ListSnapshot], parallelism: int) -> list[list[Any]]:
    """OP-3: every subtask keeps what it had."""
    return [
        flatten(part.items for part in parts if part.subtask == subtask)
        for subtask in range(parallelism)
    ]


def spread(items: list[Any], parallelism: int, first: int = 0) -> list[list[Any]]:
    """Items in even contiguous shares, one per subtask, beginning with subtask `first` (OP-1)."""
    size, extra = divmod(len(items), parallelism)
    shares: list[list[Any]] = [[] for _ in range(parallelism)]
    start = 0
    for index in range(parallelism):
        stop = start + size + (1 if index < extra else 0)
        shares[(first + index) % parallelism] = items[start:stop]
        start = stop
    return shares


def flatten(lists: Iterable[list[Any]]) -> list[Any]:
    """The items of all lists, in order."""
    return [item for items in lists for item in items]
