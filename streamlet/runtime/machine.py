"""What a job takes from the machine it runs on, so that a simulated one can take its place."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from streamlet.checkpoint.disk import Disk, RealDisk
from streamlet.clock import Clock, SystemClock

Post: TypeAlias = Callable[[Any], None]
"""Where messages to a coordinator or a worker are put."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Time, disk, chance and names: all that makes two runs of one job differ."""

    clock: Clock
    disk: Disk
    random: Random
    make_token: Callable[[int], str]
    """A name of so many bytes in hexadecimal that no other run has."""
    make_work_directory: Callable[[str], Path]
    """A fresh directory for the databases of a run; the job removes it from the disk."""
    forget_work: Callable[[str], None]
    """Removes the work directory of a run that died before it could."""
    link: Callable[[Post], Post]
    """Puts the transport before an inbox; it keeps the order of messages."""
    is_shared: bool
    """Other processes see the job: it takes a lock, writes a log and listens on a socket."""


def this_machine() -> Machine:
    """The real one: system clock, file system, system randomness; messages go at once."""
    return Machine(
        clock=SystemClock(),
        disk=RealDisk(),
        random=Random(),
        make_token=secrets.token_hex,
        make_work_directory=_make_work_directory,
        forget_work=lambda run_id: shutil.rmtree(_work_directory(run_id), ignore_errors=True),
        link=lambda post: post,
        is_shared=True,
    )


def _work_directory(run_id: str) -> Path:
    return Path(tempfile.gettempdir()) / f"streamlet-{run_id}"


def _make_work_directory(run_id: str) -> Path:
    directory = _work_directory(run_id)
    directory.mkdir(mode=0o700)  # whoever made it before us would own what is in it: refused
    return directory
