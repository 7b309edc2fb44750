"""Every event as it is, into a directory per kind: no state but positions and files.

streamlet run copied.py -- EVENTS.jsonl OUT_DIR
"""

import sys

from streamlet import StreamExecutionEnvironment
from streamlet.connectors.files import FileSink, FileSource


def main(path: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        env.from_source(FileSource.json_lines(path), None, "events")
        .uid("events")
        .sink_to(FileSink.json_lines(out_dir, partition_by="kind"))
        .uid("copies")
    )
    env.execute("copied")


main(*sys.argv[1:])
