"""DataStream: records without a key, and every step that can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import TypeVar

from streamlet.api.call_site import call_site, refusal
from streamlet.api.operator_result import OperatorResult, new_node
from streamlet.api.user_functions import (
    checked_expressions,
    checked_function,
    checked_selector,
    describe_function,
    is_expression,
)
from streamlet.elements import OutputTag
from streamlet.functions import CheckpointedFunction, ProcessFunction
from streamlet.graph import (
    Broadcast,
    Custom,
    Edge,
    Forward,
    Global,
    Hash,
    Partitioning,
    Rebalance,
    Shuffle,
    StreamNode,
)
from streamlet.operators.columns import (
    FilterColumnsOperator,
    MapBatchesOperator,
    SelectOperator,
)
from streamlet.operators.sink import FunctionSink, SinkOperator
from streamlet.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)
from streamlet.selectors import Selector, compile_batch_selector, describe_selector
from streamlet.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from streamlet.api.keyed import KeyedStream
    from streamlet.api.windowed import WindowedStream
    from streamlet.eventtime.watermarks import WatermarkStrategy
    from streamlet.eventtime.windows import WindowAssigner
    from streamlet.operators.operator import Operator

T = TypeVar("T", default=Any)
R = TypeVar("R", default=Any)


class StreamSink(OperatorResult):
    """The end of a stream: it takes settings, nothing follows."""


class DataStream(OperatorResult, Generic[T]):
    """Records of one operator, of one side output, or of several streams together.

    Every method gives a new stream and leaves this one as it is; several may follow one stream.
    """

    def map(self, fn: Callable[[T], R]) -> DataStream[R]:
        """One result per record: what `fn` returns, None included."""
        kept = checked_function(fn, "map")
        return self._then(_function_node("map", partial(MapOperator, kept), kept))

    def flat_map(self, fn: Callable[[T], Iterable[R] | None]) -> DataStream[R]:
        """Any number of results per record: what `fn` yields or returns; None: none."""
        kept = checked_function(fn, "flat_map", may_yield=True)
        factory = partial(FlatMapOperator, kept)
        return self._then(_function_node("flat map", factory, kept))

    def filter(self, fn: Callable[[T], object] | pc.Expression) -> DataStream[T]:
        """Keeps the records for which `fn` gives something true.

        A `pyarrow.compute` expression over fields works on columns, many times quicker:
        `filter(pc.field("price") > 100)` keeps records for which it is true, not null.
        """
        if is_expression(fn):
            return self._then(_column_node("filter", partial(FilterColumnsOperator, fn), str(fn)))
        kept = checked_function(fn, "filter")
        return self._then(_function_node("filter", partial(FilterOperator, kept), kept))

    def select(self, **columns: pc.Expression | str) -> DataStream[dict[str, Any]]:
        """Records of these fields, each a `pyarrow.compute` expression or a field's name.

        `select(auction="auction", euro=pc.field("price") * 0.908)`; works on columns.
        """
        expressions = checked_expressions("select", columns)
        factory = partial(SelectOperator, expressions)
        return self._then(_column_node("select", factory, ", ".join(columns), makes_columns=True))

    def map_batches(
        self, fn: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> DataStream[dict[str, Any]]:
        """What `fn` makes of each batch of records, as pyarrow RecordBatches.

        Row i of the result has the timestamp of row i, so in a stream with timestamps it must
        give as many rows as it got. How records are cut into batches is not promised.
        """
        kept = checked_function(fn, "map_batches")
        factory, description = partial(MapBatchesOperator, kept), describe_function(kept)
        return self._then(_column_node("map batches", factory, description, makes_columns=True))

    @overload
    def process(self, function: ProcessFunction[T, R]) -> DataStream[R]: ...
    @overload
    def process(
        self, function: Callable[[T, ProcessFunction.Context], Iterable[Any] | None]
    ) -> DataStream[Any]: ...
    def process(self, function: Any) -> DataStream[Any]:
        """A ProcessFunction or `fn(value, ctx)`: any number of results, and side outputs."""
        kept = checked_function(function, "process", ProcessFunction, may_yield=True)
        factory = partial(ProcessOperator, kept)
        return self._then(_function_node("process", factory, kept, side_tags=None))

    def assign_timestamps_and_watermarks(self, strategy: WatermarkStrategy[Any]) -> DataStream[T]:
        """Replaces timestamps and watermarks by the strategy's."""
        from streamlet.eventtime.watermarks import WatermarkStrategy
        from streamlet.operators.timestamps import TimestampsOperator

        if not isinstance(strategy, WatermarkStrategy):
            raise refusal(
                "assign_timestamps_and_watermarks", f"takes a WatermarkStrategy, got {strategy!r}"
            )
        settings = self._env.settings

        def factory() -> Operator:  # asks late: the interval may be set after this line
            interval_ms = settings.config["pipeline.auto-watermark-interval"]
            return TimestampsOperator(strategy, interval_ms)

        reason = strategy.rows_because
        return self._then(new_node("timestamps", factory, rows_because=reason))

    def key_by(self, *selectors: Selector) -> KeyedStream[T]:
        """Partitions by key: a field name, a position or a callable; several make a tuple."""
        from streamlet.api.keyed import KeyedStream

        select = checked_selector("key_by", *selectors)
        names = tuple(selector for selector in selectors if isinstance(selector, str))
        fields = names if len(names) == len(selectors) else None
        if len(set(names)) < len(names):
            raise refusal("key_by", f"got a field twice: {', '.join(names)}")
        description = ", ".join(names) if fields else describe_selector(*selectors)
        key = Hash(select, description, fields, compile_batch_selector(*selectors))
        return KeyedStream(self._env, self._routed(key), key)

    def window_all(self, assigner: WindowAssigner[Any]) -> WindowedStream[T]:
        """Windows over all records, in one subtask; functions get None as the key."""
        from streamlet.api.keyed import KeyedStream

        key = Hash(_no_key, "nothing", (), _no_keys)
        return KeyedStream[T](self._env, self._routed(key), key).window(assigner)

    def union(self, *others: DataStream[T]) -> DataStream[T]:
        """The records of all these streams, interleaved as they come."""
        for other in others:
            if not isinstance(other, DataStream):
                raise refusal("union", f"takes streams, got {other!r}")
            if other._env is not self._env:
                raise refusal("union", "got a stream of another environment")
        edges = [edge for stream in (self, *others) for edge in stream._inputs]
        return DataStream(self._env, edges, None)

    def get_side_output(self, tag: OutputTag[R]) -> DataStream[R]:
        """What the operator emits for the tag; refused for one that never can."""
        if not isinstance(tag, OutputTag):
            raise refusal(
                "get_side_output", f'takes an OutputTag like OutputTag("late"), got {tag!r}'
            )
        if self._node_id is None:
            raise refusal("get_side_output", "must be called on the operator's own result")
        self._env.graph.check_side_output(self._node_id, tag.id, call_site())
        return DataStream(self._env, [Edge(self._node_id, -1, tag_id=tag.id)], None)

    def rebalance(self) -> DataStream[T]:
        """Spreads records round robin over the next operator's subtasks."""
        return self._rerouted(Rebalance())

    def shuffle(self) -> DataStream[T]:
        """Spreads records at random over the next operator's subtasks."""
        return self._rerouted(Shuffle())

    def forward(self) -> DataStream[T]:
        """Keeps records in their subtask; both operators must have the same parallelism."""
        return self._rerouted(Forward())

    def broadcast(self) -> DataStream[T]:
        """Sends every record to all subtasks of the next operator."""
        return self._rerouted(Broadcast())

    def global_(self) -> DataStream[T]:
        """Sends every record to the first subtask of the next operator."""
        return self._rerouted(Global())

    def partition_custom(self, fn: Callable[[Any, int], int], selector: Selector) -> DataStream[T]:
        """Sends a record to subtask `fn(selected, parallelism)`, in [0, parallelism)."""
        choose = checked_function(fn, "partition_custom")
        select = checked_selector("partition_custom", selector)
        return self._rerouted(Custom(choose, select, describe_selector(selector)))

    def sink_to(self, sink: Sink[T] | Callable[[Sequence[T]], object]) -> StreamSink:
        """Ends the stream in a Sink, or in `fn(values)`, which is called at least once a record."""
        if isinstance(sink, Sink):
            return self._end(sink, is_stateful=True)
        if isinstance(sink, type) and issubclass(sink, Sink):
            raise refusal("sink_to", f"got the class {sink.__name__}; give an instance")
        kept = checked_function(sink, "sink_to")
        return self._end(FunctionSink(kept), description=describe_function(sink))

    def print(self, label: str = "") -> StreamSink:
        """Ends the stream on the terminal, one line per record, after the label if there is one."""
        from streamlet.connectors.console import ConsoleSink

        return self._end(ConsoleSink(label), name="print")

    def execute_and_collect(self, limit: int | None = None) -> list[T]:
        """Runs the pipeline and gives this stream's records, at most `limit`; it then stops."""
        return self._env.execute_and_collect({"": self}, limit)[""]

    def execute_and_iterate(self) -> Iterator[T]:
        """Runs the pipeline and yields this stream's records."""
        return self._env.execute_and_iterate(self)

    def _then(self, node: StreamNode) -> DataStream[Any]:
        return DataStream.after(self._env, self._env.graph.add(node, self._inputs).id)

    @classmethod
    def after(cls, env: Any, node_id: int) -> DataStream[Any]:
        """The main output of that operator."""
        return DataStream(env, [Edge(node_id, -1)], node_id)

    def _end(self, sink: Sink[Any], **settings: Any) -> StreamSink:
        fields = {"sink": sink, "is_output": True, "rows_because": sink.rows_because}
        settings = {"name": sink.name, **fields, **settings}
        node = new_node("sink", partial(SinkOperator, sink), **settings)
        return StreamSink(self._env, (), self._env.graph.add(node, self._inputs).id)

    def _routed(self, partitioning: Partitioning) -> Sequence[Edge]:
        """DS-3: of several partitionings in a row the last one counts."""
        return [replace(edge, partitioning=partitioning) for edge in self._inputs]

    def _rerouted(self, partitioning: Partitioning) -> DataStream[T]:
        return DataStream(self._env, self._routed(partitioning), None)


def _function_node(
    kind: str, factory: Callable[[], Operator], function: object, **settings: Any
) -> StreamNode:
    """The node of a user function, which is stateful when it has list state."""
    has_lists = isinstance(function, CheckpointedFunction)
    return new_node(kind, factory, describe_function(function), is_stateful=has_lists, **settings)


def _column_node(
    kind: str, factory: Callable[[], Operator], description: str, **settings: Any
) -> StreamNode:
    """The node of an operator that takes columns and gives columns."""
    return new_node(kind, factory, description, rows_because=None, **settings)


def _no_key(record: object) -> None:
    return None


def _no_keys(records: Sequence[object]) -> list[Any]:
    return [None] * len(records)
