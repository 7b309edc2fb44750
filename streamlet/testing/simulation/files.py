"""Files of a simulated pipeline: what it reads, and what readers see of what it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streamlet.connectors.files.part_names import run_and_checkpoint_of
from streamlet.sink import Span
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.mounted_disk import OUTPUT

INPUT_DIRECTORY: Final = Path("/simulated/input")
OUTPUT_DIRECTORY: Final = Path("/simulated") / OUTPUT


@dataclass(frozen=True, slots=True)
class Files:
    """What lies in `INPUT_DIRECTORY`, by name, and how to read what comes to `OUTPUT_DIRECTORY`.

    `decode` gives the records of one output file from its path below the directory and its bytes;
    it raises ValueError when the file is not whole.
    """

    inputs: Mapping[str, bytes]
    decode: Callable[[Path, bytes], list[Any]]
    is_taken: bool = False
    """Readers take files away as soon as they see them; they know which ones they have."""

    def lay_out(self, disk: SimulatedDisk) -> None:
        """Puts the input there, durable."""
        disk.make_directory(INPUT_DIRECTORY)
        for name, content in self.inputs.items():
            with disk.create(INPUT_DIRECTORY / name) as file:
                file.write(content)
                disk.sync(file)
        disk.sync_directory(INPUT_DIRECTORY)


class VisibleFiles:
    """Looks at the output as its readers do: what was seen once must stay as it is."""

    def __init__(self, files: Files, disk: SimulatedDisk) -> None:
        self._files = files
        self._disk = disk
        self._seen: dict[Path, bytes] = {}

    def look(self) -> None:
        """Raises AssertionError for a file that is torn, or other than it was."""
        for path in list(self._visible(OUTPUT_DIRECTORY)):
            content = self._disk.read(path)
            try:
                self._decode(path, content)
            except ValueError as error:
                raise AssertionError(f"readers see a torn file {path}: {error}") from error
            before = self._seen.setdefault(path, content)
            assert before == content, f"readers saw {path} change"
            if self._files.is_taken:
                self._disk.remove(path)

    def seen(self) -> frozenset[Path]:
        """What readers have seen so far."""
        return frozenset(self._seen)

    def forget(self, history: Sequence[Span], seen: frozenset[Path]) -> None:
        """Of what had been seen, output of other checkpoints was discarded, as asked for."""
        for path in seen & self._seen.keys():
            known = run_and_checkpoint_of(path.name)
            if known is None or not any(
                run == known[0] and first <= known[1] <= last for run, first, last in history
            ):
                del self._seen[path]

    def check_kept(self) -> None:
        """Raises AssertionError if a file that was seen is gone in the end."""
        if not self._files.is_taken:
            gone = self._seen.keys() - set(self._visible(OUTPUT_DIRECTORY))
            assert not gone, f"readers saw {sorted(gone)[0]}, and it is gone"

    def records(self) -> list[Any]:
        """All that readers have got and would find now."""
        found = {path: self._disk.read(path) for path in self._visible(OUTPUT_DIRECTORY)}
        found |= self._seen if self._files.is_taken else {}
        return [record for path in found for record in self._decode(path, found[path])]

    def _decode(self, path: Path, content: bytes) -> list[Any]:
        return self._files.decode(path.relative_to(OUTPUT_DIRECTORY), content)

    def _visible(self, directory: Path) -> Iterator[Path]:
        for path in self._disk.list(directory):
            if path.name[0] == ".":
                continue
            if self._disk.is_directory(path):
                yield from self._visible(path)
            else:
                yield path


def hidden_parts(disk: SimulatedDisk, directory: Path = OUTPUT_DIRECTORY) -> list[Path]:
    """Files of records that are not visible yet, or never will be."""
    found: list[Path] = []
    for path in disk.list(directory):
        if disk.is_directory(path):
            found += hidden_parts(disk, path)
        elif path.name.startswith(".part-"):
            found.append(path)
    return found
