"""Requests of each client per hour, and bytes over two hours every half hour.

streamlet run windows.py -- ACCESS_LOG OUT_DIR
"""

import runpy
import sys
from pathlib import Path

from streamlet import (
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

EXAMPLE = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "click_sessions.py"))


def main(access_log: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s").with_timestamp_assigner(
        EXAMPLE["event_time"]
    )
    source = FileSource.text(access_log)
    clicks = (
        env.from_source(source, strategy, "access log")
        .uid("access-log")
        .process(EXAMPLE["parse"])
        .uid("parse")
        .key_by("client")
    )
    tumbling = clicks.window(TumblingEventTimeWindows.of("1h")).agg(hourly=agg.count())
    sliding = clicks.window(SlidingEventTimeWindows.of("2h", "30m")).agg(recent=agg.sum("bytes"))
    for name, results in (("tumbling", tumbling), ("sliding", sliding)):
        results.uid(name).sink_to(FileSink.json_lines(f"{out_dir}/{name}")).uid(f"{name}-out")
    env.execute("windows")


main(*sys.argv[1:])
