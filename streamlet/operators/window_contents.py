"""What a window keeps of its elements, and what it gives when it fires.

Each class is one form of the DSL: reduce, aggregate, process, apply, agg. The window operators
decide when; these decide what.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from streamlet.elements import MIN_TIMESTAMP
from streamlet.eventtime.windows import Window
from streamlet.functions import (
    AggregateFunction,
    Function,
    KeyedStateStore,
    ProcessWindowFunction,
    ReduceFunction,
)
from streamlet.operators.context import SubtaskRuntimeContext
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import OperatorContext, own_copy
from streamlet.operators.results import Results
from streamlet.state.codec import ATOMS, DEFAULT_CODEC, handed_out, keep
from streamlet.state.handles import KeyedStateHandles

WindowFunction: TypeAlias = ProcessWindowFunction | Callable[[Any, Window, Any], Any]


@dataclass(frozen=True, slots=True)
class WindowScope:
    """What the contents must know of the operator they serve."""

    is_merging: bool
    """Whether windows change their bounds as they merge (sessions)."""
    is_retained: bool
    """Whether a window may fire more than once, because lateness is allowed."""


class WindowContents(ABC):
    """Folds elements into contents (a value that state can keep) and fires them."""

    kind = "window"
    is_owned = False
    """Whether contents are mutable objects of the engine's own (accumulators and lists)."""

    @property
    def copy(self) -> Callable[[Any], Any] | None:
        """What makes an independent copy of contents, if that is cheaper than encoding them."""
        return None

    @property
    def needs_clear(self) -> bool:
        """Whether `clear` must be called for every key of a window that is cleaned up."""
        return False

    def open(self, ctx: OperatorContext, scope: WindowScope) -> None:
        """Before the first element."""

    def prepare(self, values: Sequence[Any]) -> Sequence[Any]:
        """What `first` and `add` take of each element of a batch, picked for all at once."""
        return values

    @abstractmethod
    def first(self, element: Any) -> Any:
        """The contents of a window with this one element, as `prepare` gave it."""

    @abstractmethod
    def add(self, contents: Any, element: Any) -> Any:
        """The contents with one more element."""

    @abstractmethod
    def merge(self, older: Any, newer: Any) -> Any:
        """The contents of two sessions that became one."""

    @abstractmethod
    def fire(self, key: Any, window: Window, contents: Any, results: Results) -> None:
        """Adds what the window gives to the results; the contents stay as they are."""

    def fire_all(
        self, keys: Sequence[Any], window: Window, contents: Sequence[Any], results: Results
    ) -> bool:
        """As `fire` for each of at least one key. False: nothing was done, call `fire`."""
        return False

    def clear(self, key: Any, window: Window) -> None:
        """The window is cleaned up."""

    def set_watermark(self, watermark_ms: int) -> None:
        """What `current_watermark()` says from now on."""

    def close(self) -> None:
        """On every way out."""


class _WindowContext(ProcessWindowFunction.Context):
    """What a ProcessWindowFunction may ask."""

    def __init__(self, ctx: OperatorContext, is_merging: bool) -> None:
        self._ctx = ctx
        self._handles = KeyedStateHandles(keyed_state(ctx), ctx.clock)
        self._is_merging = is_merging
        self.now = Window(0, 0)
        self.watermark_ms = MIN_TIMESTAMP

    def window(self) -> Window:
        return self.now

    def current_watermark(self) -> int:
        return self.watermark_ms

    def current_processing_time(self) -> int:
        return self._ctx.clock.now_ms()

    def window_state(self) -> KeyedStateStore:
        if self._is_merging:
            raise TypeError(
                "window_state() is not available for session windows, whose bounds change as they "
                "merge; use global_state(), which belongs to the key"
            )
        return self._handles.namespaced((self.now.start, self.now.end))

    def global_state(self) -> KeyedStateStore:
        return self._handles


class _Firing:
    """Turns a window's result into output: as it is, or through the user's window function."""

    def __init__(self, window_fn: WindowFunction | None) -> None:
        self._function = own_copy(window_fn)
        self.is_process = isinstance(self._function, ProcessWindowFunction)
        self._is_opened = False
        self._context: _WindowContext | None = None

    def open(self, ctx: OperatorContext, scope: WindowScope) -> None:
        if self.is_process:
            self._context = _WindowContext(ctx, scope.is_merging)
        if isinstance(self._function, Function):
            self._is_opened = True
            self._function.open(SubtaskRuntimeContext(ctx))

    def fire(
        self, key: Any, window: Window, elements: Iterable[Any], result: Any, results: Results
    ) -> None:
        """`elements` is what a ProcessWindowFunction sees, `result` what a callable sees."""
        timestamp = window.end - 1
        if self._context is not None:
            self._context.now = window
            results.add(self._function.process(key, self._context, elements), timestamp)
        elif self._function is not None:
            results.add_value(self._function(key, window, result), timestamp)
        else:
            results.add_value(result, timestamp)

    def clear(self, key: Any, window: Window) -> None:
        if self._context is not None:
            self._context.now = window
            self._function.clear(self._context)

    def set_watermark(self, watermark_ms: int) -> None:
        if self._context is not None:
            self._context.watermark_ms = watermark_ms

    def close(self) -> None:
        if self._is_opened:
            self._is_opened = False
            self._function.close()


class _FiringContents(WindowContents):
    """Base of contents with a user function at the firing."""

    def __init__(self, window_fn: WindowFunction | None) -> None:
        self._firing = _Firing(window_fn)

    @property
    def needs_clear(self) -> bool:
        return self._firing.is_process

    def open(self, ctx: OperatorContext, scope: WindowScope) -> None:
        self._firing.open(ctx, scope)

    def clear(self, key: Any, window: Window) -> None:
        self._firing.clear(key, window)

    def set_watermark(self, watermark_ms: int) -> None:
        self._firing.set_watermark(watermark_ms)

    def close(self) -> None:
        self._firing.close()


class ReduceContents(_FiringContents):
    """`reduce(fn, window_fn=None)`: one record, folded."""

    kind = "window reduce"

    def __init__(
        self,
        fn: Callable[[Any, Any], Any] | ReduceFunction,
        window_fn: WindowFunction | None = None,
    ) -> None:
        super().__init__(window_fn)
        self._function = own_copy(fn)
        self._reduce = getattr(self._function, "reduce", self._function)

    def first(self, element: Any) -> Any:
        return keep(element, DEFAULT_CODEC)

    def add(self, contents: Any, element: Any) -> Any:
        return keep(self._reduce(handed_out(contents, DEFAULT_CODEC), element), DEFAULT_CODEC)

    def merge(self, older: Any, newer: Any) -> Any:
        return self.add(older, handed_out(newer, DEFAULT_CODEC))

    def fire(self, key: Any, window: Window, contents: Any, results: Results) -> None:
        result = handed_out(contents, DEFAULT_CODEC)
        self._firing.fire(key, window, (result,), result, results)


class AggregateContents(_FiringContents):
    """`aggregate(function, window_fn=None)`: the function's accumulator."""

    kind = "window aggregate"
    is_owned = True

    def __init__(
        self, aggregate: AggregateFunction, window_fn: WindowFunction | None = None
    ) -> None:
        super().__init__(window_fn)
        self._aggregate = own_copy(aggregate)
        self._add = self._aggregate.add
        self._is_retained = False

    def open(self, ctx: OperatorContext, scope: WindowScope) -> None:
        super().open(ctx, scope)
        self._is_retained = scope.is_retained

    def first(self, element: Any) -> Any:
        return self._add(element, self._aggregate.create_accumulator())

    def add(self, contents: Any, element: Any) -> Any:
        return self._add(element, contents)

    def merge(self, older: Any, newer: Any) -> Any:
        return self._aggregate.merge(older, newer)

    def fire(self, key: Any, window: Window, contents: Any, results: Results) -> None:
        if self._is_retained and contents.__class__ not in ATOMS:
            # get_result may hand out the accumulator itself, which goes on changing here.
            contents = DEFAULT_CODEC.decode(DEFAULT_CODEC.encode(contents))
        result = self._aggregate.get_result(contents)
        self._firing.fire(key, window, (result,), result, results)


class ListContents(_FiringContents):
    """`process(function)` and `apply(fn(key, window, values))`: all elements, in arrival order."""

    kind = "window elements"
    is_owned = True

    def first(self, element: Any) -> Any:
        return [keep(element, DEFAULT_CODEC)]

    def add(self, contents: Any, element: Any) -> Any:
        contents.append(keep(element, DEFAULT_CODEC))
        return contents

    def merge(self, older: Any, newer: Any) -> Any:
        return older + newer

    def fire(self, key: Any, window: Window, contents: Any, results: Results) -> None:
        elements = [handed_out(element, DEFAULT_CODEC) for element in contents]
        self._firing.fire(key, window, elements, elements, results)
