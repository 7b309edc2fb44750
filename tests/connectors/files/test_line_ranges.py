"""Byte ranges of text: every line is read exactly once, wherever the cut falls."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.connectors.files.disk import REAL_DISK
from streamlet.connectors.files.lines import LINE_CHUNK_BYTES, LineCursor
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


def take_all(split: FileSplit, chunk_bytes: int = LINE_CHUNK_BYTES) -> list[bytes]:
    """All lines, taken as lists, as blocks, and as both in turn."""
    taken = [_take_all(split, chunk_bytes, ways) for ways in ([True], [False], [True, False])]
    assert taken[0] == taken[1] == taken[2]
    return taken[0]


def _take_all(split: FileSplit, chunk_bytes: int, ways: list[bool]) -> list[bytes]:
    cursor = LineCursor(REAL_DISK, split, None, follow=False, chunk_bytes=chunk_bytes)
    taken: list[bytes] = []
    for as_block in itertools.cycle(ways):
        lines = take_block(cursor) if as_block else cursor.pending(3)
        if not lines:
            break
        taken += lines
        if not as_block:
            cursor.take(len(lines))
    assert cursor.is_finished
    cursor.close()
    return taken


def take_block(cursor: LineCursor) -> list[bytes]:
    block = cursor.block(2)
    if not len(block.ends):
        return []
    assert block.ends[-1] in (len(block.text) - 1, len(block.text))
    assert cursor.take_block(block) == len(block.ends)
    starts = [0, *(block.ends[:-1] + 1)]
    return [block.text[start:end] for start, end in zip(starts, block.ends, strict=True)]


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
    ranges = cut_evenly(str(path), "bytes", len(content), parts)
    taken = [line for split in ranges for line in take_all(split, chunk_bytes)]
    assert taken == lines_of(content)


@pytest.mark.parametrize("content", [c for c in TRICKY.values() if c])
@pytest.mark.parametrize("chunk_bytes", [1, 4, 1 << 20])
def test_every_offset_restores_to_the_rest_of_a_range(
    tmp_path: Path, content: bytes, chunk_bytes: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    split = FileSplit(str(path), "bytes", 2, max(len(content) - 2, 2))
    whole = take_all(split, chunk_bytes)
    cursor = LineCursor(REAL_DISK, split, None, follow=False, chunk_bytes=chunk_bytes)
    for count in range(len(whole) + 1):
        place = cursor.offset
        again = LineCursor(REAL_DISK, split, place, follow=False, chunk_bytes=chunk_bytes)
        rest: list[bytes] = []
        while lines := again.pending(2):
            rest += lines
            again.take(len(lines))
        again.close()
        assert rest == whole[count:]
        cursor.take(len(cursor.pending(1)))
    cursor.close()
