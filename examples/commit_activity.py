"""Commits of each author in each week, from the history of a repository.

    git log --reverse --pretty='{"author": "%ae", "committed_at": %ct000}' > commits.jsonl
    streamlet run examples/commit_activity.py -- commits.jsonl OUT_DIR

History is not quite in order of time. A week is counted when commits a day newer have come; a
commit that is up to four weeks later than that still gives the week a new, corrected result: of
several results for one author and week the one with the most commits counts. What is older yet
is printed.
"""

import sys

from streamlet import (
    OutputTag,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSink, FileSource

LATE = OutputTag("late")


def main(commits_path: str, out_dir: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1d")
    commits = env.from_source(
        FileSource.json_lines(commits_path),
        strategy.with_timestamp_assigner("committed_at"),
        "commits",
    ).uid("commits")
    activity = (
        commits.key_by("author")
        .window(TumblingEventTimeWindows.of("7d"))
        .allowed_lateness("28d")
        .side_output_late_data(LATE)
        .agg(commits=agg.count(), last=agg.max("committed_at"))
        .name("activity")
        .uid("activity")
    )
    activity.sink_to(FileSink.json_lines(out_dir)).name("results").uid("results")
    activity.get_side_output(LATE).print("late").uid("late")
    env.execute("commit-activity")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
