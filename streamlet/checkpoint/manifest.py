"""The manifest of a checkpoint or savepoint: what it holds, readable without the job's code.

On disk it is one JSON object: magic, version, the SHA-256 of the manifest's own text, and the
manifest. It is written last; a directory without a whole one is no checkpoint.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from streamlet.checkpoint.disk import Disk, writing
from streamlet.checkpoint.manifest_checks import first_nonsense
from streamlet.errors import RestoreError
from streamlet.sink import Span
from streamlet.state.schemas import StateEntry

__all__ = [
    "LIST_KINDS",
    "FileEntry",
    "Manifest",
    "OperatorEntry",
    "ScopedFile",
    "StateEntry",
    "read_manifest",
    "write_manifest",
]

MANIFEST_NAME: Final = "manifest.json"
MAGIC: Final = "streamlet-checkpoint"
VERSION: Final = 1
LIST_KINDS: Final = {"split": "split list", "union": "union list"}
"""The kind of a list of operator state, by its mode."""


class FileEntry(msgspec.Struct, frozen=True):
    """One immutable Parquet file; paths are relative to the manifest's directory."""

    path: str
    size_bytes: int
    sha256: str
    row_count: int
    checkpoint_id: int
    """The checkpoint for which it was written."""


class ScopedFile(msgspec.Struct, frozen=True):
    """A file of keyed state, and the key groups [first, last] of it that count."""

    file: FileEntry
    first_key_group: int
    last_key_group: int


class OperatorEntry(msgspec.Struct, frozen=True):
    """What a checkpoint holds of one operator."""

    uid: str
    name: str
    kind: str
    parallelism: int
    max_parallelism: int
    uid_is_explicit: bool
    uid_is_ambiguous: bool
    states: list[StateEntry] = []
    subtasks: list[list[ScopedFile]] = []
    """Per subtask its files of keyed state: later files override earlier ones."""
    item_count: int = 0
    """Items of operator state: split positions, committables, writer state."""
    key_types: list[str] = []
    """The types of its keys (see `state.seen_types`); empty when an older version wrote it."""


class Manifest(msgspec.Struct, frozen=True):
    """A whole checkpoint or savepoint."""

    checkpoint_id: int
    kind: Literal["checkpoint", "savepoint"]
    engine_version: str
    python_version: str
    job_name: str
    run_ids: list[str]
    """The runs of this job up to this one, oldest first."""
    fingerprint: str
    created_ms: int
    operators: list[OperatorEntry]
    operator_state: FileEntry
    history: list[Span] = []
    """The checkpoints that led to this one, and itself, oldest first: what they committed belongs
    to this state, and nothing else does. Empty when an older version wrote it."""

    def files(self) -> list[FileEntry]:
        """Every file the manifest needs."""
        scoped = (f for op in self.operators for subtask in op.subtasks for f in subtask)
        return [self.operator_state, *(f.file for f in scoped)]

    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in {f.path: f for f in self.files()}.values())


class _Envelope(msgspec.Struct):
    magic: str
    version: int
    sha256: str
    manifest: msgspec.Raw


def write_manifest(disk: Disk, directory: Path, manifest: Manifest) -> None:
    """Writes it whole or not at all: file, fsync, rename, fsync of the directories.

    A crash before the rename leaves no manifest, so the checkpoint does not exist; a crash after
    it leaves a checkpoint that nobody was told of, which a restore finds and uses.
    """
    body = msgspec.json.encode(manifest)
    envelope = _Envelope(MAGIC, VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
    temporary = directory / f".{MANIFEST_NAME}.inprogress"
    with writing(temporary):
        with disk.create(temporary) as file:
            file.write(msgspec.json.encode(envelope))
            disk.sync(file)
        disk.rename(temporary, directory / MANIFEST_NAME)
        disk.sync_directory(directory)
        disk.sync_directory(directory.parent)


def read_manifest(disk: Disk, directory: Path) -> Manifest:
    """Raises RestoreError for what is missing, damaged, foreign or of an unknown version."""
    path = directory / MANIFEST_NAME
    try:
        envelope = msgspec.json.decode(disk.read(path), type=_Envelope)
    except OSError as error:
        raise RestoreError(
            f"there is no checkpoint or savepoint in {directory}: "
            f"{MANIFEST_NAME} cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:  # msgspec.DecodeError, or bytes that are no UTF-8
        raise RestoreError(f"{path} is damaged or not a manifest: {error}") from error
    if envelope.magic != MAGIC:
        raise RestoreError(f"{path} is not a streamlet manifest (magic {envelope.magic!r})")
    if envelope.version != VERSION:
        raise RestoreError(
            f"{path} has manifest version {envelope.version}, this streamlet reads {VERSION}; "
            "restore it with the version that wrote it"
        )
    if hashlib.sha256(bytes(envelope.manifest)).hexdigest() != envelope.sha256:
        raise RestoreError(f"{path} is damaged: its checksum does not fit its content")
    try:
        manifest = msgspec.json.decode(envelope.manifest, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RestoreError(f"{path} is damaged: {error}") from error
    nonsense = first_nonsense(manifest)
    if nonsense is not None:
        raise RestoreError(f"{path} was not written by streamlet, or changed since: {nonsense}")
    return manifest
