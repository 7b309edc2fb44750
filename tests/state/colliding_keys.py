"""Whole numbers that an index looks for from one and the same place on, however large it is."""

from __future__ import annotations

from typing import Final

from streamlet.state.key_index import (
    _ALL_BITS,
    _BITS,
    _FIRST_MULTIPLIER,
    _HALF,
    _SECOND_MULTIPLIER,
)

_FIRST_INVERSE: Final = pow(_FIRST_MULTIPLIER, -1, 1 << _BITS)
_SECOND_INVERSE: Final = pow(_SECOND_MULTIPLIER, -1, 1 << _BITS)
_SIGN: Final = 1 << (_BITS - 1)


def colliding(number: int) -> int:
    """A key of 64 bits for each number; those of all numbers below a billion or so collide."""
    mixed = number * _SECOND_INVERSE & _ALL_BITS
    key = (mixed ^ mixed >> _HALF) * _FIRST_INVERSE & _ALL_BITS
    return (key ^ _SIGN) - _SIGN


def number_of(key: int) -> int:
    """The number that has this key."""
    mixed = key * _FIRST_MULTIPLIER & _ALL_BITS
    return (mixed ^ mixed >> _HALF) * _SECOND_MULTIPLIER & _ALL_BITS
