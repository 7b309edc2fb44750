"""Sessions of each client of a web server: requests that are at most 30 minutes apart.

    streamlet run examples/click_sessions.py -- ACCESS_LOG OUT_DIR

ACCESS_LOG is in Apache's common or combined format, its lines out of order by up to a minute.
OUT_DIR gets one JSON object per session; times are epoch ms, and `window_end` is 30 minutes after
the last request: a session is over when so long nothing came.
"""

import re
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from streamlet import (
    EventTimeSessionWindows,
    OutputTag,
    StreamExecutionEnvironment,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

LINE = re.compile(r'(\S+) \S+ \S+ \[([^]]+)] "(?:[^"\\]|\\.)*" \d{3} (\d+|-)')
BROKEN = OutputTag("broken")


@lru_cache(1_000)  # a busy server writes the same second again and again
def to_epoch_ms(written: str) -> int:
    return int(datetime.strptime(written, "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1000


def event_time(line: str) -> int:
    match = LINE.match(line)
    return to_epoch_ms(match[2]) if match else 0  # 0 does not move event time on


def parse(line: str, ctx: Any) -> Any:
    if match := LINE.match(line):
        yield {"client": match[1], "bytes": int(match[3].replace("-", "0"))}
    else:
        yield BROKEN, line


def main(access_log: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s")
    strategy = strategy.with_timestamp_assigner(event_time)
    lines = env.from_source(FileSource.text(access_log), strategy, "access log").uid("access-log")
    clicks = lines.process(parse).name("parse").uid("parse")
    windows = clicks.key_by("client").window(EventTimeSessionWindows.with_gap("30m"))
    sessions = windows.agg(clicks=agg.count(), bytes=agg.sum("bytes")).uid("sessionize")
    sessions.sink_to(FileSink.json_lines(out_dir)).uid("sessions")
    clicks.get_side_output(BROKEN).print("broken line").uid("broken-lines")
    env.execute("click-sessions")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
