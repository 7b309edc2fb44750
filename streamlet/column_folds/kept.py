"""The accumulators of many groups in one array: of numbers if all are of one kind, else objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Kept: TypeAlias = npt.NDArray[Any]
"""One accumulator per group; `tolist` gives them as rows have them, of the same Python types."""
Mask: TypeAlias = npt.NDArray[np.bool_]

INTS: Final = np.dtype(np.int64)
FLOATS: Final = np.dtype(np.float64)
OBJECTS: Final = np.dtype(object)
_KINDS: Final[Mapping[np.dtype[Any], type]] = {INTS: int, FLOATS: float}


def pairs_of(totals: np.dtype[Any]) -> np.dtype[Any]:
    """What keeps the accumulators of a mean: (total, count)."""
    return np.dtype([("total", totals), ("count", INTS)])


def paired(totals: Kept, counts: Kept) -> Kept:
    """The accumulators of a mean."""
    kept = np.empty(len(totals), pairs_of(totals.dtype))
    kept["total"] = totals
    kept["count"] = counts
    return kept


def kept_array(accumulators: Sequence[Any], dtype: np.dtype[Any]) -> Kept:
    """Of the dtype if that gives the very same accumulators back, else of objects.

    >>> kept_array([1, 2], INTS).dtype, kept_array([1, 2.0], INTS).dtype
    (dtype('int64'), dtype('O'))
    """
    kept = _of_dtype(accumulators, dtype)
    return objects(accumulators) if kept is None else kept


def objects(accumulators: Sequence[Any]) -> Kept:
    """An array of what is no number, or not always."""
    return np.fromiter(accumulators, OBJECTS, len(accumulators))


def _of_dtype(accumulators: Sequence[Any], dtype: np.dtype[Any]) -> Kept | None:
    """None: some accumulator is not of that kind."""
    kinds = set(map(type, accumulators))
    if dtype.names is not None:
        if not kinds <= {tuple}:
            return None
        totals = _of_dtype([total for total, _ in accumulators], dtype["total"])
        counts = _of_dtype([count for _, count in accumulators], dtype["count"])
        return None if totals is None or counts is None else paired(totals, counts)
    if not kinds <= {_KINDS.get(dtype)}:
        return None
    try:
        return np.fromiter(accumulators, dtype, len(accumulators))
    except OverflowError:  # an int beyond 64 bits
        return None


@dataclass(frozen=True, slots=True)
class Older:
    """What groups have before their rows: the accumulator of each, but for those that are new.

    What `kept` has for a new group means nothing.
    """

    kept: Kept
    is_new: Mask

    def accumulators(self, fresh: Any) -> list[Any]:
        """As rows have them, `fresh` for the new groups."""
        accumulators: list[Any] = self.kept.tolist()
        if not self.is_new.any():
            return accumulators
        pairs = zip(accumulators, self.is_new.tolist(), strict=True)
        return [fresh if is_new else accumulator for accumulator, is_new in pairs]

    def typed(self, dtype: np.dtype[Any], fresh: Any) -> Older | None:
        """The same in an array of the dtype, with 0 for new groups; None: that cannot hold it.

        A group that has met nothing but nulls, so that its accumulator is as a fresh one, is new.
        """
        if self.kept.dtype == dtype:
            return Older(np.where(self.is_new, np.zeros((), dtype), self.kept), self.is_new)
        accumulators, kind = self.accumulators(fresh), type(fresh)
        is_new = [type(each) is kind and each == fresh for each in accumulators]
        older = [each for each, is_fresh in zip(accumulators, is_new, strict=True) if not is_fresh]
        found = _of_dtype(older, dtype)
        if found is None:
            return None
        mask = np.array(is_new, np.bool_)
        kept = np.zeros(len(mask), dtype)
        kept[~mask] = found
        return Older(kept, mask)


def with_fresh(kept: Kept, is_fresh: Mask, fresh: Any) -> Kept:
    """The same but for those groups, whose accumulator is no number of the others' kind."""
    return objects(Older(kept, is_fresh).accumulators(fresh)) if is_fresh.any() else kept
