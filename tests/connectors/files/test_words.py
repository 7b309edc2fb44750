"""Eight bytes of text at once: newlines, the ends of values, numbers of digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamlet.connectors.files import words
from streamlet.connectors.files.words import (
    SEEN,
    add_digits,
    count_before,
    count_controls,
    find_newlines,
)


def words_of(*texts: bytes) -> words.Words:
    return np.frombuffer(b"".join(text.ljust(8, b"\0") for text in texts), "<u8")


def test_any_byte_that_is_no_digit_ends_the_digits_wherever_it_is() -> None:
    others = [bytes([byte]) for byte in range(256) if not ord("0") <= byte <= ord("9")]
    for before in (b"", b"9", b"90", b"123", b"0000", b"98765", b"111111", b"9999999"):
        for behind in (b"\0" * 7, b"9" * 7, b"\xff" * 7):
            cases = [(before + other + behind)[:8] for other in others]
            numbers, counts = add_digits(None, words_of(*cases))
            assert set(counts.tolist()) == {len(before)}
            assert set(numbers.tolist()) == {int(before or b"0")}


def test_of_eight_digits_those_seen_are_counted() -> None:
    numbers, counts = add_digits(None, words_of(b"12345678", b"00000009"))
    assert (numbers.tolist(), counts.tolist()) == ([1234567, 0], [SEEN, SEEN])


def test_digits_follow_those_before_them() -> None:
    before = np.array([12, 7, 999_999_999_999], np.uint64)
    numbers, counts = add_digits(before, words_of(b"034,", b",5", b"9999999"))
    assert numbers.tolist() == [12034, 7, 9_999_999_999_999_999_999]
    assert counts.tolist() == [3, 0, 7]


@pytest.mark.parametrize("stop", b',}"')
def test_bytes_before_a_stop_or_a_control_character_are_counted(stop: int) -> None:
    ends = {stop, *range(0x20)}
    for before in range(SEEN + 1):
        for behind in (0, stop, 0xFF):
            cases = [b" " * before + bytes([byte]) + bytes([behind]) * 7 for byte in range(256)]
            counts = count_before(words_of(*[case[:8] for case in cases]), stop).tolist()
            for byte, count in enumerate(counts):
                if byte in ends or before == SEEN:
                    assert count == before, byte
                else:
                    assert count > before, byte


@pytest.mark.slow
@given(
    lines=st.lists(st.integers(0, 30), max_size=40),
    rest=st.integers(0, 9),
    repeated=st.sampled_from([1, 1, 400, 1000]),
)
@example(lines=[7, 7, 7], rest=0, repeated=40_000)
@example(lines=[25], rest=3, repeated=30_000)
def test_each_newline_is_found_and_each_control_character_counted(
    lines: list[int], rest: int, repeated: int
) -> None:
    text = b"".join(b"\x0b" * length + b"\n" for length in lines) * repeated + b"x" * rest
    assert count_controls(np.frombuffer(text, np.uint8)) == len(text.rstrip(b"x"))
    expected = [place for place, byte in enumerate(text) if byte == ord("\n")]
    assert find_newlines(np.frombuffer(text, np.uint8)).tolist() == expected
