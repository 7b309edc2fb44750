"""Looks at eight bytes of text at once: where lines and values end, and what digits add up to.

A word holds eight bytes, the first one lowest. A mark is the top bit of a byte; the marks of a
word tell its bytes apart up to the first that is marked, those behind it may be wrong. Of a word
that begins a value seven bytes are looked at: the eighth is taken for the end of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Words = npt.NDArray[np.uint64]
    Places = npt.NDArray[np.int64]

_WORD_BYTES: Final = 8

SEEN: Final = 7
"""So many bytes of a word are looked at."""

MOST_DIGITS: Final = 19
"""Any number of them is less than 2 ** 64."""

_PIECE_BYTES: Final = 1 << 18
"""As much as a processor has at hand when it looks again at what it has just written."""

_EACH: Final = 0x0101010101010101
_MARKS: Final = np.uint64(0x80 * (_EACH >> 8))
_LAST_MARK: Final = np.uint64(0x80 << 56)
_ZEROS: Final = np.uint64(ord("0") * _EACH)
_BEYOND_NINE: Final = np.uint64((0x80 - 10) * _EACH)
_ONES: Final = np.uint64(_EACH)
_SPACES: Final = np.uint64(ord(" ") * _EACH)
_BYTES: Final = np.uint64(0x0001020304050607)
"""Times 256 ** n, its top byte is n."""

_POWERS: Final = np.array([10**count for count in range(SEEN + 1)], np.uint64)
_PAIRS: Final = (
    (np.uint64(10 << 8 | 1), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(100 << 16 | 1), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(10_000 << 32 | 1), np.uint64(32), np.uint64(0x00000000FFFFFFFF)),
)
"""How neighbours become one number: times that, shifted right, and which bits are of numbers."""


def find_newlines(text: Bytes) -> Places:
    """Where each newline is."""
    return _find(_newlines_in, text)


def find_quotes(text: Bytes) -> Places:
    """Where each quote is."""
    return _find(lambda piece: np.flatnonzero(piece == ord('"')), text)


def count_controls(text: Bytes) -> int:
    """How many control characters there are, newlines among them."""
    return sum(int(np.count_nonzero(piece < ord(" "))) for _, piece in _pieces(text))


def _pieces(text: Bytes) -> Iterator[tuple[int, Bytes]]:
    for start in range(0, len(text), _PIECE_BYTES):
        yield start, text[start : start + _PIECE_BYTES]


def _find(find: Callable[[Bytes], Places], text: Bytes) -> Places:
    found = [find(piece) + start for start, piece in _pieces(text)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _newlines_in(text: Bytes) -> Places:
    is_newline = text == ord("\n")
    # Most lines are longer than a word: few words have a newline, and hardly one has two.
    rest = len(text) // _WORD_BYTES * _WORD_BYTES
    words = is_newline[:rest].view("<u8")
    places = np.flatnonzero(words != 0)
    bits = words[places]
    if (bits & (bits - np.uint64(1))).any():
        return np.flatnonzero(is_newline)
    places *= _WORD_BYTES
    places += _byte_of(bits)
    return np.concatenate((places, np.flatnonzero(is_newline[rest:]) + rest))


def count_before(words: Words, stop: int) -> Places:
    """How many bytes of each word come before `stop` or a control character, at most SEEN."""
    others = words ^ np.uint64(stop * _EACH)
    marks = (others - _ONES) & ~others | (words - _SPACES) & ~words
    return _byte_of(_first(marks))


def add_digits(numbers: Words | None, words: Words) -> tuple[Words, Places]:
    """The numbers that grow when digits of each word, SEEN at most, follow; and how many digits.

    The digits are those with which the word begins. None: no digit comes before them.
    """
    digits = words ^ _ZEROS
    # What is not 0 to 9 is marked; digits carry nothing into the byte behind them.
    first = _first(digits + _BEYOND_NINE | digits)
    counts = _byte_of(first)
    # Digits move to the end of the word, and zeros come before them.
    lone = digits & (first - np.uint64(1))
    lone <<= np.uint64(64) - (counts.view(np.uint64) << np.uint64(3))
    for factor, shift, bits in _PAIRS:
        lone *= factor
        lone >>= shift
        lone &= bits
    return lone if numbers is None else numbers * _POWERS[counts] + lone, counts


def _first(marks: Words) -> Words:
    """The lowest bit of the first byte that is marked; of the eighth, if none is."""
    marks = marks & _MARKS | _LAST_MARK
    marks &= ~marks + np.uint64(1)
    marks >>= np.uint64(7)
    return marks


def _byte_of(bits: Words) -> Places:
    """In which byte of its word each bit is, which is the lowest of the byte."""
    return (bits * _BYTES >> np.uint64(56)).view(np.int64)
