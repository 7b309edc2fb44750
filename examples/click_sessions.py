"""Sessions of each client of a web server's access log: requests at most 30 minutes apart.

    streamlet run examples/click_sessions.py -- ACCESS_LOG OUT_DIR

The log is in Apache's common or combined format; its lines may be out of order by up to a minute.
OUT_DIR gets one JSON object per session; its times are epoch ms, `end` is when the gap was over.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from streamlet import (
    EventTimeSessionWindows,
    OutputTag,
    ProcessFunction,
    StreamExecutionEnvironment,
    WatermarkStrategy,
    Window,
)
from streamlet import aggregates as agg
