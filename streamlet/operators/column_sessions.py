"""Adds batches of columns to sessions: first those that a batch makes by itself, then as wholes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamlet.column_folds.groups import Groups
from streamlet.column_folds.kept import INTS, pairs_of
from streamlet.column_folds.named import FoldsOfSchema, NamedFolds
from streamlet.columns import to_rows
from streamlet.elements import ColumnBatch, KeyColumn, RowBatch
from streamlet.eventtime.sessions import merge_session
from streamlet.eventtime.timer_runs import TimerRuns
from streamlet.eventtime.timers import TimerQueue
from streamlet.folds import Count
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.column_spans import MAX_TIME, NO_ROWS, Numbers
from streamlet.operators.kept_keys import Elsewhere, accumulators_of, parts_of, slots_of
from streamlet.operators.results import Results
from streamlet.operators.session import CONTENTS, END
from streamlet.state.arrays import KeyedArrays, Part
from streamlet.state.key_index import ABSENT, Keys, Slots, joined, keys_array, unique
from streamlet.state.layout import MISSING, TOMBSTONE
from streamlet.state.log import FlatTable

Mask: TypeAlias = npt.NDArray[np.bool_]

_WHOLE: Final = (INTS, pairs_of(INTS))
_FEW_TIMERS: Final = 32


class ColumnSessions:
    """Sessions per key in keyed state, without allowed lateness: none has fired and stays.

    The session of a key that has only one stands in arrays: its start, its end, its accumulators.
    Keys with several have them in the table's dict, as rows make them. Only for aggregates whose
    parts may be folded apart, in any order, with the very same result.
    """

    def __init__(
        self, contents: AggContents, table: FlatTable, timers: TimerQueue, gap_ms: int
    ) -> None:
        self._contents = contents
        self._table = table
        self._timers = timers
        self._runs = TimerRuns()
        self._gap_ms = gap_ms
        self._folds = FoldsOfSchema(contents.named)
        aggregates = enumerate(contents.named.aggregates)
        self._folded = [at for at, aggregate in aggregates if not isinstance(aggregate, Count)]
        """Where accumulators are made of values, and not only of how many there are."""
        self._due: Keys = keys_array([])

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
        if found is None:
            return False
        arrays, in_dict = self._arrays(folds), set[Any]()
        slots = self._slots(arrays, found.keys, folds, in_dict)
        starts, ends, *older = arrays.read(slots)
        is_there = slots != ABSENT
        grows = found.is_alone & is_there & (starts <= found.ends) & (found.starts <= ends)
        begins = found.is_alone & ~is_there
        if in_dict:
            begins &= ~np.fromiter(map(in_dict.__contains__, found.keys.tolist()), np.bool_)
        others = np.flatnonzero(~(grows | begins))
        # Should it be given up below, rows find them there as well.
        self._to_dict(found.keys[others], slots[others])
        if not self._may_add(older, grows, found.keys[others]):
            return False
        folded = folds.fold(found.groups, batch.records, older, ~grows)
        if folded is None:
            return False
        starts, ends = np.minimum(starts, found.starts), np.maximum(ends, found.ends)
        arrays.write(slots[grows], [part[grows] for part in (starts, ends, *folded)])
        newer = [found.starts, found.ends, *folded]
        self._begin(np.flatnonzero(begins), found, newer)
        self._join_each(others, found, newer)
        return True

    def _arrays(self, folds: NamedFolds) -> KeyedArrays:
        table = self._table
        if not table.arrays:
            table.arrays = KeyedArrays(_sessions, [INTS, INTS, *folds.dtypes])
        return table.arrays

    def _slots(
        self, arrays: KeyedArrays, keys: Keys, folds: NamedFolds, in_dict: set[Any]
    ) -> Slots:
        """Those of the keys; single sessions move into the arrays, `in_dict` gets the others."""

        def take(key: Any) -> Any:
            sessions = self._table.take(key)
            if sessions is MISSING or _may_stand_in_arrays(sessions):
                return sessions
            self._table.dirty[key] = sessions
            in_dict.add(key)
            return MISSING

        to_parts = partial(_session_parts, folds=folds)
        return slots_of(arrays, keys, Elsewhere(self._table.layers(), take, to_parts))

    def _to_dict(self, keys: Keys, slots: Slots) -> None:
        """Sessions in arrays whose keys will have several: those are changed one by one."""
        self._table.move_from_arrays(unique(keys[slots != ABSENT]))

    def _may_add(self, older: Sequence[Part], grows: Mask, others: Keys) -> bool:
        """Whether all that was folded so far are whole numbers, as what comes is.

        Adding to a float in other steps rounds otherwise, and what is the least beside NaN, or
        of 1, 1.0 and True, depends on who came first.
        """
        if not self._folded:
            return True
        known = map(self._table.dirty.get, others.tolist())
        lists = (each for each in known if each.__class__ is list)  # no tombstone, and not None
        sessions = [session for several in lists for session in several]
        return all(
            (older[at].dtype in _WHOLE or _are_whole(older[at][grows].tolist()))
            and _are_whole([session[CONTENTS][at] for session in sessions])
            for at in self._folded
        )

    def _begin(self, positions: Slots, found: BatchSessions, parts: Sequence[Part]) -> None:
        """Adds the first sessions of keys."""
        keys = found.keys[positions]
        slots = np.full(len(keys), ABSENT)
        self._table.put_in_arrays(keys, slots, [part[positions] for part in parts])
        self._register(found.ends[positions] - 1, keys)

    def _join_each(self, positions: Slots, found: BatchSessions, parts: Sequence[Part]) -> None:
        """Adds sessions of keys that have, or get, several."""
        starts, ends, *folded = [part[positions].tolist() for part in parts]
        accumulators = accumulators_of(folded)
        keys = found.keys[positions].tolist()
        for key, start, end, kept in zip(keys, starts, ends, accumulators, strict=True):
            self._join(key, start, end, kept)

    def _join(self, key: Any, start: int, end: int, accumulator: list[Any]) -> None:
        """The general case: a new session, or one of all those that it touches."""
        # What the key had anywhere is here: `_slots` took it from below, `_to_dict` from arrays.
        known = self._table.dirty
        sessions = known.get(key, MISSING)
        if sessions is MISSING or sessions is TOMBSTONE:
            sessions = known[key] = []
        first, stop, start, end = merge_session(sessions, start, end)
        if first == stop:
            sessions.insert(first, [start, end, accumulator, False])
            self._timers.register(end - 1, key)
        else:  # each of them has a timer, at or before its end
            for session in reversed(sessions[first:stop]):
                accumulator = self._contents.merge(session[CONTENTS], accumulator)
            sessions[first:stop] = [[start, end, accumulator, False]]

    def _register(self, times: Numbers, keys: Keys) -> None:
        """Sets a timer for each key."""
        if len(keys) > _FEW_TIMERS:
            self._runs.register(times, keys)
            return
        for timestamp, key in zip(times.tolist(), keys.tolist(), strict=True):
            self._timers.register(timestamp, key)

    def limit_ms(self, watermark_ms: int) -> int:
        """Up to this time sessions may fire at once."""
        return self._runs.limit_ms(watermark_ms)

    def has_due(self, limit_ms: int) -> bool:
        """Whether more timers are due than fired at once."""
        return self._runs.has_due(limit_ms)

    def pop_due(self, keys: list[Any], limit_ms: int) -> list[Any]:
        """Looks after timers that are due, those of these keys too; gives keys not in arrays.

        Sessions in arrays that are due will `fire`, the others get their timer.
        """
        due = unique(joined([keys_array(keys), *self._runs.pop_due(limit_ms)]))
        if not self._table.arrays:
            return list(due.tolist())
        slots = self._table.arrays.find(due)
        is_there = slots != ABSENT
        ends = self._table.arrays.read(slots)[END]
        is_due = is_there & (ends - 1 <= limit_ms)
        waits = is_there & ~is_due
        self._due = due[is_due]
        self._register(ends[waits] - 1, due[waits])
        return list(due[~is_there].tolist())

    def fire(self, gathered: list[tuple[Any, list[Any]]], results: Results) -> None:
        """Fires what is due in arrays; if anything else was gathered, then together with that."""
        keys, self._due = self._due, self._due[:0]
        if not len(keys):
            return
        arrays = self._table.arrays
        parts = arrays.read(arrays.find(keys))
        if gathered or not self._fire_columns(keys, parts, results):
            sessions = _sessions([part.tolist() for part in parts])
            gathered += zip(keys.tolist(), (session for [session] in sessions), strict=True)
        self._table.remove_from_arrays(keys)

    def _fire_columns(self, keys: Keys, parts: Sequence[Part], results: Results) -> bool:
        """Fires sessions by their ends; False: not as columns, and none was."""
        folds, order = self._folds.latest, np.argsort(parts[END], kind="stable")
        starts, ends, *kept = [part[order] for part in parts]
        columns = None if folds is None else folds.results(kept)
        leading = self._contents.key_arrays(keys[order])
        if columns is None or leading is None:
            return False
        self._contents.fire_arrays(leading, starts, ends, columns, results)
        return True


@dataclass(frozen=True, slots=True)
class BatchSessions:
    """The sessions of one batch, each a group of rows; side by side, by key and then by time."""

    groups: Groups
    keys: Keys
    starts: Numbers
    ends: Numbers
    is_alone: Mask
    """Whether it is the only session of its key."""


def sessions_of(keys: KeyColumn, times: Numbers, gap_ms: int) -> BatchSessions | None:
    """What elements of one batch make for themselves; None: times too far apart to sort by.

    >>> keys = KeyColumn(np.array([1, 0, 1, 1]), np.array([20, 30]))
    >>> found = sessions_of(keys, np.array([50, 7, 60, 71]), 10)
    >>> found.keys.tolist(), found.starts.tolist(), found.ends.tolist(), found.groups.codes.tolist()
    ([20, 30, 30], [7, 50, 71], [17, 70, 81], [1, 0, 1, 2])
    >>> found.is_alone.tolist()
    [True, False, False]
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
    key_of = codes[at]
    changes = np.concatenate([[True], key_of[1:] != key_of[:-1], [True]])
    return BatchSessions(
        Groups(groups, len(at)),
        keys.distinct[key_of],
        ordered[at],
        ordered[np.append(at[1:], len(order)) - 1] + gap_ms,
        changes[:-1] & changes[1:],
    )


def _sessions(parts: Sequence[list[Any]]) -> list[Any]:
    """What the table gives for keys with one session each."""
    starts, ends, *kept = parts
    return [
        [[start, end, accumulator, False]]
        for start, end, accumulator in zip(starts, ends, accumulators_of(kept), strict=True)
    ]


def _session_parts(found: Sequence[Any], folds: NamedFolds) -> list[Part]:
    """The other way round."""
    starts, ends, kept, _ = zip(*(session for [session] in found), strict=True)
    return [np.array(starts, INTS), np.array(ends, INTS), *parts_of(kept, folds)]


def _may_stand_in_arrays(sessions: list[Any]) -> bool:
    [start, end, *_], *others = sessions
    return not others and start >= -MAX_TIME and end <= MAX_TIME


def _are_whole(accumulators: Iterable[Any]) -> bool:
    """Of whatever aggregate; nothing yet is none."""
    totals = (kept[0] if kept.__class__ is tuple else kept for kept in accumulators)
    return {int, type(None)}.issuperset(map(type, totals))
