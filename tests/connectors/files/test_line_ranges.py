"""Byte ranges of text: every line is read exactly once, wherever the cut falls."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.connectors.files import lines as lines_module
from streamlet.connectors.files.disk import REAL_DISK
from streamlet.connectors.files.lines import LineCursor
from streamlet.connectors.files.splits import FileSplit, cut_evenly

TRICKY = {
    "plain": b"one\ntwo\nthree\n",
    "no final newline": b"one\ntwo\nthree",
    "empty lines": b"\n\none\n\n\ntwo\n\n",
    "crlf": b"one\r\ntwo\r\n\r\nthree\r\n",
    "multi-byte": "käse\nπ=3\n🧀🧀\n日本".encode(),
    "only newlines": b"\n\n\n",
    "one long line": b"x" * 40,
    "empty": b"",
}


def take_all(split: FileSplit, batch: int = 3) -> list[bytes]:
    cursor = LineCursor(REAL_DISK, split, None, follow=False)
    taken: list[bytes] = []
    while lines := cursor.pending(batch):
        taken += lines
        cursor.take(len(lines))
    assert cursor.is_finished
    cursor.close()
    return taken


def lines_of(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@pytest.mark.parametrize("content", TRICKY.values(), ids=TRICKY.keys())
def test_each_line_is_in_exactly_one_of_two_ranges(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    for cut in range(1, len(content)):
        first = take_all(FileSplit(str(path), "bytes", 0, cut))
        second = take_all(FileSplit(str(path), "bytes", cut, len(content)))
        assert first + second == lines_of(content), cut


@pytest.mark.parametrize("content", TRICKY.values(), ids=TRICKY.keys())
def test_a_line_belongs_to_the_range_in_which_it_begins(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    for cut in range(1, len(content)):
        begins, offset = [], 0
        for line in lines_of(content):
            begins += [line] if offset < cut else []
            offset += len(line) + 1
        assert take_all(FileSplit(str(path), "bytes", 0, cut)) == begins, cut


@given(
    content=st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"long line ", "é".encode()])).map(
        b"".join
    ),
    parts=st.integers(2, 9),
    chunk_bytes=st.integers(1, 12),
)
def test_any_number_of_ranges_and_any_chunk_size_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, parts: int, chunk_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "ranges"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_CHUNK_BYTES", chunk_bytes)
        ranges = cut_evenly(str(path), "bytes", len(content), parts)
        assert [line for split in ranges for line in take_all(split)] == lines_of(content)


@pytest.mark.parametrize("content", [c for c in TRICKY.values() if c])
@pytest.mark.parametrize("chunk_bytes", [1, 4, 1 << 20])
def test_every_offset_restores_to_the_rest_of_a_range(
    tmp_path: Path, content: bytes, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "_CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "f"
    path.write_bytes(content)
    split = FileSplit(str(path), "bytes", 2, max(len(content) - 2, 2))
    whole = take_all(split)
    cursor = LineCursor(REAL_DISK, split, None, follow=False)
    for count in range(len(whole) + 1):
        again = LineCursor(REAL_DISK, split, cursor.offset, follow=False)
        rest: list[bytes] = []
        while lines := again.pending(2):
            rest += lines
            again.take(len(lines))
        again.close()
        assert rest == whole[count:]
        cursor.take(len(cursor.pending(1)))
    cursor.close()
