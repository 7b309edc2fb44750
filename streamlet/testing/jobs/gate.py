"""Sources that give only as many records as a test lets through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamlet.source import PartitionReader, Source
from streamlet.testing.jobs.rewired import ReplacedReader, ReplacedSource, count_records


@dataclass(slots=True)
class RecordGate:
    """How many records a job's sources have given together, and how many they may."""

    given: int = 0
    limit: int | None = None
    """None: all there are. With a limit the input does not end, even when nothing is left."""

    def room(self, wanted: int) -> int:
        """How many of the wanted records may be read now."""
        return wanted if self.limit is None else max(0, min(wanted, self.limit - self.given))


class GatedSource(ReplacedSource):
    """Gives what another source gives, as far as the gate is open."""

    def __init__(self, source: Source[Any], gate: RecordGate) -> None:
        super().__init__(source)
        self._gate = gate

    def open_split(self, split: str, position: Any | None) -> PartitionReader[Any]:
        return _GatedReader(self.source.open_split(split, position), position, self._gate)


class _GatedReader(ReplacedReader):
    def __init__(self, reader: PartitionReader[Any], position: Any, gate: RecordGate) -> None:
        super().__init__(reader)
        self._position = position
        self._gate = gate
        self._is_over = False
        self._letters: list[Any] = []

    def poll(self, max_records: int) -> Any:
        room = self._gate.room(max_records)
        self._letters = []
        if not room or self._is_over:
            return None if self._is_over and self._gate.limit is None else []
        polled = self.reader.poll(room)
        self._letters = self.reader.dead_letters()
        if polled is None:
            self._is_over = True
            return None if self._gate.limit is None else []
        self._position = self.reader.position()
        self._gate.given += count_records(polled)
        return polled

    def position(self) -> Any:
        return self._position

    def dead_letters(self) -> list[Any]:
        """Those of the last poll that came through: a closed gate repeats none."""
        return self._letters
