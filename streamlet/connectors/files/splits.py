"""The part of a file that one reader reads, and its name in checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["bytes", "row-groups"]

_NAME: Final = re.compile(r"(?P<path>.+)#(?:whole|(?P<unit>bytes|row-groups)=(\d+)-(\d+))", re.S)


@dataclass(frozen=True, slots=True)
class FileSplit:
    """A whole file, or the range [start, end) of its bytes or Parquet row groups.

    >>> FileSplit.parse("a.log#bytes=0-1048576")
    FileSplit(path='a.log', unit='bytes', start=0, end=1048576)
    """

    path: str
    unit: Unit | None = None
    start: int = 0
    end: int | None = None

    @property
    def name(self) -> str:
        """The text `parse` reads; a whole file is its plain path."""
        if self.unit is not None:
            return f"{self.path}#{self.unit}={self.start}-{self.end}"
        # A file whose own name ends like a range must not be taken for one.
        return f"{self.path}#whole" if _NAME.fullmatch(self.path) else self.path

    @classmethod
    def parse(cls, name: str) -> FileSplit:
        """The split of that name."""
        match = _NAME.fullmatch(name)
        if match is None:
            return cls(name)
        if match["unit"] is None:
            return cls(match["path"])
        unit: Unit = "bytes" if match["unit"] == "bytes" else "row-groups"
        return cls(match["path"], unit, int(match[3]), int(match[4]))


def cut_evenly(path: str, unit: Unit, total: int, parts: int) -> list[FileSplit]:
    """`total` bytes or row groups of a file in at most `parts` ranges that differ by at most one.

    >>> [split.name for split in cut_evenly("a", "bytes", 10, 3)]
    ['a#bytes=0-3', 'a#bytes=3-6', 'a#bytes=6-10']
    """
    if parts <= 1 or total <= 1:
        return [FileSplit(path)]
    parts = min(parts, total)
    bounds = [total * index // parts for index in range(parts + 1)]
    return [FileSplit(path, unit, *bounds[index : index + 2]) for index in range(parts)]
