"""A disk in memory that forgets at a crash what was not synced, as real ones may."""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, TypeAlias


@dataclass(slots=True, eq=False)
class FileNode:
    """The bytes of a file, and how many of them are durable."""

    content: bytearray = field(default_factory=bytearray)
    synced_bytes: int = 0


@dataclass(slots=True, eq=False)
class DirectoryNode:
    """Names, the names that are durable, and the changes between, in their order."""

    entries: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)
    """Each one is atomic; None: the name goes."""

    def change(self, change: dict[str, Node | None]) -> None:
        """Takes effect now and is durable with the next sync."""
        self.changes.append(change)
        _apply(self.entries, change)

    def sync(self) -> None:
        self.synced = dict(self.entries)
        self.changes.clear()


Node: TypeAlias = FileNode | DirectoryNode


class SimulatedDisk:
    """Implements `checkpoint.disk.Disk`; one outlives the processes that use it.

    A crash keeps of each file what was synced and a random part of what was written after it, and
    of each directory's changes since its last sync the first few, as a journal does.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        """When so many bytes were written the disk is full; None: it never is."""
        self._written_bytes = 0
        self._root = DirectoryNode()

    def create(self, path: Path) -> BinaryIO:
        self._check_space(0)
        node = FileNode()
        self._directory(path.parent).change({path.name: node})
        return _OpenFile(self, node)

    def sync(self, file: BinaryIO) -> None:
        assert isinstance(file, _OpenFile)
        file.node.synced_bytes = len(file.node.content)

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).content)

    def rename(self, source: Path, target: Path) -> None:
        assert source.parent == target.parent, "only a rename within a directory is one change"
        node = self._file(source)
        self._directory(source.parent).change({source.name: None, target.name: node})

    def make_directory(self, path: Path) -> None:
        self._check_space(0)
        directory = self._root
        for part in path.parts[1:]:
            made = directory.entries.setdefault(part, DirectoryNode())
            if not isinstance(made, DirectoryNode):
                raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(path))
            directory.synced.setdefault(part, made)
            directory = made

    def make_directories(self, path: Path) -> list[Path]:
        """As `make_directory`, but durable only once the given directories were synced."""
        changed: list[Path] = []
        for missing in [p for p in (*reversed(path.parents), path) if self._find(p) is None]:
            self._check_space(0)
            self._directory(missing.parent).change({missing.name: DirectoryNode()})
            changed.append(missing.parent)
        if not self.is_directory(path):
            raise FileExistsError(errno.EEXIST, "a file is in the way", str(path))
        return changed

    def sync_file(self, path: Path) -> None:
        """Makes the content of a closed file durable; its name is another matter."""
        node = self._file(path)
        node.synced_bytes = len(node.content)

    def exists(self, path: Path) -> bool:
        return self._find(path) is not None

    def is_directory(self, path: Path) -> bool:
        return isinstance(self._find(path), DirectoryNode)

    def open(self, path: Path) -> OpenedFile:
        """The file from its beginning."""
        return OpenedFile(self._file(path))

    def sync_directory(self, path: Path) -> None:
        self._directory(path).sync()

    def list(self, path: Path) -> list[Path]:
        node = self._find(path)
        return [path / n for n in sorted(node.entries)] if isinstance(node, DirectoryNode) else []

    def remove(self, path: Path) -> None:
        parent, node = self._find(path.parent), self._find(path)
        if not isinstance(parent, DirectoryNode) or node is None:
            return
        for name in self.list(path):
            self.remove(name)
        parent.change({path.name: None})

    def crash(self, random: Random) -> None:
        """The machine lost power: what was not synced may be gone."""
        _crash(self._root, random)

    def flip_bit(self, path: Path, bit: int) -> None:
        """Damages a file behind everybody's back; `bit` counts from the file's first one."""
        self._file(path).content[bit // 8] ^= 1 << (bit % 8)

    def take_space(self, size_bytes: int) -> None:
        """Called before bytes are written; raises OSError (ENOSPC) when the disk is full."""
        self._check_space(size_bytes)
        self._written_bytes += size_bytes

    def _check_space(self, size_bytes: int) -> None:
        capacity = self.capacity_bytes
        if capacity is not None and self._written_bytes + size_bytes > capacity:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self._root
        for part in path.parts[1:]:
            node = node.entries.get(part) if isinstance(node, DirectoryNode) else None
        return node

    def _directory(self, path: Path) -> DirectoryNode:
        node = self._find(path)
        if not isinstance(node, DirectoryNode):
            raise FileNotFoundError(errno.ENOENT, "No such directory", str(path))
        return node

    def _file(self, path: Path) -> FileNode:
        node = self._find(path)
        if not isinstance(node, FileNode):
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return node


class OpenedFile(io.RawIOBase):
    """A file being read; what is appended to it meanwhile can be read too."""

    def __init__(self, node: FileNode) -> None:
        super().__init__()
        self.node = node
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self.node.content)}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        part = self.node.content[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


class _OpenFile(io.BytesIO):
    """A file being written, at its end only."""

    def __init__(self, disk: SimulatedDisk, node: FileNode) -> None:
        super().__init__()
        self.node = node
        self._disk = disk

    def write(self, content: Any) -> int:
        written = memoryview(content).nbytes
        self._disk.take_space(written)
        self.node.content += content
        return super().write(content)


def _apply(entries: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _crash(node: Node, random: Random) -> None:
    if isinstance(node, FileNode):
        kept = random.randint(node.synced_bytes, len(node.content))
        del node.content[kept:]
        node.synced_bytes = kept
        return
    node.entries = dict(node.synced)
    for change in node.changes[: random.randint(0, len(node.changes))]:
        _apply(node.entries, change)
    node.sync()
    for entry in node.entries.values():
        _crash(entry, random)
