"""Numbered keys in ascending blocks: new ones are sorted in a block at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any, Final, TypeAlias

import numpy as np

from streamlet.state.key_numbers import KeyNumbers, Numbers
from streamlet.state.pieces import PIECE

_BLOCK: Final = 16_384
"""So many keys are sorted in a few milliseconds."""
_SAMPLES: Final = 16
"""So many keys per block are looked at to find out where blocks should begin."""

Parts: TypeAlias = Generator[int, None, list[list[Any]]]


@dataclass(slots=True)
class Block:
    """Some keys in their order, all of them before or after those of any other block."""

    keys: list[Any]
    numbers: Numbers
    columns: Any = None
    """Room for what somebody has made of all keys."""


class OrderedKeys:
    """All keys of `numbers`, as of the last time that it caught up with them.

    >>> numbers = KeyNumbers()
    >>> keys = OrderedKeys(numbers)
    >>> numbers.of_each(["b", "c", "a"]).tolist(), list(keys.catching_up())
    ([0, 1, 2], [3, 3])
    >>> [(block.keys, block.numbers.tolist()) for block in keys.blocks]
    [(['a', 'b', 'c'], [2, 0, 1])]
    """

    def __init__(self, numbers: KeyNumbers) -> None:
        self._numbers = numbers
        self._known = 0
        self.blocks: list[Block] = []
        """Ascending, each with at least one key."""

    def catching_up(self) -> Iterator[int]:
        """Takes in the keys that were numbered since; gives how many it worked on, in pieces.

        Raises TypeError when keys do not compare; then it is of no use any more.
        """
        end = len(self._numbers)
        if end == self._known:
            return
        starts = range(self._known, end, PIECE)
        names = (np.arange(start, min(start + PIECE, end)) for start in starts)
        new = chain.from_iterable(self._numbers.keys_of(piece).tolist() for piece in names)
        parts = yield from _parted(new, [block.keys[0] for block in self.blocks[1:]])
        older = self.blocks or [Block([], np.empty(0, np.intp))]
        blocks: list[Block] = []
        for block, part in zip(older, parts, strict=True):
            if part:
                yield from self._make_blocks(block.keys + part, blocks)
            else:
                blocks.append(block)
        self.blocks, self._known = blocks, end

    def _make_blocks(self, keys: list[Any], blocks: list[Block]) -> Iterator[int]:
        """Adds blocks of these keys, none of them too large to be sorted at once."""
        if len(keys) <= 2 * _BLOCK:
            keys.sort()  # quick where most of it is in order
            blocks.append(Block(keys, self._numbers.of_each(keys)))
            yield len(keys)
            return
        count = len(keys) // _BLOCK
        samples = sorted(keys[:: max(1, len(keys) // (count * _SAMPLES))])
        per_block = len(samples) // count
        parts = yield from _parted(keys, samples[per_block::per_block])
        for part in parts:
            yield from self._make_blocks(part, blocks)


def _parted(keys: Iterable[Any], firsts: list[Any]) -> Parts:
    """The keys before the first of these, those from there up to the second, and so on."""
    parts: list[list[Any]] = [[] for _ in range(len(firsts) + 1)]
    remaining = iter(keys)
    while piece := list(islice(remaining, PIECE)):
        for key, at in zip(piece, map(bisect_right, repeat(firsts), piece), strict=True):
            parts[at].append(key)
        yield len(piece)
    return parts
