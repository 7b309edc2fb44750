"""The contexts that user functions see."""

from __future__ import annotations

from typing import Any, Literal

from streamlet.elements import MIN_TIMESTAMP
from streamlet.errors import FatalError
from streamlet.functions import (
    KeyedProcessFunction,
    KeyedStateStore,
    ProcessFunction,
    TimerService,
)
from streamlet.metrics import MetricGroup
from streamlet.operators.operator import OperatorContext
from streamlet.operators.timers import KeyedTimers
from streamlet.state.handles import KeyedStateHandles, ListState
from streamlet.state.operator_lists import SPLIT, UNION, OperatorLists


class SubtaskRuntimeContext:
    """The RuntimeContext of one subtask; state is refused where there is no key."""

    def __init__(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._state: KeyedStateStore = (
            NoKeyedState(ctx)
            if ctx.keyed_state is None
            else KeyedStateHandles(ctx.keyed_state, ctx.clock)
        )
        self.get_state = self._state.get_state
        self.get_list_state = self._state.get_list_state
        self.get_map_state = self._state.get_map_state
        self.get_reducing_state = self._state.get_reducing_state
        self.get_aggregating_state = self._state.get_aggregating_state

    def get_task_name(self) -> str:
        return self._ctx.name

    def get_index_of_this_subtask(self) -> int:
        return self._ctx.subtask_index

    def get_number_of_parallel_subtasks(self) -> int:
        return self._ctx.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        return self._ctx.max_parallelism

    def get_attempt_number(self) -> int:
        return self._ctx.attempt

    def get_metrics_group(self) -> MetricGroup:
        return self._ctx.metrics


class ListStateContext:
    """The SnapshotContext of one subtask; `checkpoint_id` is that of the next snapshot."""

    def __init__(self, lists: OperatorLists, checkpoint_id: int) -> None:
        self._lists = lists
        self.checkpoint_id = checkpoint_id

    def get_operator_list_state(self, name: str, /) -> ListState[Any]:
        return self._lists.get(name, SPLIT)

    def get_union_list_state(self, name: str, /) -> ListState[Any]:
        return self._lists.get(name, UNION)


class NoKeyedState:
    """Refuses keyed state on a stream that has no keys."""

    def __init__(self, ctx: OperatorContext) -> None:
        self._ctx = ctx

    def _refuse(self, descriptor: Any) -> Any:
        raise FatalError(
            f"state {descriptor.name!r} was asked for {self._ctx.place()}, which is not keyed: "
            "state belongs to a key; put key_by(...) before it"
        )

    get_state = get_list_state = get_map_state = _refuse
    get_reducing_state = get_aggregating_state = _refuse


class NoTimers:
    """The TimerService of a stream without keys: it tells the time and refuses timers."""

    def __init__(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self.watermark_ms = MIN_TIMESTAMP

    def current_watermark(self) -> int:
        return self.watermark_ms

    def current_processing_time(self) -> int:
        return self._ctx.clock.now_ms()

    def _refuse(self, timestamp: int, /) -> None:
        raise FatalError(
            f"a timer was used {self._ctx.place()}, which is not keyed: timers belong to a key; "
            "put key_by(...) before it"
        )

    register_event_time_timer = delete_event_time_timer = _refuse
    register_processing_time_timer = delete_processing_time_timer = _refuse


class ElementContext(ProcessFunction.Context):
    """What a ProcessFunction may ask; the operator sets `now` before each record."""

    __slots__ = ("_timers", "key", "now")

    def __init__(self, timers: TimerService) -> None:
        self.now: int | None = None
        self.key = None  # there is none, but the loop of keyed functions is this one's too
        self._timers = timers

    def timestamp(self) -> int | Any:
        return self.now

    def timer_service(self) -> TimerService:
        return self._timers


class KeyedContext(KeyedProcessFunction.OnTimerContext):
    """What a KeyedProcessFunction may ask, in `process_element` and in `on_timer`."""

    __slots__ = ("_log", "_timers", "domain", "now")

    def __init__(self, timers: KeyedTimers) -> None:
        self.now: int | None = None
        self.domain: Literal["event_time", "processing_time"] = "event_time"
        self._timers = timers
        self._log = timers.log

    def timestamp(self) -> int | Any:
        return self.now

    def timer_service(self) -> TimerService:
        return self._timers

    def get_current_key(self) -> Any:
        return self._log.key

    def time_domain(self) -> Literal["event_time", "processing_time"]:
        return self.domain
