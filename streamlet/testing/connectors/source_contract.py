"""The rules for sources, as tests: subclass `SourceContract` and say what the source reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from streamlet.errors import FatalError
from streamlet.source import Source
from streamlet.testing.connectors.breach import (
    ContractBroken,
    check_given_back,
    check_same,
    count_open_files,
    kept,
)
from streamlet.testing.connectors.crashes import read_to_the_end, source_deaths
from streamlet.testing.connectors.reading import (
    poll_something,
    read_all,
    read_on,
    read_split,
    splits_of,
)

_PARALLELISMS: Final = (1, 2, 3)
_MAX_RECORDS: Final = (1, 2, 3, 1_000)


class SourceContract(ABC):
    """What every source must do. pytest collects a subclass whose name begins with `Test`.

    `make_source` gives a new source over the same input each time it is called: a restart makes
    one too. `expected` are all records of that input, in any order; a few dozen in several splits
    show the most. An input that grows must stand still meanwhile. Rules have the numbers that the
    engine's own tests use; whatever breaks one raises `ContractBroken`.

    >>> from streamlet.connectors.collection import SequenceSource
    >>> class TestSequence(SourceContract):
    ...     expected = [1, 2, 3]
    ...     def make_source(self):
    ...         return SequenceSource(1, 3)
    >>> TestSequence().test_every_position_restores_the_rest()
    """

    expected: Sequence[Any]
    """All records of the input."""

    @abstractmethod
    def make_source(self) -> Source[Any]:
        """A new source over the whole input."""

    def make_malformed_source(self) -> Source[Any] | None:
        """A new source over input that cannot be read; None: there is no such thing."""
        return None

    def test_splits_are_reported_once(self) -> None:
        """SRC-2: each has a name of its own, and is not found again."""
        for parallelism in _PARALLELISMS:
            enumerator = self.make_source().create_enumerator(parallelism)
            splits = list(enumerator.discover())
            if len(set(splits)) < len(splits):
                raise ContractBroken("SRC-2", f"two splits have the same name: {sorted(splits)}")
            if again := list(enumerator.discover()):
                raise ContractBroken("SRC-2", f"the second discover() gave {again} again")

    def test_splits_keep_their_names(self) -> None:
        """SRC-2: an attempt must find what the one before it has found, under the same names."""
        for parallelism in _PARALLELISMS:
            first, second = (splits_of(self.make_source(), parallelism) for _ in range(2))
            if first != second:
                raise ContractBroken(
                    "SRC-2", f"one source found the splits {first}, another one {second}"
                )

    def test_restored_enumerator_reports_nothing_twice(self) -> None:
        """SRC-2: at any parallelism of the restored job."""
        for before in _PARALLELISMS:
            for after in _PARALLELISMS:
                old = self.make_source().create_enumerator(before)
                empty = kept("SRC-2", "the enumerator's snapshot", old.snapshot())
                splits = list(old.discover())
                full = kept("SRC-2", "the enumerator's snapshot", old.snapshot())
                new = self.make_source().create_enumerator(after)
                new.restore(full)
                if again := list(new.discover()):
                    raise ContractBroken("SRC-2", f"a restored enumerator gave {again} again")
                early = self.make_source().create_enumerator(before)
                early.restore(empty)
                if (found := list(early.discover())) != splits:
                    raise ContractBroken(
                        "SRC-2",
                        f"restored from before the first discover() it found {found}, not {splits}",
                    )

    def test_every_record_is_read_once(self) -> None:
        """SRC-1: at any parallelism, and however many records a poll asks for."""
        for parallelism in _PARALLELISMS:
            for max_records in _MAX_RECORDS:
                check_same(
                    "SRC-1",
                    f"read at parallelism {parallelism} by poll({max_records})",
                    read_all(self.make_source(), parallelism, max_records),
                    self.expected,
                )

    def test_every_position_restores_the_rest(self) -> None:
        """SRC-2: after each poll, and again after each poll of the restored reader."""
        for split in splits_of(self.make_source()):
            for max_records in (1, 3):
                whole = read_split(self.make_source(), split, None, max_records)
                self._check_cuts(split, max_records, whole)

    def _check_cuts(self, split: str, max_records: int, whole: Sequence[Any]) -> None:
        source = self.make_source()
        reader = source.open_split(split, None)
        seen: list[Any] = []
        try:
            while polled := self._poll_records(source, reader, max_records):
                seen += polled
                position = kept("SRC-2", "a position", reader.position())
                self._check_rest(split, position, max_records, (seen, whole))
        finally:
            reader.close()

    def _poll_records(self, source: Source[Any], reader: Any, max_records: int) -> list[Any] | None:
        """The next records; None: the end."""
        while True:
            polled = poll_something(reader, max_records, is_bounded=source.bounded)
            if polled is None or polled:
                return polled

    def _check_rest(
        self,
        split: str,
        position: Any,
        max_records: int,
        records: tuple[Sequence[Any], Sequence[Any]],
    ) -> None:
        seen, whole = records
        source = self.make_source()
        restored = source.open_split(split, position)
        try:
            again, more = position, self._poll_records(source, restored, max_records)
            if more is not None:
                again = kept("SRC-2", "a position", restored.position())
        finally:
            restored.close()
        rest = read_split(self.make_source(), split, again, max_records)
        what = f"split {split!r}, restored at {position!r} and again at {again!r}"
        check_same("SRC-2", what, [*seen, *(more or ()), *rest], whole)

    def test_positions_do_not_change_afterwards(self) -> None:
        """SRC-2: a checkpoint is written while the reader goes on."""
        source = self.make_source()
        for split in splits_of(source):
            reader = source.open_split(split, None)
            try:
                self._check_positions(source, reader)
            finally:
                reader.close()

    def _check_positions(self, source: Source[Any], reader: Any) -> None:
        taken: list[tuple[Any, str]] = []
        while poll_something(reader, 1, is_bounded=source.bounded) is not None:
            position = reader.position()
            taken.append((position, repr(position)))
        for position, was in taken:
            if repr(position) != was:
                raise ContractBroken(
                    "SRC-2",
                    f"a position was {was} and is {position!r} after later polls; position() must "
                    "give a value of its own each time",
                )

    def test_readers_do_not_share_their_place(self) -> None:
        """SRC-1: of all splits in turn, and two of each at once."""
        source = self.make_source()
        splits = splits_of(source) * 2
        readers = [source.open_split(split, None) for split in splits]
        records: list[Any] = []
        open_readers = list(readers)
        try:
            while open_readers:
                reader = open_readers.pop(0)
                polled = poll_something(reader, 1, is_bounded=source.bounded)
                if polled is not None:
                    records += polled
                    open_readers.append(reader)
        finally:
            for reader in readers:
                reader.close()
        check_same("SRC-1", "two readers of each split, in turn", records, [*self.expected] * 2)

    def test_readers_give_back_what_they_hold(self) -> None:
        """SRC-1: closed at once, midway and at the end; more often than a process can have files
        open there is a restart."""
        self._open_and_close()  # whatever is opened once and kept is no leak
        before = count_open_files()
        # They are held on to: a reader that is collected would close its file, but too late.
        held = [self._open_and_close() for _ in range(3)]
        check_given_back("SRC-1", f"closing {sum(map(len, held))} readers", before)

    def _open_and_close(self) -> list[Any]:
        source = self.make_source()
        held: list[Any] = []
        for split in splits_of(source):
            for polls in (0, 1, None):
                reader = source.open_split(split, None)
                held.append(reader)
                if polls is None:
                    read_on(reader, 2, is_bounded=source.bounded)
                elif polls:
                    reader.poll(1)
                reader.close()
        return held

    def test_malformed_input_stops_the_job(self) -> None:
        """SRC-6: a restart would meet it again, so it is a FatalError, and the reader is closed."""
        source = self.make_malformed_source()
        if source is None:
            return
        before = count_open_files()
        try:
            read_all(source, 1, 10)
        except FatalError:
            check_given_back("SRC-6", "a reader that met malformed input", before)
            return
        except Exception as error:
            raise ContractBroken(
                "SRC-6", f"malformed input raised {error!r}; expected a RecordError or FatalError"
            ) from error
        raise ContractBroken("SRC-6", "malformed input was read without an error")

    def test_every_record_is_read_once_when_processes_die(self) -> None:
        """SRC-2 to SRC-4: a job on simulated machines that crash, resume and rescale."""
        for deaths in source_deaths():
            what = f"processes died at {', '.join(str(fate.crash) for fate in deaths)}"
            check_same("SRC-3", what, read_to_the_end(self.make_source, deaths), self.expected)
