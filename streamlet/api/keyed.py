"""KeyedStream: records with a key, and what keeps state per key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import TypeVar

from streamlet.aggregates import NamedAggregates
from streamlet.api import rolling
from streamlet.api.call_site import refusal
from streamlet.api.operator_result import new_node
from streamlet.api.stream import DataStream
from streamlet.api.user_functions import checked_function, describe_function
from streamlet.column_folds.obstacles import rows_because
from streamlet.errors import StreamletError
from streamlet.folds import Aggregate
from streamlet.functions import KeyedProcessFunction, ProcessFunction, ReduceFunction
from streamlet.graph import Edge, Hash
from streamlet.operators.keyed import AggOperator, KeyedProcessOperator, ReduceOperator

if TYPE_CHECKING:
    from streamlet.api.environment import StreamExecutionEnvironment
    from streamlet.api.windowed import WindowedStream
    from streamlet.eventtime.windows import WindowAssigner
    from streamlet.selectors import Selector

T = TypeVar("T", default=Any)
R = TypeVar("R", default=Any)


class KeyedStream(DataStream[T]):
    """Records partitioned by key: all of one key meet in one subtask, in order per sender."""

    def __init__(self, env: StreamExecutionEnvironment, inputs: Sequence[Edge], key: Hash) -> None:
        super().__init__(env, inputs, None)
        self._key = key

    @overload
    def process(
        self, function: KeyedProcessFunction[Any, T, R] | ProcessFunction[T, R]
    ) -> DataStream[R]: ...
    @overload
    def process(
        self, function: Callable[[T, KeyedProcessFunction.Context], Iterable[Any] | None]
    ) -> DataStream[Any]: ...
    def process(self, function: Any) -> DataStream[Any]:
        """A KeyedProcessFunction, with state and timers of the key; or `fn(value, ctx)`."""
        classes = (KeyedProcessFunction, ProcessFunction)
        kept = checked_function(function, "process", *classes, may_yield=True)
        return self._then(
            new_node(
                "keyed process",
                partial(KeyedProcessOperator, kept),
                describe_function(function),
                is_keyed=True,
                is_stateful=True,
                side_tags=None,
            )
        )

    def reduce(self, fn: Callable[[T, T], T] | ReduceFunction[T]) -> DataStream[T]:
        """Folds the records of each key; emits the result so far for every record."""
        kept = checked_function(fn, "reduce", ReduceFunction)
        return self._reduced("reduce", kept, describe_function(fn))

    def sum(self, selector: Selector | None = None) -> DataStream[T]:
        """The running sum of the field, in the key's first record; without a selector of the
        records themselves, which are numbers then."""
        return self._reduced("sum", rolling.sum_function(selector))

    def min(self, selector: Selector | None = None) -> DataStream[T]:
        """The least value of the field so far, in the key's first record."""
        return self._reduced("min", rolling.min_function(selector))

    def max(self, selector: Selector | None = None) -> DataStream[T]:
        """The greatest value of the field so far, in the key's first record."""
        return self._reduced("max", rolling.max_function(selector))

    def min_by(self, selector: Selector | None = None) -> DataStream[T]:
        """The record with the least value so far; of equals the first."""
        return self._reduced("min by", rolling.min_by_function(selector))

    def max_by(self, selector: Selector | None = None) -> DataStream[T]:
        """The record with the greatest value so far; of equals the first."""
        return self._reduced("max by", rolling.max_by_function(selector))

    def agg(self, **named: Aggregate) -> DataStream[dict[str, Any]]:
        """A dict of the key and the named aggregates so far, for every record."""
        fields = key_fields(self._key)
        aggregates = named_aggregates(named, fields)
        factory = partial(AggOperator, aggregates, fields)
        reason, description = rows_because(aggregates), ", ".join(named)
        settings = {"is_keyed": True, "is_stateful": True, "rows_because": reason}
        return self._then(new_node("agg", factory, description, **settings))

    def window(self, assigner: WindowAssigner[Any]) -> WindowedStream[T]:
        """Groups the records of each key into windows of event time."""
        from streamlet.api.windowed import WindowedStream

        return WindowedStream.of(self, self._key, assigner)

    def _reduced(
        self, kind: str, fn: Callable[[Any, Any], Any] | ReduceFunction[Any], description: str = ""
    ) -> DataStream[T]:
        factory = partial(ReduceOperator, fn)
        return self._then(new_node(kind, factory, description, is_keyed=True, is_stateful=True))


def key_fields(key: Hash) -> tuple[str, ...]:
    """The entries that a key makes in the result of an `agg`."""
    return ("key",) if key.fields is None else key.fields


def named_aggregates(
    named: dict[str, Aggregate], fields: tuple[str, ...], bounds: tuple[str, ...] = ()
) -> NamedAggregates:
    """The aggregates of an `agg`, whose names must not meet those of the other entries."""
    if not named:
        raise refusal("agg", "takes at least one named aggregate, as in .agg(n=agg.count())")
    taken = (*fields, *bounds)
    if clashes := [
        name for name in (*named, *fields) if name in (taken if name in named else bounds)
    ]:
        raise refusal(
            "agg",
            f"cannot give two entries of one name: {', '.join(sorted(set(clashes)))}. "
            f"Every result has {', '.join(taken)} already: call the aggregate something else, or "
            'the key\'s field before key_by, as in select(ends="window_end")',
        )
    try:
        return NamedAggregates(named)
    except StreamletError as error:
        raise refusal("agg", f"got a wrong aggregate: {error}") from None
