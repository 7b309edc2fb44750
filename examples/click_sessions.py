"""Sessions of each client of a web server: requests that are at most 30 minutes apart.

    streamlet run examples/click_sessions.py -- ACCESS_LOG OUT_DIR

ACCESS_LOG is in Apache's common or combined format, its lines out of order by up to a minute.
OUT_DIR gets one JSON object per session; `start` and `end` are epoch ms, and `end` is 30 minutes
after the last request: a session is over when so long nothing came.
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
    Window,
)
from streamlet.connectors.files import FileSink, FileSource

LINE = re.compile(r'(\S+) \S+ \S+ \[([^]]+)] "(?:[^"\\]|\\.)*" \d{3} (\d+|-)')
BROKEN = OutputTag("broken")


def event_time(line: str) -> int:
    """Epoch ms; a broken line gets 0, which does not move event time on."""
    match = LINE.match(line)
    return to_epoch_ms(match[2]) if match else 0


@lru_cache(1_000)  # a busy server writes the same second again and again
def to_epoch_ms(written: str) -> int:
    return int(datetime.strptime(written, "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1000


def parse(line: str, ctx: Any) -> Any:
    if match := LINE.match(line):
        yield {"client": match[1], "clicks": 1, "bytes": int(match[3].replace("-", "0"))}
    else:
        yield BROKEN, line


def add(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {**a, "clicks": a["clicks"] + b["clicks"], "bytes": a["bytes"] + b["bytes"]}


def with_bounds(client: str, window: Window, total: dict[str, Any]) -> dict[str, Any]:
    return {"client": client, "start": window.start, "end": window.end} | total


def main(access_log: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("60s")
    lines = env.from_source(
        FileSource.text(access_log), strategy.with_timestamp_assigner(event_time), "access log"
    ).uid("access-log")
    clicks = lines.process(parse).name("parse").uid("parse")
    sessions = (
        clicks.key_by("client")
        .window(EventTimeSessionWindows.with_gap("30m"))
        .reduce(add, with_bounds)
        .name("sessionize")
        .uid("sessionize")
    )
    sessions.sink_to(FileSink.json_lines(out_dir)).name("sessions").uid("sessions")
    clicks.get_side_output(BROKEN).print("broken line").uid("broken-lines")
    env.execute("click-sessions")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
