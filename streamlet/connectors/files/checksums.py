"""Length and checksum of a file of records, so that damage is noticed before readers see it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final

from streamlet.connectors.files.disk import FileDisk

_CHUNK_BYTES: Final = 1 << 20


class SummedFile:
    """A file being written, from its beginning to its end; knows what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size_bytes = 0
        self.crc32 = 0

    @property
    def closed(self) -> bool:
        return self.file.closed

    def write(self, content: Any, /) -> int:
        self.crc32 = zlib.crc32(content, self.crc32)
        written = self.file.write(content)
        self.size_bytes += written
        return written

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def crc32_of(disk: FileDisk, path: Path) -> int:
    """The checksum of a file as it is on the disk."""
    crc32 = 0
    with disk.open(str(path)) as file:
        while chunk := file.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32
