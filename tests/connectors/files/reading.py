"""Reads splits as the engine does, for the tests of the file source."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from streamlet.columns import records_of
from streamlet.connectors.files import FileSource
from streamlet.connectors.files.lines import Block


def read_split(source: FileSource[Any], split: str, batch: int = 7) -> list[Any]:
    """All records of the split."""
    return read_from(source, split, None, batch)


def read_from(source: FileSource[Any], split: str, position: Any, batch: int = 7) -> list[Any]:
    """All records of the split from the position on."""
    reader = source.open_split(split, position)
    records: list[Any] = []
    try:
        while (polled := reader.poll(batch)) is not None:
            taken = records_polled(polled)
            assert len(taken) <= batch
            records.extend(taken)
    finally:
        reader.close()
    return records


def records_polled(polled: Any) -> list[Any]:
    """The records of a poll, columns as dicts."""
    return polled if isinstance(polled, list) else records_of(polled)


def read_all(source: FileSource[Any], parallelism: int = 1, batch: int = 7) -> list[Any]:
    """All records of all splits, in the order in which the splits are handed out."""
    splits = source.create_enumerator(parallelism).discover()
    return [record for split in splits for record in read_split(source, split, batch)]


def assert_every_position_restores(source: FileSource[Any], split: str) -> None:
    """After each poll, a reader from the position reads exactly what was not yet read."""
    whole = read_split(source, split)
    reader = source.open_split(split, None)
    seen: list[Any] = []
    assert read_from(source, split, reader.position()) == whole
    while (polled := reader.poll(1)) is not None:
        seen.extend(records_polled(polled))
        assert seen + read_from(source, split, reader.position()) == whole
    assert read_from(source, split, reader.position()) == []
    reader.close()


def write_as(path: Path, content: bytes) -> Path:
    """The content in a file, compressed as the file's name says."""
    if path.suffix == ".gz":
        content = gzip.compress(content)
    elif path.suffix == ".zst":
        content = pa.compress(content, codec="zstd", asbytes=True)
    path.write_bytes(content)
    return path


def block_of(lines: list[bytes]) -> Block:
    """The lines as a reader of columns gets them."""
    text = b"\n".join(lines) + b"\n"
    ends = [index for index, byte in enumerate(text) if byte == ord("\n")]
    return Block(text, np.array(ends))
