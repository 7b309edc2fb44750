"""A job whose source never gives its thread back: a socket on which nothing comes."""

import time
from typing import Any

from streamlet import StreamExecutionEnvironment
from streamlet.source import PartitionedSource, PartitionReader


class Silent(PartitionReader[str]):
    def __init__(self) -> None:
        self._polls = 0

    def poll(self, max_records: int) -> list[str]:
        self._polls += 1
        if self._polls == 1:
            return ["hanging"]
        time.sleep(600)
        return []

    def position(self) -> int:
        return self._polls


class SilentSource(PartitionedSource[str]):
    blocking = True

    def list_partitions(self) -> list[str]:
        return ["only"]

    def open_partition(self, name: str, position: Any | None) -> Silent:
        return Silent()


env = StreamExecutionEnvironment.get_execution_environment()
env.from_source(SilentSource()).print()
env.execute("blocked-poll")
