"""What is to happen to one simulated process, as a literal that a test can keep."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias, get_args

from streamlet.testing.simulation.crash_points import Crash

Wish: TypeAlias = Literal["savepoint", "stop", "interrupt", "cancel"]
WISHES: Final[tuple[Wish, ...]] = get_args(Wish)


@dataclass(frozen=True, slots=True)
class Ask:
    """A client asks for this when the process passes `point` for the `occurrence`-th time.

    "savepoint" takes one, "stop" ends with one (without a drain), "interrupt" is Ctrl-C: a last
    checkpoint and the end; "cancel" is the end at once.
    """

    wish: Wish
    point: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.wish} asked for at {self.point}#{self.occurrence}"

    def __repr__(self) -> str:
        return f'Ask("{self.wish}", "{self.point}", {self.occurrence})'


@dataclass(frozen=True, slots=True)
class FullDisk:
    """From this passage on, for so long, nothing can be written (ENOSPC)."""

    point: str
    occurrence: int
    for_ms: int

    def __str__(self) -> str:
        return f"disk full for {self.for_ms} ms at {self.point}#{self.occurrence}"

    def __repr__(self) -> str:
        return f'FullDisk("{self.point}", {self.occurrence}, {self.for_ms})'


@dataclass(frozen=True, slots=True)
class Flip:
    """Before the process starts one bit of what it will restore from is flipped.

    `file` counts the files of the latest run and of its savepoints, `bit` the bits of that file;
    both go round.
    """

    file: int
    bit: int

    def __repr__(self) -> str:
        return f"Flip({self.file}, {self.bit})"


@dataclass(frozen=True, slots=True, repr=False)
class Fate:
    """What is to happen to one process."""

    crash: Crash | None = None
    has_power: bool = False
    """A crash ends the process alone: what was not synced is there, and may yet be lost."""
    errors: tuple[Crash, ...] = ()
    """Where an operation fails with OSError, and the process lives on."""
    clock_wrong_by_ms: int = 0
    parallelism: int = 1
    backend: str = "heap"
    """Where state lives: "heap", or "rocksdb" with a real database."""
    asks: tuple[Ask, ...] = ()
    is_crash_after_ask: bool = False
    """The crash comes at the point's n-th passage since the first of the asks."""
    is_from_savepoint: bool = False
    """It begins with the latest savepoint, if that can still be used, and discards later output;
    otherwise with whatever `--resume` finds."""
    savepoints_back: int = 0
    """Then with one that is older than the latest by so many; the count goes round."""
    loses_notices: bool = False
    """What tasks are told of checkpoints is lost, late or doubled (CP-30 to CP-33)."""
    full_disk: FullDisk | None = None
    is_slow: bool = False
    """For a second work in threads takes so long that checkpoints expire."""
    flip: Flip | None = None
    is_frequent: bool = False
    """Checkpoints come one after the other, between batches of one record: many are merged,
    retained and removed."""

    def __str__(self) -> str:
        parts = [f"parallelism {self.parallelism}"]
        parts += ["frequent checkpoints"] if self.is_frequent else []
        parts += ["state in rocksdb"] if self.backend == "rocksdb" else []
        if self.is_from_savepoint:
            older = f", {self.savepoints_back} before the latest" if self.savepoints_back else ""
            parts.append(f"from the savepoint{older}")
        parts += [] if self.flip is None else [f"one bit flipped: {self.flip!r}"]
        parts += [f"error at {error}" for error in self.errors]
        parts += [str(ask) for ask in self.asks]
        parts += [] if self.full_disk is None else [str(self.full_disk)]
        parts += ["slow disk"] if self.is_slow else []
        parts += ["notices lost, late or doubled"] if self.loses_notices else []
        if self.clock_wrong_by_ms:
            parts.append(f"clock wrong by {self.clock_wrong_by_ms} ms")
        end = "process killed" if self.has_power else "power lost"
        since = " since it was asked" if self.is_crash_after_ask else ""
        parts.append("no crash" if self.crash is None else f"{end} at {self.crash}{since}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        """The fate as Python, without what is as always."""
        named = [(field.name, getattr(self, field.name), field.default) for field in fields(self)]
        return f"Fate({', '.join(f'{n}={value!r}' for n, value, usual in named if value != usual)})"
