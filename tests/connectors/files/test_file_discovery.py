"""FileSource: which files it finds, how it cuts them, and how it follows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamlet.connectors.files import FileSource
from streamlet.connectors.files import formats as formats_module
from streamlet.errors import ConfigError, FatalError
from tests.connectors.files.reading import read_all, records_polled, write_as


def names(splits: object) -> list[str]:
    assert isinstance(splits, list)
    return [os.path.basename(split) for split in splits]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.log", "a.log", "c.txt", ".hidden.log"):
        write_as(tmp_path / name, f"{name}\n".encode())
    (tmp_path / "sub").mkdir()
    write_as(tmp_path / "sub" / "d.log", b"d\n")
    return tmp_path


def test_a_directory_means_its_visible_files_by_name(folder: Path) -> None:
    splits = FileSource.text(folder).create_enumerator(1).discover()
    assert names(splits) == ["a.log", "b.log", "c.txt"]


def test_a_glob_means_the_files_it_matches(folder: Path) -> None:
    assert read_all(FileSource.text(str(folder / "*.log"))) == ["a.log", "b.log"]
    assert read_all(FileSource.text(str(folder / "**" / "*.log"))) == ["a.log", "b.log", "d"]


def test_a_file_whose_name_looks_like_a_glob_is_itself(tmp_path: Path) -> None:
    write_as(tmp_path / "[a]", b"odd\n")
    write_as(tmp_path / "a", b"plain\n")
    assert read_all(FileSource.text(tmp_path / "[a]")) == ["odd"]


def test_a_missing_path_is_refused_while_building(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file or directory"):
        FileSource.text(tmp_path / "nothing")


def test_a_pipe_is_refused_by_name(tmp_path: Path) -> None:
    """It was once said to match nothing."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FatalError, match="is a pipe or a device"):
        FileSource.text(tmp_path / "pipe").create_enumerator(1).discover()


def test_no_file_at_all_is_refused_at_the_start(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "*.log"):
        with pytest.raises(FatalError, match="no files to read"):
            FileSource.text(path).create_enumerator(1).discover()


def test_restored_enumerator_reports_only_new_files(folder: Path) -> None:
    source = FileSource.text(folder)
    first = source.create_enumerator(1)
    first.discover()
    write_as(folder / "d.log", b"")
    second = source.create_enumerator(3)
    second.restore(first.snapshot())
    assert names(second.discover()) == ["d.log"]
    assert names(second.discover()) == []


def test_a_big_file_is_cut_into_one_range_per_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats_module, "MIN_RANGE_BYTES", 10)
    path = write_as(tmp_path / "f", b"123456789\n" * 10)
    splits = FileSource.text(path).create_enumerator(4).discover()
    assert names(splits) == ["f#bytes=0-25", "f#bytes=25-50", "f#bytes=50-75", "f#bytes=75-100"]
    assert read_all(FileSource.text(path), parallelism=4) == ["123456789"] * 10


def test_csv_ranges_all_know_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_module, "MIN_RANGE_BYTES", 4)
    path = write_as(tmp_path / "f", b"a,b\n" + b"1,2\n" * 10)
    source = FileSource.csv(path, quoted_newlines=False)
    assert len(source.create_enumerator(5).discover()) == 5
    assert read_all(source, parallelism=5) == [{"a": "1", "b": "2"}] * 10


@pytest.mark.parametrize("parallelism", [1, 4])
def test_what_cannot_be_cut_is_one_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallelism: int
) -> None:
    monkeypatch.setattr(formats_module, "MIN_RANGE_BYTES", 1)
    packed = write_as(tmp_path / "f.gz", b"1\n" * 100)
    plain = write_as(tmp_path / "f", b"a\n" * 100)
    for source in (FileSource.text(packed), FileSource.csv(plain)):
        assert len(source.create_enumerator(parallelism).discover()) == 1


def test_small_files_and_enough_files_are_not_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(FileSource.text(folder).create_enumerator(8).discover()) == 3
    monkeypatch.setattr(formats_module, "MIN_RANGE_BYTES", 1)
    assert len(FileSource.text(folder).create_enumerator(3).discover()) == 3


def test_bounded_splits_are_handed_out_on_demand_and_found_once(folder: Path) -> None:
    source = FileSource.text(folder)
    enumerator = source.create_enumerator(1)
    assert source.bounded
    assert enumerator.on_demand
    assert enumerator.discovery_interval_ms is None


def test_followed_files_are_all_read_at_once_and_looked_for_again(tmp_path: Path) -> None:
    source = FileSource.text(tmp_path / "later" / "*.log", follow=True)
    enumerator = source.create_enumerator(2)
    assert not source.bounded
    assert not enumerator.on_demand
    assert enumerator.discovery_interval_ms == 1000
    assert list(enumerator.discover()) == []
    (tmp_path / "later").mkdir()
    write_as(tmp_path / "later" / "a.log", b"")
    assert names(enumerator.discover()) == ["a.log"]


def test_a_followed_file_gives_whole_lines_only(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"one\ntw")
    reader = FileSource.text(path, follow=True).open_split(str(path), None)
    assert [reader.poll(9), reader.poll(9), reader.position()] == [["one"], [], 4]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert [reader.poll(9), reader.position()] == [["two", "three"], 14]
    reader.close()


def test_a_followed_csv_waits_for_its_header_and_for_closing_quotes(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"a,")
    reader = FileSource.csv(path, follow=True).open_split(str(path), None)
    assert reader.poll(9) == []
    with path.open("ab") as file:
        file.write(b'b\n1,"2\n')
    assert reader.poll(9) == []
    with path.open("ab") as file:
        file.write(b'3"\n')
    assert records_polled(reader.poll(9)) == [{"a": "1", "b": "2\n3"}]
    reader.close()


def test_a_followed_file_that_is_truncated_stops_the_job(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"one\ntwo\n")
    reader = FileSource.text(path, follow=True).open_split(str(path), None)
    reader.poll(9)
    os.truncate(path, 2)
    with pytest.raises(FatalError, match="cut to 2 bytes"):
        reader.poll(9)
    reader.close()


def test_a_followed_file_that_is_rotated_stops_the_job(tmp_path: Path) -> None:
    path = write_as(tmp_path / "f", b"one\n")
    reader = FileSource.text(path, follow=True).open_split(str(path), None)
    reader.poll(9)
    path.rename(tmp_path / "f.1")
    write_as(path, b"a new file that is longer\n")
    with pytest.raises(FatalError, match="replaced by another file"):
        reader.poll(9)
    reader.close()
