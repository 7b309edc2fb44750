"""Whether a manifest whose checksum fits makes sense: anyone may have made it.

What it names is opened, counted and shared out, so nonsense is refused here, by one sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from streamlet.state.keys import MAX_MAX_PARALLELISM, key_group_range

if TYPE_CHECKING:
    from streamlet.checkpoint.manifest import FileEntry, Manifest, OperatorEntry, ScopedFile

FILE_PATH: Final = re.compile(r"(\.\./state/)?[^/\\\0]+\.parquet")
"""What a manifest may name: files beside it, or those of its own run."""

_GREATEST: Final = 2**53
"""Beyond it JSON readers disagree about numbers."""


def first_nonsense(manifest: Manifest) -> str | None:
    """The first thing that cannot be, in a sentence; None when all makes sense."""
    return next(_nonsense(manifest), None)


def _nonsense(manifest: Manifest) -> Iterator[str]:
    if not 0 < manifest.checkpoint_id < _GREATEST:
        yield f"its checkpoint id is {manifest.checkpoint_id}"
    for run_id, first, last in manifest.history:
        if not 0 < first <= last < _GREATEST:
            yield f"its history has the checkpoints {first} to {last} of run {run_id[:200]!r}"
    yield from _nonsense_of_file(manifest.operator_state)
    for uid, count in Counter(entry.uid for entry in manifest.operators).items():
        if count > 1:
            yield f"it has the operator {uid!r} {count} times"
    for entry in manifest.operators:
        for text in _nonsense_of_operator(entry):
            yield f"operator {entry.uid!r}: {text}"


def _nonsense_of_operator(entry: OperatorEntry) -> Iterator[str]:
    if not 1 <= entry.parallelism <= entry.max_parallelism <= MAX_MAX_PARALLELISM:
        yield (
            f"parallelism {entry.parallelism} and max parallelism {entry.max_parallelism}, "
            f"expected 1 <= parallelism <= max parallelism <= {MAX_MAX_PARALLELISM}"
        )
        return
    if not 0 <= entry.item_count < _GREATEST:
        yield f"it has {entry.item_count} items"
    if entry.subtasks and len(entry.subtasks) != entry.parallelism:
        yield f"files of {len(entry.subtasks)} subtasks, expected {entry.parallelism}"
        return
    for subtask, files in enumerate(entry.subtasks):
        own = key_group_range(subtask, entry.parallelism, entry.max_parallelism)
        for scoped in files:
            yield from _nonsense_of_scoped(scoped, own)


def _nonsense_of_scoped(scoped: ScopedFile, own: range) -> Iterator[str]:
    yield from _nonsense_of_file(scoped.file)
    first, last = scoped.first_key_group, scoped.last_key_group
    if not own.start <= first <= last < own.stop:
        yield (
            f"{scoped.file.path!r} has the key groups {first} to {last}, "
            f"expected some of [{own.start}, {own.stop})"
        )


def _nonsense_of_file(file: FileEntry) -> Iterator[str]:
    if not FILE_PATH.fullmatch(file.path) or len(file.path) > 1_000:
        yield f"it names {file.path[:200]!r}, which is no file of a checkpoint"
    if not (0 <= file.size_bytes < _GREATEST and 0 <= file.row_count < _GREATEST):
        yield f"{file.path!r} has {file.size_bytes} bytes and {file.row_count} rows"
