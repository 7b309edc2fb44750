"""Opens plain, gzip and zstd files as streams of bytes, and says clearly when that fails."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, Protocol, cast

from streamlet.connectors.files.disk import FileDisk
from streamlet.errors import FatalError, TransientError

_COMPRESSION: Final = {".gz": "gzip", ".zst": "zstd"}
_SKIP_BYTES: Final = 1 << 20


class ByteStream(Protocol):
    """What a reader needs of an open file."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> object: ...

    def close(self) -> None: ...


def compression_of(path: str) -> str | None:
    """The compression that the file's name speaks of, or None."""
    return _COMPRESSION.get(os.path.splitext(path)[1])


def open_plain(disk: FileDisk, path: str, offset: int) -> ByteStream:
    """The file's bytes from `offset`; FatalError when it ends before that."""
    with reading(path):
        size = disk.size_bytes(path)
        if offset > size:
            raise _gone_short(path, offset, size)
        stream = disk.open(path)
        stream.seek(offset)
        return stream


def open_compressed(disk: FileDisk, path: str, offset: int) -> tuple[ByteStream, int]:
    """The uncompressed bytes from `offset`, and how many lines were passed on the way."""
    with reading(path):
        stream = _decompressed(path, disk.open(path))
        passed = lines = 0
        while passed < offset:
            chunk = stream.read(min(_SKIP_BYTES, offset - passed))
            if not chunk:
                stream.close()
                raise _gone_short(path, offset, passed)
            passed += len(chunk)
            lines += chunk.count(b"\n")
        return stream, lines


def _decompressed(path: str, file: BinaryIO) -> ByteStream:
    if compression_of(path) == "gzip":
        return cast(ByteStream, _GzipStream(file))
    import pyarrow as pa

    return cast(ByteStream, pa.input_stream(file, compression="zstd"))


class _GzipStream(gzip.GzipFile):
    """Closes its file with it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        super().__init__(fileobj=file, mode="rb")

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._file.close()


def _gone_short(path: str, offset: int, size: int) -> FatalError:
    return FatalError(
        f"{path}: the checkpoint goes on at byte {offset:,}, but the file has only {size:,}: "
        "it was truncated or replaced since. Put the file back as it was, or start without the "
        "checkpoint"
    )


def has_changed(path: str, reason: str) -> FatalError:
    """The error for a file that is no longer what was being read."""
    return FatalError(
        f"{path}: {reason} while it was being read; what was read of it can no longer be told "
        "from what was not. Write new files beside it and read the directory or a glob"
    )


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turns what the system says about a file into an error that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise FatalError(f"{path}: the file has vanished; put it back and run again") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    except (PermissionError, IsADirectoryError) as error:
        raise FatalError(f"{path}: cannot be opened: {error.strerror}") from error
    except OSError as error:
        if error.errno is None:  # the zstd stream has no other error for broken bytes
            raise _damaged(path, error) from error
        raise TransientError(f"{path}: reading failed: {error}") from error


def _damaged(path: str, error: Exception) -> FatalError:
    return FatalError(
        f"{path}: not whole {compression_of(path) or 'compressed'} content ({error}); "
        "the file is damaged, cut off or still being written"
    )
