"""The number of each request of a client, over all logs of a directory and over it again.

streamlet run running_counts.py -- LOG_DIRECTORY OUT_DIR
"""

import runpy
import sys
from pathlib import Path
from typing import Any

from streamlet import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    ValueStateDescriptor,
)
from streamlet.connectors.files import FileSink, FileSource

EXAMPLE = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "click_sessions.py"))


class Counted(KeyedProcessFunction[str, dict[str, Any], dict[str, Any]]):
    """A state that is lost or doubled gives a number twice, or leaves one out."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, click: dict[str, Any], ctx: Any, /) -> Any:
        self.count.update(self.count.value() + 1)
        yield {"client": click["client"], "n": self.count.value()}


def main(logs: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    first, second = (
        env.from_source(FileSource.text(logs), None, name).uid(name).process(EXAMPLE["parse"])
        for name in ("first", "second")
    )
    (
        first.uid("parse-first")
        .union(second.uid("parse-second"))
        .key_by("client")
        .process(Counted())
        .uid("counted")
        .sink_to(FileSink.json_lines(out_dir))
        .uid("counts")
    )
    env.execute("running-counts")


main(*sys.argv[1:])
