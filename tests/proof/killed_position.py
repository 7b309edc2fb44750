"""Where in its life a job was killed, by what it left on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import MANIFEST_NAME, read_manifest
from streamlet.checkpoint.operator_state import read_operator_state
from tests.e2e.killing import KilledJob


def position_of(job: KilledJob) -> str:
    """One of a few words; the job was killed in its latest run."""
    home = job.streamlet.home
    entries = list(home.glob("jobs/*.json"))
    if not entries:
        return "before it was registered"
    # Nothing removes the entries of the killed here, and only the last one's run is asked for.
    (run,) = home.glob(f"checkpoints/*/{max(entries, key=_age).stem}")
    begun = sorted(run.glob("chk-*"), key=lambda path: int(path.name[4:]))
    whole = [path for path in begun if (path / MANIFEST_NAME).exists()]
    for entry in entries:
        entry.unlink()
    if not whole:
        return "in its first checkpoint" if begun else "before its first checkpoint"
    if begun[-1] != whole[-1]:
        return "in a later checkpoint"
    names = {path.name for path in job.out.rglob(".part-*")}
    prepared = set(_prepared(whole[-1]))
    if prepared & names:
        return "in a commit" if prepared - names else "before a commit"
    return "between checkpoints"


def _age(entry: Path) -> int:
    return entry.stat().st_mtime_ns


def _prepared(directory: Path) -> Iterator[str]:
    """The hidden names of what the checkpoint's commit makes visible."""
    disk = RealDisk()
    for items in read_operator_state(disk, directory, read_manifest(disk, directory)).values():
        for one in items.committables:
            yield Path(one["temp"]).name
