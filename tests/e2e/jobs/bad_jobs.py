"""Jobs that cannot work, one per mistake; the first argument says which."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from streamlet import (
    DataStream,
    EventTimeSessionWindows,
    ProcessFunction,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet.connectors.files import FileSource

env = StreamExecutionEnvironment.get_execution_environment()


def rows(path: str = "rows.jsonl", timestamps: str | None = None) -> DataStream[Any]:
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    if timestamps is None:
        return env.from_source(FileSource.json_lines(path))
    return env.from_source(
        FileSource.json_lines(path), strategy.with_timestamp_assigner(timestamps)
    )


def malformed_line() -> None:
    rows("broken.jsonl").print()
    env.execute()


def missing_file() -> None:
    rows("nowhere.jsonl").print()
    env.execute()


def unhashable_key() -> None:
    rows().key_by("tags").sum("ts").print()
    env.execute()


def missing_field() -> None:
    rows().key_by("usr").sum("ts").print()
    env.execute()


def negative_gap() -> None:
    rows().key_by("user").window(EventTimeSessionWindows.with_gap("-5m")).sum("ts").print()
    env.execute()


def no_timestamps() -> None:
    rows().key_by("user").window(TumblingEventTimeWindows.of("1m")).sum("ts").print()
    env.execute()


def text_as_timestamp() -> None:
    rows(timestamps="user").print()
    env.execute()


def timer_without_key() -> None:
    def remind(row: Any, ctx: ProcessFunction.Context) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(5)
        yield row

    rows().process(remind).print()
    env.execute()


def failing_function() -> None:
    rows().map(lambda row: 1 / (row["ts"] - 1000)).print()
    env.execute()


def uid_taken_twice() -> None:
    rows().map(str).uid("same").print().uid("same")
    env.execute()


def no_sink() -> None:
    rows().map(str)
    env.execute()


def never_executed() -> None:
    rows().print()


def wrong_setting_in_code() -> None:
    env.configure({"parallelism.defalt": 3})


mistake: Callable[[], None] = globals()[sys.argv[1]]
mistake()
