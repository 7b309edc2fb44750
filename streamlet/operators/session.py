"""Session windows: per key, elements closer than the gap are one window.

All sessions of a key are one entry of state, sorted by start; nearly always there is one. Timers
are lazy: a session gets one when it begins, none when it grows. A timer that comes too early finds
the session's real end and moves there, so the hot path touches no timer. At all times each key has
a timer at or before the next due time of its sessions; that is the whole invariant. Timers follow
from the sessions, so they are in memory alone, and set anew after a restore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnBatch, RowBatch
from streamlet.eventtime.sessions import merge_session
from streamlet.eventtime.timers import TimerQueue
from streamlet.eventtime.windows import EventTimeSessionWindows, Window
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_firing, note_record, position_of_last
from streamlet.operators.results import Results
from streamlet.operators.window import LateRecords, stamped
from streamlet.operators.window_contents import WindowContents, WindowScope
from streamlet.state.log import MISSING, Layout, StateLog

if TYPE_CHECKING:
    from streamlet.operators.column_sessions import ColumnSessions

# A session is a list in state: its bounds [start, end), its contents, and whether it has fired.
START: Final = 0
END: Final = 1
CONTENTS: Final = 2
HAS_FIRED: Final = 3

STORED_TIMERS: Final = "_session_timers"


class SessionWindowOperator(Operator):
    """Event-time sessions with a fixed or dynamic gap, and the default trigger."""

    def __init__(
        self,
        assigner: EventTimeSessionWindows,
        contents: WindowContents,
        allowed_lateness_ms: int,
        late_tag_id: str | None,
    ) -> None:
        self._assigner = assigner
        self._contents = contents
        self._lateness_ms = allowed_lateness_ms
        self._late_tag_id = late_tag_id
        self._watermark_ms = MIN_TIMESTAMP
        self._fires_together = isinstance(contents, AggContents) and not allowed_lateness_ms
        """Whether sessions that fire are of no more use to anybody, and are named aggregates."""
        self._gathered: list[tuple[Any, list[Any]]] = []
        """Sessions that are due and dropped, and fire together."""
        self._column_sessions: ColumnSessions | None = None

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._log = log = keyed_state(ctx)
        self._sessions = log.flat(
            "_sessions", kind=self._contents.kind, owned=True, copy=_copier(self._contents)
        )
        self._timers = TimerQueue()
        for key, sessions in self._sessions.items():
            self._timers.register(min(map(self._due_ms, sessions)), key)
        _drop_stored_timers(log)
        self._late = LateRecords(ctx, self._late_tag_id)
        self._contents.open(ctx, WindowScope(is_merging=True, is_retained=self._lateness_ms > 0))

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        if isinstance(batch, ColumnBatch):
            batch = self._columns().add(batch, self._watermark_ms)
            if not len(batch):
                return
        timestamps = stamped(batch, self._ctx)
        results = Results()
        if isinstance(self._contents, AggContents):
            self._fold(batch, timestamps, self._contents, results)
        else:
            self._add_each(batch, timestamps, results)
        results.emit(out)

    def _columns(self) -> ColumnSessions:
        """Where batches of columns go; from now on results are columns, too."""
        if self._column_sessions is None:
            from streamlet.operators.column_sessions import ColumnSessions

            contents, gap_ms = self._contents, self._assigner.gap_ms
            assert isinstance(contents, AggContents)
            assert gap_ms is not None
            contents.gives_columns = True
            self._column_sessions = ColumnSessions(contents, self._sessions, self._timers, gap_ms)
        return self._column_sessions

    def _fold(
        self, batch: RowBatch, timestamps: list[int], contents: AggContents, results: Results
    ) -> None:
        """Finds the accumulators of all records, then folds the batch into them.

        Where more than to add must be done (merge, fire at once, turn away) what came before is
        folded first.
        """
        keys, folded = batch.keys or [], 0
        remaining, gaps = iter(keys), self._gaps(batch)
        accumulators: list[list[Any]] = []
        append = accumulators.append
        known = list(map(self._sessions.dirty.get, keys))
        for key, timestamp, gap, sessions in zip(remaining, timestamps, gaps, known, strict=True):
            end = timestamp + gap
            if sessions.__class__ is list and len(sessions) == 1:  # no tombstone, and not None
                session = sessions[0]
                start, stop, accumulator, has_fired = session
                # The one open session takes the element: nothing to merge, no timer to set.
                # It has not fired, so it ends after the watermark.
                if start <= end and timestamp <= stop and not has_fired:
                    if timestamp < start:
                        session[START] = timestamp
                    if end > stop:
                        session[END] = end
                    append(accumulator)
                    continue
            accumulator = self._accumulator(contents, key, timestamp, end)
            if accumulator is not None:
                append(accumulator)
                continue
            index = len(keys) - length_hint(remaining) - 1
            contents.fold(accumulators, batch.slice(folded, index))
            accumulators.clear()
            self._add_each(batch.slice(index, index + 1), [timestamp], results)
            folded = index + 1
        contents.fold(accumulators, batch.slice(folded, len(keys)))

    def _accumulator(self, contents: AggContents, key: Any, timestamp: int, end: int) -> Any:
        """That of the session that takes the element; None: there is more to do than to add it."""
        sessions = self._sessions.for_update(key)
        if sessions is MISSING:
            sessions = []
        elif len(sessions) == 1:  # as in `_fold`: every key comes here once after a checkpoint
            session = sessions[0]
            start, stop, accumulator, has_fired = session
            if start <= end and timestamp <= stop and not has_fired:
                session[START], session[END] = min(start, timestamp), max(stop, end)
                return accumulator
        first, stop, start, end = merge_session(sessions, timestamp, end)
        if stop - first > 1 or end - 1 <= self._watermark_ms:
            return None
        if first == stop:
            session = [start, end, contents.create(), False]
            sessions.insert(first, session)
            self._timers.register(end - 1, key)
        else:
            session = sessions[first]
            if session[HAS_FIRED]:
                return None
            session[START], session[END] = start, end
        self._sessions.put(key, sessions)
        return session[CONTENTS]

    def _gaps(self, batch: RowBatch) -> Iterable[int]:
        """How long it must be quiet after each record until its session ends."""
        if self._assigner.gap_ms is not None:
            return repeat(self._assigner.gap_ms, len(batch))
        remaining = iter(batch.values)
        try:
            return [self._assigner.gap_of(value) for value in remaining]
        except Exception as error:
            note_record(error, self._ctx, batch, position_of_last(remaining, batch.values))
            raise

    def _add_each(self, batch: RowBatch, timestamps: list[int], results: Results) -> None:
        """Adds record by record."""
        elements, keys, index = self._contents.prepare(batch.values), batch.keys or [], -1
        add, sessions_of = self._contents.add, self._sessions.dirty.get
        gaps = self._gaps(batch)
        try:
            for key, element, timestamp, gap in zip(keys, elements, timestamps, gaps, strict=True):
                index += 1
                end = timestamp + gap
                sessions = sessions_of(key)
                if sessions.__class__ is list and len(sessions) == 1:
                    session = sessions[0]
                    start, stop, contents, has_fired = session
                    if start <= end and timestamp <= stop and not has_fired:
                        session[START], session[END] = min(start, timestamp), max(stop, end)
                        session[CONTENTS] = add(contents, element)
                        continue
                if not self._add(key, element, timestamp, end, results):
                    self._late.take(batch.values[index], timestamp, results)
        except Exception as error:
            note_record(error, self._ctx, batch, index)
            raise

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._watermark_ms = watermark_ms
        self._contents.set_watermark(watermark_ms)
        results = Results()
        if self._fires_together:
            is_done = self._fire_together(watermark_ms, budget, results)
        else:
            is_done = self._fire_due(watermark_ms, budget, results)
        results.emit(out)
        return is_done and super().advance_watermark(watermark_ms, budget, out)

    def _fire_due(self, watermark_ms: int, budget: int, results: Results) -> bool:
        """Fires what is due, timer by timer; False when the budget ended first."""
        for _ in range(budget):
            due = self._timers.pop_due(watermark_ms)
            if due is None:
                return True
            self._on_timer(due[0], due[1], results)
        return False

    def _fire_together(self, watermark_ms: int, budget: int, results: Results) -> bool:
        """The same, all at once up to a time, by their ends: in arrays and not in arrays (TM-4)."""
        columns = self._column_sessions
        limit_ms = watermark_ms if columns is None else columns.limit_ms(watermark_ms)
        keys, limit_ms = self._timers.pop_all_due(limit_ms, budget)
        is_done = limit_ms == watermark_ms and len(keys) < budget
        if columns is not None:
            keys = columns.pop_due(keys, limit_ms)
            is_done = is_done and not columns.has_due(limit_ms)
        self._gather(keys, limit_ms, results)
        if columns is not None:
            columns.fire(self._gathered, results)
        self._gathered.sort(key=lambda fired: int(fired[1][END]))
        self._fire_gathered(results)
        return is_done

    def _gather(self, keys: list[Any], limit_ms: int, results: Results) -> None:
        """Looks after the timers of these keys."""
        dirty, register = self._sessions.dirty, self._timers.register
        for key in keys:
            sessions = dirty.get(key)
            if sessions.__class__ is list and sessions[0][END] - 1 > limit_ms:
                register(sessions[0][END] - 1, key)  # the first has grown: nothing else to do
            else:
                self._on_timer(limit_ms, key, results)

    def close(self) -> None:
        self._contents.close()

    def _add(self, key: Any, element: Any, timestamp: int, end: int, results: Results) -> bool:
        """The general case: the element begins a session, or merges those that it touches.

        False: it came too late.
        """
        sessions = self._sessions.for_update(key)
        if sessions is MISSING:
            sessions = []
        first, stop, start, end = merge_session(sessions, timestamp, end)
        touched = sessions[first:stop]
        if not touched and self._expiry_ms(end) <= self._watermark_ms:
            return False
        session = [start, end, self._contents_with(touched, element), False]
        sessions[first:stop] = [session]
        self._sessions.put(key, sessions)
        if end - 1 <= self._watermark_ms:
            session[HAS_FIRED] = True  # WN-26: within the allowed lateness each element fires
            self._fire(key, session, results)
            self._timers.register(self._expiry_ms(end), key)
        elif all(taken[HAS_FIRED] for taken in touched):
            self._timers.register(end - 1, key)  # else a session it took has a timer before that
        return True

    def _contents_with(self, touched: list[Any], element: Any) -> Any:
        """The contents of all sessions touched, oldest first, and the new element."""
        if not touched:
            return self._contents.first(element)
        contents = touched[0][CONTENTS]
        for session in touched[1:]:
            contents = self._contents.merge(contents, session[CONTENTS])
        return self._contents.add(contents, element)

    def _on_timer(self, now_ms: int, key: Any, results: Results) -> None:
        """Fires and drops the sessions that are due; the others get their timer."""
        sessions = self._sessions.get(key, MISSING)
        if sessions is MISSING:
            return
        if sessions[0][END] - 1 > now_ms and not self._lateness_ms:
            self._timers.register(sessions[0][END] - 1, key)  # it has grown: nothing else to do
            return
        if len(sessions) == 1 and not self._lateness_ms:
            self._fire(key, sessions[0], results)
            self._contents.clear(key, Window(sessions[0][START], sessions[0][END]))
            self._sessions.remove(key)
            return
        self._on_timer_of_several(now_ms, key, results)

    def _on_timer_of_several(self, now_ms: int, key: Any, results: Results) -> None:
        """The same where sessions stay, or have fired."""
        sessions = self._sessions.for_update(key)
        dropped = 0
        for session in sessions:  # in the order of their ends, too
            if session[END] - 1 > now_ms:
                break
            if not session[HAS_FIRED]:
                session[HAS_FIRED] = True
                self._fire(key, session, results)
            if self._expiry_ms(session[END]) <= now_ms:
                self._contents.clear(key, Window(session[START], session[END]))
                dropped += 1
        del sessions[:dropped]
        if not sessions:
            self._sessions.remove(key)
            return
        self._sessions.put(key, sessions)
        # Without lateness none has fired, and the first is the next.
        candidates = sessions if self._lateness_ms else sessions[:1]
        self._timers.register(min(map(self._due_ms, candidates)), key)

    def _due_ms(self, session: list[Any]) -> int:
        """When the session next needs a timer: to fire, or to go."""
        return self._expiry_ms(session[END]) if session[HAS_FIRED] else int(session[END]) - 1

    def _expiry_ms(self, end: int) -> int:
        return min(end - 1 + self._lateness_ms, MAX_TIMESTAMP)

    def _fire(self, key: Any, session: list[Any], results: Results) -> None:
        if self._fires_together:
            self._gathered.append((key, session))
        else:
            self._fire_now(key, session, results)

    def _fire_gathered(self, results: Results) -> None:
        """Fires at once what is of no more use to anybody, so that nothing changes it meanwhile."""
        gathered, self._gathered = self._gathered, []
        contents, fired = self._contents, len(results.values)
        if not gathered or not isinstance(contents, AggContents):
            return
        keys, sessions = zip(*gathered, strict=True)
        starts, ends, kept, _ = map(list, zip(*sessions, strict=True))
        try:
            contents.fire_spans(keys, starts, ends, kept, results)
        except Exception:
            del results.values[fired:]  # one by one it fails again, and shows the key
            for key, session in gathered:
                self._fire_now(key, session, results)

    def _fire_now(self, key: Any, session: list[Any], results: Results) -> None:
        self._log.key = key
        start, end = session[START], session[END]
        try:
            self._contents.fire(key, Window(start, end), session[CONTENTS], results)
        except Exception as error:
            note_firing(error, self._ctx, key, f"session [{start}, {end})")
            raise


def _drop_stored_timers(log: StateLog) -> None:
    """Savepoints of version 0.1.0 have timers of sessions, too."""
    if log.is_restored(STORED_TIMERS):
        timers = log.flat(STORED_TIMERS, Layout.TIMER, kind="timer")
        for timer, _ in list(timers.items()):
            timers.remove(timer)


def _copier(contents: WindowContents) -> Callable[[list[Any]], list[Any]] | None:
    """What copies the sessions of a key; None: they are encoded and decoded."""
    copy = contents.copy
    if copy is None:
        return None
    return lambda sessions: [
        [start, end, copy(kept), has_fired] for start, end, kept, has_fired in sessions
    ]
