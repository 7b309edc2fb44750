"""A stream processor that lives in a Python process.

The map of the house, from what users write to what it stands on; each imports only from below:

    cli, testing    the command line; harness, scripted sources and crash tests for users
    api             what users write: each call adds one node to the graph
    runtime         the shell: every task, queue, socket, thread and await
    connectors      where records come from and go to
    plan            what is executed: chains, parallelism, uids (planner, uids, drawing)
    graph           what was written: nodes, edges, partitioning
    operators       the logic of every step: synchronous, without a clock
    checkpoint      how state is kept: alignment, manifest, storage
    state           what an operator remembers: descriptors, codec, key groups, stores
    aggregates      count, sum, top and the like
    eventtime       everything whose input is a timestamp: watermarks, timers, windows
    functions, source, sink, selectors, config, metrics, clock    the contracts
    elements, errors, units    the words all others use
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlet.api.environment import StreamExecutionEnvironment
    from streamlet.api.keyed import KeyedStream
    from streamlet.api.stream import DataStream, StreamSink
    from streamlet.api.windowed import WindowedStream
    from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, OutputTag
    from streamlet.errors import (
        ConfigError,
        FatalError,
        GraphError,
        RecordError,
        RestoreError,
        StateTypeError,
        StreamletError,
        TransientError,
    )
    from streamlet.eventtime.watermarks import WatermarkStrategy
    from streamlet.eventtime.windows import (
        CumulativeEventTimeWindows,
        EventTimeSessionWindows,
        SlidingEventTimeWindows,
        TumblingEventTimeWindows,
        Window,
        WindowAssigner,
    )
    from streamlet.functions import (
        AggregateFunction,
        CheckpointedFunction,
        Function,
        KeyedProcessFunction,
        OperatorStateStore,
        ProcessFunction,
        ProcessWindowFunction,
        ReduceFunction,
        RuntimeContext,
        SnapshotContext,
        TimerService,
    )
    from streamlet.plan import ExecutionPlan
    from streamlet.runtime.run import JobClient
    from streamlet.runtime.setup import JobResult
    from streamlet.sink import Sink, SinkWriter, WriterContext
    from streamlet.source import PartitionedSource, PartitionReader, Source, SplitEnumerator
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
    from streamlet.state.ttl import StateTtlConfig
    from streamlet.units import to_ms

__version__ = "0.1.0"

_HOMES = {
    "api.environment": ("StreamExecutionEnvironment",),
    "api.keyed": ("KeyedStream",),
    "api.stream": (
        "DataStream",
        "StreamSink",
    ),
    "api.windowed": ("WindowedStream",),
    "elements": (
        "MAX_TIMESTAMP",
        "MIN_TIMESTAMP",
        "OutputTag",
    ),
    "errors": (
        "ConfigError",
        "FatalError",
        "GraphError",
        "RecordError",
        "RestoreError",
        "StateTypeError",
        "StreamletError",
        "TransientError",
    ),
    "eventtime.watermarks": ("WatermarkStrategy",),
    "eventtime.windows": (
        "CumulativeEventTimeWindows",
        "EventTimeSessionWindows",
        "SlidingEventTimeWindows",
        "TumblingEventTimeWindows",
        "Window",
        "WindowAssigner",
    ),
    "functions": (
        "AggregateFunction",
        "CheckpointedFunction",
        "Function",
        "KeyedProcessFunction",
        "OperatorStateStore",
        "ProcessFunction",
        "ProcessWindowFunction",
        "ReduceFunction",
        "RuntimeContext",
        "SnapshotContext",
        "TimerService",
    ),
    "plan": ("ExecutionPlan",),
    "runtime.run": ("JobClient",),
    "runtime.setup": ("JobResult",),
    "sink": (
        "Sink",
        "SinkWriter",
        "WriterContext",
    ),
    "source": (
        "PartitionedSource",
        "PartitionReader",
        "Source",
        "SplitEnumerator",
    ),
    "state.descriptors": (
        "AggregatingStateDescriptor",
        "ListStateDescriptor",
        "MapStateDescriptor",
        "ReducingStateDescriptor",
        "ValueStateDescriptor",
    ),
    "state.handles": (
        "AggregatingState",
        "ListState",
        "MapState",
        "ReducingState",
        "ValueState",
    ),
    "state.ttl": ("StateTtlConfig",),
    "units": ("to_ms",),
}
"""Public names by the module they live in, which is imported when a name is first used."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "MAX_TIMESTAMP",
    "MIN_TIMESTAMP",
    "AggregateFunction",
    "AggregatingState",
    "AggregatingStateDescriptor",
    "CheckpointedFunction",
    "ConfigError",
    "CumulativeEventTimeWindows",
    "DataStream",
    "EventTimeSessionWindows",
    "ExecutionPlan",
    "FatalError",
    "Function",
    "GraphError",
    "JobClient",
    "JobResult",
    "KeyedProcessFunction",
    "KeyedStream",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
    "OperatorStateStore",
    "OutputTag",
    "PartitionReader",
    "PartitionedSource",
    "ProcessFunction",
    "ProcessWindowFunction",
    "RecordError",
    "ReduceFunction",
    "ReducingState",
    "ReducingStateDescriptor",
    "RestoreError",
    "RuntimeContext",
    "Sink",
    "SinkWriter",
    "SlidingEventTimeWindows",
    "SnapshotContext",
    "Source",
    "SplitEnumerator",
    "StateTtlConfig",
    "StateTypeError",
    "StreamExecutionEnvironment",
    "StreamSink",
    "StreamletError",
    "TimerService",
    "TransientError",
    "TumblingEventTimeWindows",
    "ValueState",
    "ValueStateDescriptor",
    "WatermarkStrategy",
    "Window",
    "WindowAssigner",
    "WindowedStream",
    "WriterContext",
    "__version__",
    "to_ms",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamlet' has no attribute {name!r}")
    value = getattr(import_module(f"streamlet.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
