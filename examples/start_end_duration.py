"""How long each task took from START to END, and which did not end within four hours.

    streamlet run examples/start_end_duration.py -- EVENTS.jsonl

An event is {"task": ..., "kind": "START" or "END", "ts": epoch ms}. A task starts once; its own
events are in order, those of different tasks need not be, by up to a minute.
"""

import sys
from typing import Any

from streamlet import (
    KeyedProcessFunction,
    OutputTag,
    RuntimeContext,
    StreamExecutionEnvironment,
    ValueStateDescriptor,
    WatermarkStrategy,
    to_ms,
)
from streamlet.connectors.files import FileSource

LIMIT_MS = to_ms("4h")
OVERDUE = OutputTag("overdue")


class StartEndDuration(KeyedProcessFunction[str, dict[str, Any], dict[str, Any]]):
    """Remembers the start of each task; a timer forgets it, so state does not grow for ever."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.start = ctx.get_state(ValueStateDescriptor("start", int))

    def process_element(self, event: dict[str, Any], ctx: Any, /) -> Any:
        timers, start = ctx.timer_service(), self.start.value()
        if event["kind"] == "START":
            self.start.update(event["ts"])
            timers.register_event_time_timer(event["ts"] + LIMIT_MS)
        elif start is not None and event["ts"] < start + LIMIT_MS:
            timers.delete_event_time_timer(start + LIMIT_MS)
            self.start.clear()
            yield {"task": ctx.get_current_key(), "duration_ms": event["ts"] - start}

    def on_timer(self, timestamp: int, ctx: Any, /) -> Any:
        yield OVERDUE, {"task": ctx.get_current_key(), "start": self.start.value()}
        self.start.clear()


def main(path: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1m").with_timestamp_assigner("ts")
    events = env.from_source(FileSource.json_lines(path), strategy, "events").uid("events")
    durations = events.key_by("task").process(StartEndDuration()).uid("durations")
    durations.print().uid("print")
    durations.get_side_output(OVERDUE).print("overdue").uid("print-overdue")
    env.execute("start-end-duration")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 2 else sys.exit(__doc__)
