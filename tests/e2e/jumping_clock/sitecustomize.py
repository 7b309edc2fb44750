"""Python runs this when it starts: its wall clock is off by what a file says, in milliseconds."""

import os
import time
from pathlib import Path

_OFFSET = Path(os.environ["CLOCK_OFFSET_FILE"])
_true_time_ns = time.time_ns


def _time_ns() -> int:
    return _true_time_ns() + int(_OFFSET.read_text()) * 1_000_000


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1_000_000_000
