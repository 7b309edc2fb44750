"""The classes users extend when a plain callable is not enough: state, timers, open and close.

Each subtask and each attempt works on its own deep copy, made before `open`; `close` runs on every
way out. Functions must not change the records they are given, nor those they have yielded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from streamlet.eventtime.windows import Window
    from streamlet.metrics import MetricGroup
    from streamlet.state.descriptors import (
        AggregatingStateDescriptor,
        ListStateDescriptor,
        MapStateDescriptor,
        ReducingStateDescriptor,
        ValueStateDescriptor,
    )
    from streamlet.state.handles import (
        AggregatingState,
        ListState,
        MapState,
        ReducingState,
        ValueState,
    )

K = TypeVar("K", default=Any)
T = TypeVar("T", default=Any)
V = TypeVar("V", default=Any)
In = TypeVar("In", default=Any)
Out = TypeVar("Out", default=Any)
Acc = TypeVar("Acc", default=Any)
W = TypeVar("W", bound="Window", default="Window")

Output = Iterable[Any] | None
"""What a process function gives: values, or `(tag, value)` for a side output; None: nothing."""


class KeyedStateStore(Protocol):
    """Hands out state of the current key; asking twice for one name gives the same state."""

    def get_state(self, descriptor: ValueStateDescriptor[T], /) -> ValueState[T]: ...
    def get_list_state(self, descriptor: ListStateDescriptor[T], /) -> ListState[T]: ...
    def get_map_state(self, descriptor: MapStateDescriptor[T, V], /) -> MapState[T, V]: ...
    def get_reducing_state(self, descriptor: ReducingStateDescriptor[T], /) -> ReducingState[T]: ...
    def get_aggregating_state(
        self, descriptor: AggregatingStateDescriptor[T, V], /
    ) -> AggregatingState[T, V]: ...


class RuntimeContext(KeyedStateStore, Protocol):
    """What a function may know of the place where it runs; given to `open`."""

    def get_task_name(self) -> str: ...
    def get_index_of_this_subtask(self) -> int: ...
    def get_number_of_parallel_subtasks(self) -> int: ...
    def get_max_number_of_parallel_subtasks(self) -> int: ...
    def get_attempt_number(self) -> int: ...
    def get_metrics_group(self) -> MetricGroup: ...


class TimerService(Protocol):
    """Timers of the current key. One `(timestamp, key)` is one timer, however often registered."""

    def current_watermark(self) -> int: ...
    def current_processing_time(self) -> int: ...
    def register_event_time_timer(self, timestamp: int, /) -> None: ...
    def delete_event_time_timer(self, timestamp: int, /) -> None: ...
    def register_processing_time_timer(self, timestamp: int, /) -> None: ...
    def delete_processing_time_timer(self, timestamp: int, /) -> None: ...


class OperatorStateStore(Protocol):
    """Hands out lists of this subtask; asking twice for one name gives the same list."""

    def get_operator_list_state(self, name: str, /) -> ListState[Any]:
        """After a restore this subtask's even share of the elements of all subtasks."""

    def get_union_list_state(self, name: str, /) -> ListState[Any]:
        """After a restore the elements of all subtasks, in every subtask."""


class SnapshotContext(OperatorStateStore, Protocol):
    """What a CheckpointedFunction may ask about the checkpoint at hand."""

    @property
    def checkpoint_id(self) -> int: ...


class Function:
    """Base of all user function classes; plain callables are shared, these are copied."""

    def open(self, ctx: RuntimeContext, /) -> None:
        """Called once per subtask and attempt, before the first record."""

    def close(self) -> None:
        """Called on every way out: end of input, stop, cancel, failure."""


class CheckpointedFunction(Function, ABC):
    """A function with list state of its subtask; mixed into another, or alone with `__call__`.

    Works in `map`, `flat_map`, `filter`, `process` and `reduce`. The lists are the function's:
    it fills them, at the latest in `snapshot_state`, and reads them in `initialize_state`.
    """

    @abstractmethod
    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        """Called once per subtask and attempt, before `open`; what was restored is there."""

    @abstractmethod
    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        """Called for every checkpoint: the lists must hold now what a restore has to find."""


class ProcessFunction(Function, ABC, Generic[In, Out]):
    """Any number of results per record, and side outputs."""

    class Context(ABC):
        """What `process_element` may ask about the record at hand."""

        @abstractmethod
        def timestamp(self) -> int | Any:
            """The record's timestamp in epoch ms, or None."""

        @abstractmethod
        def timer_service(self) -> TimerService: ...

    @abstractmethod
    def process_element(self, value: In, ctx: ProcessFunction.Context, /) -> Output: ...


class KeyedProcessFunction(Function, ABC, Generic[K, In, Out]):
    """Any number of results per record, with state and timers of the record's key."""

    class Context(ProcessFunction.Context):
        """What `process_element` may ask about the record at hand."""

        @abstractmethod
        def get_current_key(self) -> Any: ...

    class OnTimerContext(Context):
        """What `on_timer` may ask; `timestamp()` is the timer's."""

        @abstractmethod
        def time_domain(self) -> Literal["event_time", "processing_time"]: ...

    @abstractmethod
    def process_element(self, value: In, ctx: KeyedProcessFunction.Context, /) -> Output: ...

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext, /) -> Output:
        """Called when a timer of this key is due; the timer is already gone."""
        return None


class ReduceFunction(Function, ABC, Generic[In]):
    """Folds two records into one of the same type; windows refuse one with `open` or `close`."""

    @abstractmethod
    def reduce(self, value1: In, value2: In, /) -> In: ...


class AggregateFunction(Function, ABC, Generic[In, Acc, Out]):
    """Folds records into an accumulator; `merge` is called only for session windows.

    `open` and `close` are never called, and windows refuse a function that has them.
    """

    @abstractmethod
    def create_accumulator(self) -> Acc: ...

    @abstractmethod
    def add(self, value: In, accumulator: Acc, /) -> Acc: ...

    @abstractmethod
    def get_result(self, accumulator: Acc, /) -> Out: ...

    @abstractmethod
    def merge(self, a: Acc, b: Acc, /) -> Acc: ...


class ProcessWindowFunction(Function, ABC, Generic[In, Out, K, W]):
    """Any number of results per firing of a window, from all its elements."""

    class Context(ABC):
        """What `process` may ask about the window that fires."""

        @abstractmethod
        def window(self) -> Any: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def window_state(self) -> KeyedStateStore:
            """State of this key and this window; refused for merging windows (WN-27)."""

        @abstractmethod
        def global_state(self) -> KeyedStateStore:
            """State of this key over all its windows."""

    @abstractmethod
    def process(
        self, key: K, ctx: ProcessWindowFunction.Context, elements: Iterable[In], /
    ) -> Output: ...

    def clear(self, ctx: ProcessWindowFunction.Context, /) -> None:
        """Called when the window is cleaned up: clear `window_state()` here."""
