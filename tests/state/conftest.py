"""One suite for every store: `open_log` makes a state log on the heap and on RocksDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from streamlet.functions import KeyedStateStore
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog, open_store
from streamlet.testing import ManualClock


@pytest.fixture(params=["heap", "rocksdb", "rocksdb, evicting"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., StateLog]]:
    """A function that opens one more empty log; the last form has room for next to nothing."""
    backend, _, is_evicting = request.param.partition(",")
    numbers, logs = count(), list[StateLog]()

    def open_one(key_groups: range = range(128)) -> StateLog:
        directory = tmp_path / str(next(numbers))
        store = open_store(backend, directory, 1_000 if is_evicting else 8 << 20)
        log = StateLog(store, key_groups, 128, "in operator 'counts' (subtask 1 of 1)")
        logs.append(log)
        return log

    yield open_one
    for log in logs:
        log.close()


@pytest.fixture
def log(open_log: Callable[..., StateLog]) -> StateLog:
    log: StateLog = open_log()
    log.key = "k1"
    return log


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000)


@pytest.fixture(params=["key", "window"])
def state(request: pytest.FixtureRequest, log: StateLog, clock: ManualClock) -> KeyedStateStore:
    """State of the key, and state of the key and a window: the same rules."""
    handles = KeyedStateHandles(log, clock)
    return handles if request.param == "key" else handles.namespaced((0, 10))


@pytest.fixture
def barrier(log: StateLog) -> Callable[[], None]:
    """Freezes, writes and retires, as a checkpoint does."""

    def take() -> None:
        generation = log.freeze()
        list(log.write(generation))
        log.retire(generation)
        log.settle()

    return take
