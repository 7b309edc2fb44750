"""Routers: every record to one subtask (or to all), in order per receiver."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from streamlet.elements import RowBatch
from streamlet.errors import FatalError
from streamlet.runtime.partition import (
    BroadcastRouter,
    CustomRouter,
    HashRouter,
    OneRouter,
    RebalanceRouter,
    Router,
    ShuffleRouter,
)
from streamlet.graph import Custom, Hash
from streamlet.selectors import key_selector
from streamlet.state.keys import canonical_key, key_group, key_group_range


def batch(size: int) -> RowBatch:
    return RowBatch(list(range(size)), [10 * value for value in range(size)])
