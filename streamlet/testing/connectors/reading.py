"""Reads the splits of a source as the engine does, one poll at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from streamlet.elements import RowBatch, StreamStatus, Watermark
from streamlet.source import PartitionReader, Source
from streamlet.testing.connectors.breach import ContractBroken

MAX_EMPTY_POLLS: Final = 1_000
QUIET_POLLS: Final = 3
"""After so many empty polls in a row an unbounded split has given all there is."""


def splits_of(source: Source[Any], parallelism: int = 1) -> list[str]:
    """The splits of a fresh start, in their order."""
    return list(source.create_enumerator(parallelism).discover())


def read_split(
    source: Source[Any], split: str, position: Any | None, max_records: int
) -> list[Any]:
    """All records from the position on."""
    reader = source.open_split(split, position)
    try:
        return read_on(reader, max_records, is_bounded=source.bounded)
    finally:
        reader.close()


def read_on(reader: PartitionReader[Any], max_records: int, *, is_bounded: bool) -> list[Any]:
    """All records that an open reader still gives."""
    records: list[Any] = []
    while (polled := poll_something(reader, max_records, is_bounded=is_bounded)) is not None:
        records += polled
    return records


def poll_something(
    reader: PartitionReader[Any], max_records: int, *, is_bounded: bool
) -> list[Any] | None:
    """What the next poll gives that gives something, perhaps no records; None: the end."""
    for _ in range(MAX_EMPTY_POLLS if is_bounded else QUIET_POLLS):
        polled = reader.poll(max_records)
        if polled is None:
            return None
        if isinstance(polled, Watermark | StreamStatus):
            return []
        if records := values_of(polled):
            if len(records) > max_records:
                raise ContractBroken(
                    "SRC-1", f"poll({max_records}) gave {len(records)} records; expected no more"
                )
            return records
    if is_bounded:
        raise ContractBroken(
            "SRC-5",
            f"a bounded source gave nothing in {MAX_EMPTY_POLLS} polls; expected records, or None "
            "at the end",
        )
    return None


def values_of(polled: Any) -> list[Any]:
    """The records of a poll."""
    if isinstance(polled, RowBatch):
        return list(polled.values)
    if isinstance(polled, list):
        return polled
    if hasattr(polled, "to_pylist"):
        return list(polled.to_pylist())
    raise ContractBroken(
        "SRC-1",
        f"poll() gave a {type(polled).__name__}; expected a list, a RowBatch, an Arrow batch, a "
        "Watermark, a StreamStatus, or None at the end",
    )


def read_all(source: Source[Any], parallelism: int, max_records: int) -> list[Any]:
    """All records of all splits."""
    splits: Sequence[str] = splits_of(source, parallelism)
    return [record for split in splits for record in read_split(source, split, None, max_records)]
