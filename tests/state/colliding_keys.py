"""Whole numbers that an index looks for from one and the same place on, however large it is."""

from __future__ import annotations

from typing import Final

from streamlet.state.key_index import _ALL_BITS, _BITS, _MULTIPLIER

_INVERSE: Final = pow(_MULTIPLIER, -1, 1 << _BITS)
_SIGN: Final = 1 << (_BITS - 1)


def colliding(number: int) -> int:
    """A key of 64 bits for each number; those of all numbers below a billion or so collide."""
    return ((number * _INVERSE & _ALL_BITS) ^ _SIGN) - _SIGN


def number_of(key: int) -> int:
    """The number that has this key."""
    return key * _MULTIPLIER & _ALL_BITS
