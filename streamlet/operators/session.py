"""Session windows: per key, elements closer than the gap are one window.

All sessions of a key are one entry of state, sorted by start; nearly always there is one. Timers
are lazy: a session gets one when it begins, none when it grows. A timer that comes too early finds
the session's real end and moves there, so the hot path touches no timer. At all times each key has
a timer at or before the next due time of its sessions; that is the whole invariant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, RowBatch
from streamlet.eventtime.sessions import merge_session
from streamlet.eventtime.windows import EventTimeSessionWindows, Window
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_firing, note_record
from streamlet.operators.results import Results
from streamlet.operators.timers import TimerDomain
from streamlet.operators.window import LateRecords, stamped
from streamlet.operators.window_contents import WindowContents, WindowScope
from streamlet.state.log import MISSING

# A session is a list in state: its bounds [start, end), its contents, and whether it has fired.
START: Final = 0
END: Final = 1
CONTENTS: Final = 2
HAS_FIRED: Final = 3


class SessionWindowOperator(Operator):
    """Event-time sessions with a fixed or dynamic gap, and the default trigger."""

    def __init__(
        self,
        assigner: EventTimeSessionWindows,
        contents: WindowContents,
        allowed_lateness_ms: int,
        late_tag_id: str | None,
    ) -> None:
        self._gap_of: Callable[[Any], int] = assigner.gap_of
        self._contents = contents
        self._lateness_ms = allowed_lateness_ms
        self._late_tag_id = late_tag_id
        self._watermark_ms = MIN_TIMESTAMP

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._log = log = keyed_state(ctx)
        self._sessions = log.flat("_sessions", kind=self._contents.kind, owned=True)
        self._timers = TimerDomain(log, "_session_timers")
        self._late = LateRecords(ctx, self._late_tag_id)
        self._contents.open(ctx, WindowScope(is_merging=True, is_retained=self._lateness_ms > 0))

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        timestamps = stamped(batch, self._ctx)
        elements = self._contents.prepare(batch.values)
        results, index = Results(), -1
        gap_of, add = self._gap_of, self._contents.add
        sessions_of = self._sessions.dirty.get
        try:
            for key, element, value, timestamp in zip(
                batch.keys or [], elements, batch.values, timestamps, strict=True
            ):
                index += 1
                end = timestamp + gap_of(value)
                sessions = sessions_of(key)
                if sessions.__class__ is list and len(sessions) == 1:  # no tombstone, and not None
                    session = sessions[0]
                    # The one open session takes the element: nothing to merge, no timer to set.
                    # It has not fired, so it ends after the watermark.
                    if (
                        session[START] <= end
                        and timestamp <= session[END]
                        and not session[HAS_FIRED]
                    ):
                        if timestamp < session[START]:
                            session[START] = timestamp
                        if end > session[END]:
                            session[END] = end
                        session[CONTENTS] = add(session[CONTENTS], element)
                        continue
                if not self._add(key, element, timestamp, end, results):
                    self._late.take(value, timestamp, results)
        except Exception as error:
            note_record(error, self._ctx, batch, index)
            raise
        results.emit(out)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._watermark_ms = watermark_ms
        self._contents.set_watermark(watermark_ms)
        results, is_done = Results(), False
        for _ in range(budget):
            due = self._timers.pop_due(watermark_ms)
            if due is None:
                is_done = True
                break
            self._on_timer(due[0], due[1], results)
        results.emit(out)
        return is_done and super().advance_watermark(watermark_ms, budget, out)

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
        sessions = self._sessions.for_update(key)
        if sessions is MISSING:
            return
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
        self._log.key = key
        start, end = session[START], session[END]
        try:
            self._contents.fire(key, Window(start, end), session[CONTENTS], results)
        except Exception as error:
            note_firing(error, self._ctx, key, f"session [{start}, {end})")
            raise
