"""A job whose function never comes back."""

import time
from typing import Any

from streamlet import StreamExecutionEnvironment


def hang(value: Any) -> Any:
    time.sleep(600)
    return value


env = StreamExecutionEnvironment.get_execution_environment()
values = env.from_collection(["hanging"])
values.print()  # the first to be served
values.map(hang).print()
env.execute("blocked")
