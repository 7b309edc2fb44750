"""What a job that has finished must not leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamlet.checkpoint.storage import RUN_FILE, CheckpointStorage
from streamlet.connectors.files.part_names import run_and_checkpoint_of_hidden
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.files import hidden_parts


def leftovers(disk: SimulatedDisk, storage: CheckpointStorage, savepoints: Path) -> list[Path]:
    """Files of checkpoints, and hidden output that no savepoint in this directory needs.

    Records of runs stay, even one whose writer died in it, and so do savepoints.
    """
    whole = [path.name.rpartition("-") for path in disk.list(savepoints) if storage.is_whole(path)]
    needed = [(run_id, int(checkpoint_id)) for run_id, _, checkpoint_id in whole]
    hidden = [path for path in hidden_parts(disk) if not _is_needed(path.name, needed)]
    kept = [path for path in _files(disk, storage.run.parent) if RUN_FILE not in path.name]
    return kept + hidden


def _is_needed(name: str, savepoints: list[tuple[str, int]]) -> bool:
    known = run_and_checkpoint_of_hidden(name)
    return known is not None and any(
        known[0] == run_id and known[1] <= checkpoint_id for run_id, checkpoint_id in savepoints
    )


def _files(disk: SimulatedDisk, directory: Path) -> Iterator[Path]:
    for path in disk.list(directory):
        if disk.is_directory(path):
            yield from _files(disk, path)
        else:
            yield path
