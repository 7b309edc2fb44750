"""What slices come to in a window: accumulators by the number of the key, taken out by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamlet.operators.ordered_keys import Block
from streamlet.state.key_index import Keys, keys_array

_FIRED_AT_ONCE: Final = 16_384
"""So many keys, about, are taken out of a window at a time; each is a batch of columns."""

Numbers: TypeAlias = npt.NDArray[Any]
"""Of type int64 or float64."""
Mask: TypeAlias = npt.NDArray[np.bool_]
ToColumns: TypeAlias = Callable[[Keys], "list[pa.Array] | None"]
"""Makes columns of keys, if that can be."""


@dataclass(frozen=True, slots=True)
class MergedKeys:
    """What a window holds of some keys, by key ascending."""

    _blocks: list[Block]
    _is_there: Mask
    columns: list[Numbers]
    """Per aggregate the accumulators of the keys that are there."""

    def keys(self) -> list[Any]:
        """Those that are there."""
        keys = chain.from_iterable(block.keys for block in self._blocks)
        return list(compress(keys, self._is_there.tolist()))

    def key_arrays(self, to_columns: ToColumns) -> list[pa.Array] | None:
        """The same as columns; None: they cannot be."""
        parts = []
        for block in self._blocks:
            if block.columns is None:
                block.columns = to_columns(keys_array(block.keys))
            if block.columns is None:
                return None
            parts.append(block.columns)
        try:
            whole = [pa.concat_arrays(column) for column in zip(*parts, strict=True)]
        except pa.ArrowInvalid:  # keys of one block are of another type than those of the next
            return None
        is_there = pa.array(self._is_there)
        return [column.filter(is_there) for column in whole]


class Merged:
    """What a window holds, in arrays by the number of the key."""

    def __init__(self, dtypes: Sequence[np.dtype[Any]], blocks: list[Block], numbers: int) -> None:
        self.is_there: Mask = np.zeros(numbers, np.bool_)
        self.columns = [np.zeros(numbers, dtype) for dtype in dtypes]
        """Per aggregate the accumulators."""
        self._blocks = blocks

    def __len__(self) -> int:
        return int(np.count_nonzero(self.is_there))

    def by_key(self) -> Iterator[MergedKeys]:
        """All its keys, ascending; some at a time, as blocks that are half empty go together."""
        at_once = max(1, len(self._blocks) * _FIRED_AT_ONCE // max(1, len(self)))
        for start in range(0, len(self._blocks), at_once):
            blocks = self._blocks[start : start + at_once]
            numbers = np.concatenate([block.numbers for block in blocks])
            is_there = self.is_there[numbers]
            places = numbers[is_there]
            if len(places):
                columns = [column[places] for column in self.columns]
                yield MergedKeys(blocks, is_there, columns)
