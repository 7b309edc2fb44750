"""The pipeline of click_sessions.py over a directory of logs that never ends.

streamlet run followed_sessions.py -- LOG_DIRECTORY OUT_DIR
"""

import runpy
import sys
from pathlib import Path

from streamlet import EventTimeSessionWindows, StreamExecutionEnvironment, WatermarkStrategy
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

EXAMPLE = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "click_sessions.py"))


def main(logs: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s").with_timestamp_assigner(
        EXAMPLE["event_time"]
    )
    (
        env.from_source(FileSource.text(logs, follow=True), strategy, "logs")
        .uid("logs")
        .process(EXAMPLE["parse"])
        .uid("parse")
        .key_by("client")
        .window(EventTimeSessionWindows.with_gap("30m"))
        .agg(clicks=agg.count(), bytes=agg.sum("bytes"))
        .uid("sessionize")
        .sink_to(FileSink.json_lines(out_dir))
        .uid("sessions")
    )
    env.execute("followed-sessions")


main(*sys.argv[1:])
