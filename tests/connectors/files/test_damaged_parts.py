"""Hidden files that were damaged, or are gone, before readers could see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlet.connectors.files import FileSink
from streamlet.errors import FatalError, RestoreError
from streamlet.sink import RestoreContext
from tests.connectors.files.writing import Run, hidden, visible

Make = Callable[[Path], FileSink]
FORMATS: list[Make] = [FileSink.json_lines, FileSink.csv, FileSink.parquet]
RECORDS = [{"id": number, "name": "x" * number} for number in range(9)]


def prepared(sink: FileSink) -> list[Any]:
    """What a process leaves that dies between its manifest and the commit."""
    run = Run(sink)
    run.write(*RECORDS)
    committables = run.prepare(1)
    run.kill()
    return committables


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("make", FORMATS)
def test_committables_say_how_long_and_what_their_files_are(make: Make, tmp_path: Path) -> None:
    committables = prepared(make(tmp_path))
    assert committables[0]["size"] == (tmp_path / committables[0]["temp"]).stat().st_size
    sink = make(tmp_path)
    sink.check_restore(RestoreContext(1, ["r1", "r2"]), committables)
    sink.commit(committables)
    sink.close()
    assert len(visible(tmp_path)) == 1


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, remove])
def test_damage_is_refused_at_a_restore_and_changes_nothing(
    make: Make, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """SNK-3: readers would take the damaged file for what the job wrote."""
    committables = prepared(make(tmp_path))
    damage(tmp_path / committables[0]["temp"])
    before = hidden(tmp_path)
    sink = make(tmp_path)
    with pytest.raises(RestoreError, match=r"is damaged, and was not made visible|is lost"):
        sink.check_restore(RestoreContext(1, ["r1", "r2"]), committables)
    sink.close()
    assert visible(tmp_path) == []
    assert hidden(tmp_path) == before


def test_a_file_cut_short_is_noticed_at_every_commit(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    run.write(*RECORDS)
    committables = run.prepare(1)
    cut_short(tmp_path / committables[0]["temp"])
    with pytest.raises(FatalError, match=r"expected \d+ bytes, got \d+"):
        run.sink.commit(committables)
    run.finish()
    assert visible(tmp_path) == []


def test_committables_of_older_versions_are_committed(tmp_path: Path) -> None:
    """They name the file alone."""
    committables = prepared(FileSink.json_lines(tmp_path))
    older = [{name: one[name] for name in ("temp", "final")} for one in committables]
    sink = FileSink.json_lines(tmp_path)
    sink.check_restore(RestoreContext(1, ["r1", "r2"]), older)
    sink.commit(older)
    sink.close()
    assert len(visible(tmp_path)) == 1


def test_files_of_a_savepoint_stay_until_it_is_restored_or_gone(tmp_path: Path) -> None:
    """SP-5: its files and those before it, but none that were opened after it."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write(*RECORDS)
    run.checkpoint(1)
    run.write(*RECORDS)
    committables = run.prepare(2)
    run.write(*RECORDS)
    run.kill()
    kept = Path(committables[0]["temp"]).name
    sink = FileSink.json_lines(tmp_path)
    sink.recover(RestoreContext(1, ["r1", "r2"], savepoints=[("r1", 2)]))
    assert hidden(tmp_path) == [kept]
    sink.check_restore(RestoreContext(2, ["r1", "r3"]), committables)
    sink.recover(RestoreContext(1, ["r1", "r2"], savepoints=[("r0", 2), ("r1", 1)]))
    assert hidden(tmp_path) == []
    with pytest.raises(RestoreError, match="is lost"):
        sink.check_restore(RestoreContext(2, ["r1", "r3"]), committables)
    sink.close()
