"""Events that are held back until a timer of either kind lets them go.

streamlet run delayed.py -- EVENTS.jsonl OUT_DIR [DELAY_MS]

The clock lets most of them go, the end of the input the others: each leaves once, whenever.
"""

import sys
from typing import Any

from streamlet import (
    KeyedProcessFunction,
    ListStateDescriptor,
    RuntimeContext,
    StreamExecutionEnvironment,
    WatermarkStrategy,
)
from streamlet.connectors.files import FileSink, FileSource
from streamlet.elements import MAX_TIMESTAMP

DEFAULT_DELAY_MS = 20


class Delayed(KeyedProcessFunction[int, dict[str, Any], dict[str, Any]]):
    """Keeps what came in a list; a firing timer empties it."""

    def __init__(self, delay_ms: int) -> None:
        self._delay_ms = delay_ms

    def open(self, ctx: RuntimeContext, /) -> None:
        self.held = ctx.get_list_state(ListStateDescriptor("held"))

    def process_element(self, event: dict[str, Any], ctx: Any, /) -> Any:
        timers = ctx.timer_service()
        self.held.add(event)
        timers.register_processing_time_timer(timers.current_processing_time() + self._delay_ms)
        timers.register_event_time_timer(MAX_TIMESTAMP)

    def on_timer(self, timestamp: int, ctx: Any, /) -> Any:
        yield from self.held.get()
        self.held.clear()


def main(path: str, out_dir: str, delay_ms: str = str(DEFAULT_DELAY_MS)) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1m").with_timestamp_assigner("ts")
    (
        env.from_source(FileSource.json_lines(path), strategy, "events")
        .uid("events")
        .key_by(lambda event: event["ts"] % 97)
        .process(Delayed(int(delay_ms)))
        .uid("delayed")
        .sink_to(FileSink.json_lines(out_dir))
        .uid("out")
    )
    env.execute("delayed")


main(*sys.argv[1:])
