"""The pipeline of click_sessions.py into hundreds of files per checkpoint: commits that last.

streamlet run partitioned_sessions.py -- ACCESS_LOG OUT_DIR
"""

import runpy
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

from streamlet import EventTimeSessionWindows, StreamExecutionEnvironment, WatermarkStrategy
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

EXAMPLE = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "click_sessions.py"))


def partition(session: dict[str, Any]) -> int:
    return crc32(session["client"].encode()) % 1000


def main(access_log: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s").with_timestamp_assigner(
        EXAMPLE["event_time"]
    )
    (
        env.from_source(FileSource.text(access_log), strategy, "access log")
        .uid("access-log")
        .process(EXAMPLE["parse"])
        .uid("parse")
        .key_by("client")
        .window(EventTimeSessionWindows.with_gap("30m"))
        .agg(clicks=agg.count(), bytes=agg.sum("bytes"))
        .uid("sessionize")
        .sink_to(FileSink.json_lines(out_dir, partition_by=partition))
        .uid("sessions")
    )
    env.execute("partitioned-sessions")


main(*sys.argv[1:])
