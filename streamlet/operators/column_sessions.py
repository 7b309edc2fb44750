"""Adds batches of columns to sessions: first those that a batch makes by itself, then as wholes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import FoldsOfSchema, NamedFolds
from streamlet.columns import to_rows
from streamlet.elements import ColumnBatch, KeyColumn, RowBatch
from streamlet.eventtime.sessions import merge_session
from streamlet.eventtime.timers import TimerQueue
from streamlet.folds import Mean, Sum
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.column_spans import MAX_TIME, NO_ROWS, Numbers
from streamlet.state.log import MISSING, FlatTable

# A session in state; see `streamlet.operators.session`.
START: Final = 0
END: Final = 1
CONTENTS: Final = 2


class ColumnSessions:
    """Sessions per key in keyed state, without allowed lateness: none has fired and stays.

    Only for aggregates whose parts may be folded apart, in any order, with the very same result.
    """

    def __init__(
        self, contents: AggContents, table: FlatTable, timers: TimerQueue, gap_ms: int
    ) -> None:
        self._contents = contents
        self._table = table
        self._timers = timers
        self._gap_ms = gap_ms
        self._folds = FoldsOfSchema(contents.named)
        aggregates = enumerate(contents.named.aggregates)
        self._sums = [at for at, aggregate in aggregates if type(aggregate) in (Sum, Mean)]
        self._older: list[list[Any]] = []
        self._newer: list[list[Any]] = []

    def add(self, batch: ColumnBatch, watermark_ms: int) -> RowBatch:
        """Adds what it can; gives the other records, which must go one by one.

        Those are all records of a key that has one which may be late: whether it is depends on
        the sessions that records before it have made.
        """
        folds = self._folds.of(batch.records.schema)
        if folds is None or not folds.merges or batch.timestamps is None or batch.keys is None:
            return to_rows(batch)
        may_be_late = batch.timestamps <= watermark_ms - (self._gap_ms - 1)
        if not may_be_late.any():
            return NO_ROWS if self._fold_in(batch, folds) else to_rows(batch)
        key_is_slow = np.zeros(len(batch.keys.distinct), np.bool_)
        key_is_slow[batch.keys.codes[may_be_late]] = True
        is_slow = key_is_slow[batch.keys.codes]
        rest = batch.filter(~is_slow)
        if not len(rest) or not self._fold_in(rest, folds):
            return to_rows(batch)
        return to_rows(batch.filter(is_slow))

    def _fold_in(self, batch: ColumnBatch, folds: NamedFolds) -> bool:
        """Adds all rows to their sessions. False: they must be added row by row, none was."""
        assert batch.keys is not None
        assert batch.timestamps is not None
        found = sessions_of(batch.keys, batch.timestamps, self._gap_ms)
        folded = None if found is None else folds.fold(found.groups, batch.records, None)
        if found is None or folded is None:
            return False
        dirty, for_update = self._table.dirty, self._table.for_update
        kept = [dirty.get(key) or for_update(key) for key in found.keys]
        if not self._may_merge(kept):
            return False
        older_of, newer_of = self._older, self._newer
        for key, start, end, accumulator, sessions in zip(
            found.keys, found.starts, found.ends, folded, kept, strict=True
        ):
            if sessions.__class__ is list and len(sessions) == 1:
                session = sessions[0]
                its_start, its_end, older, _ = session
                if its_start <= end and start <= its_end:
                    if start < its_start:
                        session[START] = start
                    if end > its_end:
                        session[END] = end
                    older_of.append(older)
                    newer_of.append(accumulator)
                    continue
            self._join(key, start, end, accumulator)
        self._merge()
        return True

    def _may_merge(self, kept: list[Any]) -> bool:
        """Whether no sum so far is a float: adding to one in other steps rounds otherwise."""
        contents = [
            session[CONTENTS]
            for sessions in (kept if self._sums else [])
            if sessions.__class__ is list
            for session in sessions
        ]
        totals = (accumulator[at] for at in self._sums for accumulator in contents)
        return all(
            (total[0] if total.__class__ is tuple else total).__class__ is int for total in totals
        )

    def _merge(self) -> None:
        """What was put off: accumulators of sessions that only grow, all at once."""
        self._contents.named.merge_all(self._older, self._newer)
        self._older.clear()
        self._newer.clear()

    def _join(self, key: Any, start: int, end: int, accumulator: list[Any]) -> None:
        """The general case: a new session, or one of all those that it touches."""
        sessions = self._table.for_update(key)
        if sessions is MISSING:
            sessions = []
        first, stop, start, end = merge_session(sessions, start, end)
        if first == stop:
            sessions.insert(first, [start, end, accumulator, False])
            self._timers.register(end - 1, key)
        else:  # each of them has a timer, at or before its end
            self._merge()
            for session in reversed(sessions[first:stop]):
                accumulator = self._contents.merge(session[CONTENTS], accumulator)
            sessions[first:stop] = [[start, end, accumulator, False]]
        self._table.put(key, sessions)


@dataclass(frozen=True, slots=True)
class BatchSessions:
    """The sessions of one batch, each a group of rows; parallel lists, by key and then by time."""

    groups: Groups
    keys: list[Any]
    starts: list[int]
    ends: list[int]


def sessions_of(keys: KeyColumn, times: Numbers, gap_ms: int) -> BatchSessions | None:
    """What elements of one batch make for themselves; None: times too far apart to sort by.

    >>> keys = KeyColumn(np.array([1, 0, 1, 1]), ["a", "b"])
    >>> found = sessions_of(keys, np.array([50, 7, 60, 71]), 10)
    >>> found.keys, found.starts, found.ends, found.groups.codes.tolist()
    (['a', 'b', 'b'], [7, 50, 71], [17, 70, 81], [1, 0, 1, 2])
    """
    first, last = int(times.min()), int(times.max())
    width = last - first + 1
    if max(-first, last, gap_ms) > MAX_TIME or width * len(keys.distinct) > MAX_TIME:
        return None
    order = np.argsort(keys.codes.astype(np.int64) * width + (times - first))
    codes, ordered = keys.codes[order], times[order]
    begins = np.empty(len(order), np.bool_)
    begins[0] = True
    # Sessions that touch are one (WN-10).
    begins[1:] = (codes[1:] != codes[:-1]) | (ordered[1:] - ordered[:-1] > gap_ms)
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(begins) - 1
    at = np.flatnonzero(begins)
    return BatchSessions(
        Groups(groups, len(at)),
        list(map(keys.distinct.__getitem__, codes[at].tolist())),
        ordered[at].tolist(),
        (ordered[np.append(at[1:], len(order)) - 1] + gap_ms).tolist(),
    )
