"""start_end_duration.py with files as its sinks: what a kill may not double.

streamlet run durations.py -- EVENTS.jsonl OUT_DIR
"""

import runpy
import sys
from pathlib import Path

from streamlet import StreamExecutionEnvironment, WatermarkStrategy
from streamlet.connectors.files import FileSink, FileSource

EXAMPLE = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "start_end_duration.py"))


def main(path: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1m").with_timestamp_assigner("ts")
    durations = (
        env.from_source(FileSource.json_lines(path), strategy, "events")
        .uid("events")
        .key_by("task")
        .process(EXAMPLE["StartEndDuration"]())
        .uid("durations")
    )
    overdue = durations.get_side_output(EXAMPLE["OVERDUE"])
    durations.sink_to(FileSink.json_lines(f"{out_dir}/durations")).uid("durations-out")
    overdue.sink_to(FileSink.json_lines(f"{out_dir}/overdue")).uid("overdue-out")
    env.execute("durations")


main(*sys.argv[1:])
