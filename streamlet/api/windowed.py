"""WindowedStream: records grouped by key and window, and what is made of each group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from typing_extensions import TypeVar

from streamlet.aggregates import NamedAggregates
from streamlet.api import rolling
from streamlet.api.call_site import refusal
from streamlet.api.keyed import key_fields, named_aggregates
from streamlet.api.operator_result import new_node
from streamlet.api.user_functions import checked_function, describe_function
from streamlet.column_folds.obstacles import rows_because
from streamlet.elements import OutputTag
from streamlet.errors import ConfigError
from streamlet.eventtime.windows import (
    CumulativeEventTimeWindows,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from streamlet.folds import Aggregate
from streamlet.functions import (
    AggregateFunction,
    CheckpointedFunction,
    Function,
    ProcessWindowFunction,
    ReduceFunction,
)
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.session import SessionWindowOperator
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.operators.window import FixedWindows, WindowOperator
from streamlet.operators.window_contents import (
    AggregateContents,
    ListContents,
    ReduceContents,
    WindowContents,
)
from streamlet.units import Duration, to_ms

if TYPE_CHECKING:
    from streamlet.api.keyed import KeyedStream
    from streamlet.api.stream import DataStream
    from streamlet.graph import Hash
    from streamlet.operators.operator import Operator
    from streamlet.selectors import Selector

T = TypeVar("T", default=Any)
R = TypeVar("R", default=Any)
O = TypeVar("O", default=Any)  # noqa: E741 - what a window function emits

Assigner: TypeAlias = FixedWindows | EventTimeSessionWindows
Contents: TypeAlias = Callable[[], WindowContents]
"""Gives what one subtask keeps per window; called once per subtask."""

_BOUNDS = ("window_start", "window_end")


@dataclass(frozen=True, slots=True)
class WindowedStream(Generic[T]):
    """Groups of records that are not yet reduced to anything; every method gives a new one."""

    _stream: KeyedStream[T]
    _key: Hash
    _assigner: Assigner
    _allowed_lateness_ms: int = 0
    _late_tag_id: str | None = None

    @classmethod
    def of(cls, stream: KeyedStream[T], key: Hash, assigner: object) -> WindowedStream[T]:
        """Called by `window`, which see."""
        if not isinstance(assigner, Assigner):
            raise refusal(
                "window",
                "takes TumblingEventTimeWindows.of(...), SlidingEventTimeWindows.of(...), "
                "CumulativeEventTimeWindows.of(...) or EventTimeSessionWindows.with_gap(...), "
                f"got {assigner!r}",
            )
        return cls(stream, key, assigner)

    def allowed_lateness(self, duration: Duration) -> WindowedStream[T]:
        """Keeps a window this long after it fired; each late record in that time fires it anew."""
        try:
            lateness_ms = to_ms(duration)
        except ConfigError as error:
            raise refusal("allowed_lateness", str(error)) from None
        if lateness_ms < 0:
            raise refusal("allowed_lateness", f"takes no negative duration, got {duration!r}")
        return replace(self, _allowed_lateness_ms=lateness_ms)

    def side_output_late_data(self, tag: OutputTag[T]) -> WindowedStream[T]:
        """Sends records that come after their windows are gone to a side output."""
        if not isinstance(tag, OutputTag):
            raise refusal("side_output_late_data", f"takes an OutputTag, got {tag!r}")
        return replace(self, _late_tag_id=tag.id)

    @overload
    def reduce(self, fn: Callable[[T, T], T] | ReduceFunction[T]) -> DataStream[T]: ...
    @overload
    def reduce(
        self,
        fn: Callable[[T, T], T] | ReduceFunction[T],
        window_fn: ProcessWindowFunction[T, R, Any, Any] | Callable[[Any, Any, T], R],
    ) -> DataStream[R]: ...
    def reduce(self, fn: Any, window_fn: Any = None) -> DataStream[Any]:
        """Folds the records of each window into one, as they come."""
        kept = checked_function(fn, "reduce", ReduceFunction)
        _refuse_open_and_close("reduce", fn)
        last = self._checked_window_fn("reduce", window_fn)
        return self._then("reduce", partial(ReduceContents, kept, last), fn, window_fn)

    @overload
    def aggregate(self, fn: AggregateFunction[T, Any, R]) -> DataStream[R]: ...
    @overload
    def aggregate(
        self,
        fn: AggregateFunction[T, Any, R],
        window_fn: ProcessWindowFunction[R, O, Any, Any] | Callable[[Any, Any, R], O],
    ) -> DataStream[O]: ...
    def aggregate(self, fn: Any, window_fn: Any = None) -> DataStream[Any]:
        """Folds the records of each window into an accumulator, as they come."""
        kept = checked_function(fn, "aggregate", AggregateFunction, is_plain_allowed=False)
        _refuse_open_and_close("aggregate", fn)
        last = self._checked_window_fn("aggregate", window_fn)
        return self._then("aggregate", partial(AggregateContents, kept, last), fn, window_fn)

    def process(self, function: ProcessWindowFunction[T, R, Any, Any]) -> DataStream[R]:
        """Keeps all records of each window and gives them to the function when it fires."""
        kept = checked_function(
            function, "process", ProcessWindowFunction, is_plain_allowed=False, may_yield=True
        )
        return self._then("process", partial(ListContents, kept), function, function)

    def apply(self, fn: Callable[[Any, Any, list[T]], R]) -> DataStream[R]:
        """Emits what `fn(key, window, values)` returns when a window fires."""
        kept = checked_function(fn, "apply")
        return self._then("apply", partial(ListContents, kept), fn)

    def agg(self, **named: Aggregate) -> DataStream[dict[str, Any]]:
        """A dict of the key, `window_start`, `window_end` and the named aggregates."""
        fields = key_fields(self._key)
        aggregates = named_aggregates(named, fields, _BOUNDS)
        reason = _why_rows(self._assigner, aggregates, self._allowed_lateness_ms)
        return self._then("agg", partial(AggContents, aggregates, fields), rows_because=reason)

    def sum(self, selector: Selector | None = None) -> DataStream[T]:
        """The sum of the field, in the window's first record; see `KeyedStream.sum`."""
        return self._then("sum", partial(ReduceContents, rolling.sum_function(selector)))

    def min(self, selector: Selector | None = None) -> DataStream[T]:
        """The least value of the field, in the window's first record."""
        return self._then("min", partial(ReduceContents, rolling.min_function(selector)))

    def max(self, selector: Selector | None = None) -> DataStream[T]:
        """The greatest value of the field, in the window's first record."""
        return self._then("max", partial(ReduceContents, rolling.max_function(selector)))

    def min_by(self, selector: Selector | None = None) -> DataStream[T]:
        """The record with the least value; of equals the first."""
        return self._then("min_by", partial(ReduceContents, rolling.min_by_function(selector)))

    def max_by(self, selector: Selector | None = None) -> DataStream[T]:
        """The record with the greatest value; of equals the first."""
        return self._then("max_by", partial(ReduceContents, rolling.max_by_function(selector)))

    def _checked_window_fn(self, method: str, window_fn: Any) -> Any:
        if window_fn is None:
            return None
        return checked_function(window_fn, method, ProcessWindowFunction)

    def _then(
        self,
        method: str,
        contents: Contents,
        fn: object = None,
        window_fn: object = None,
        rows_because: str | None = "it keeps or folds Python objects",
    ) -> DataStream[Any]:
        for function in (fn, window_fn):
            if isinstance(function, CheckpointedFunction):
                raise refusal(
                    method,
                    f"got the CheckpointedFunction {describe_function(function)}: windows have no "
                    "operator list state. Keep it before the window, or use global_state()",
                )
        functions = [describe_function(f) for f in (fn, window_fn) if f is not None]
        may_tag = isinstance(window_fn, ProcessWindowFunction)
        late_tags = frozenset() if self._late_tag_id is None else frozenset({self._late_tag_id})
        factory = partial(
            _window_operator,
            self._assigner,
            contents,
            self._allowed_lateness_ms,
            self._late_tag_id,
            takes_columns=rows_because is None,
        )
        return self._stream._then(
            new_node(
                "window",
                factory,
                f"{type(self._assigner).__name__}, {method} {', '.join(functions)}".rstrip(),
                is_keyed=True,
                is_stateful=True,
                side_tags=None if may_tag else late_tags,
                rows_because=rows_because,
                **({"parallelism": 1} if self._key.fields == () else {}),
            )
        )


def _refuse_open_and_close(method: str, fn: object) -> None:
    """WN-42: a function that folds the elements of windows has no place to open anything."""
    if not isinstance(fn, Function):
        return
    kind = type(fn)
    if kind.open is not Function.open or kind.close is not Function.close:
        raise refusal(
            method,
            f"folds records one by one: open() and close() of {describe_function(fn)} are not "
            "called there. Do what needs them in the window function, or before the window",
        )


def _window_operator(
    assigner: Assigner,
    contents: Contents,
    allowed_lateness_ms: int,
    late_tag_id: str | None,
    *,
    takes_columns: bool,
) -> Operator:
    operator = _of_kind(assigner, contents(), allowed_lateness_ms, late_tag_id)
    operator.takes_columns = takes_columns
    return operator


def _of_kind(
    assigner: Assigner, kept: WindowContents, allowed_lateness_ms: int, late_tag_id: str | None
) -> Operator:
    if isinstance(assigner, EventTimeSessionWindows):
        return SessionWindowOperator(assigner, kept, allowed_lateness_ms, late_tag_id)
    if not isinstance(assigner, TumblingEventTimeWindows) and isinstance(kept, AggContents):
        slice_ms = _slice_ms(assigner, kept.named, allowed_lateness_ms)
        if slice_ms is not None:
            return SlicedWindowOperator(assigner, slice_ms, kept, late_tag_id)
    return WindowOperator(assigner, kept, allowed_lateness_ms, late_tag_id)


def _slice_ms(
    assigner: SlidingEventTimeWindows | CumulativeEventTimeWindows,
    aggregates: NamedAggregates,
    allowed_lateness_ms: int,
) -> int | None:
    """The slices by which windows that overlap share their contents; None: they cannot."""
    if allowed_lateness_ms or not aggregates.is_order_free:
        return None
    return assigner.slice_ms


def _why_rows(
    assigner: Assigner, aggregates: NamedAggregates, allowed_lateness_ms: int
) -> str | None:
    """Why an `agg` over these windows goes record by record; None: columns will do."""
    if allowed_lateness_ms:
        return "within the allowed lateness each record fires its window"
    if isinstance(assigner, EventTimeSessionWindows):
        if assigner.gap_ms is None:
            return "the gap of its sessions comes from a function"
        if not aggregates.is_order_free:
            return "sessions merge, and an aggregate depends on the order of arrival"
    elif (
        not isinstance(assigner, TumblingEventTimeWindows)
        and _slice_ms(assigner, aggregates, allowed_lateness_ms) is None
    ):
        return "its windows overlap and cannot be made of slices"
    return rows_because(aggregates)
