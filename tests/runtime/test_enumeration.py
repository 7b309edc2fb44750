"""What a source's enumerator finds is handed out once (SRC-2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streamlet import StreamExecutionEnvironment
from streamlet.connectors.collection import SequenceSource
from streamlet.errors import FatalError
from streamlet.plan import ExecutionPlan
from streamlet.runtime.enumeration import Enumeration
from streamlet.runtime.recovery import Recovery
from streamlet.source import SplitEnumerator
from streamlet.testing import ListSink


class Forgetful(SplitEnumerator):
    """Finds the same splits whenever it is asked."""

    discovery_interval_ms = 10

    def discover(self) -> Sequence[str]:
        return ["a", "b"]


class ForgetfulSource(SequenceSource):
    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return Forgetful()


def plan() -> ExecutionPlan:
    env = StreamExecutionEnvironment()
    env.from_source(ForgetfulSource(1, 3)).name("numbers").sink_to(ListSink())
    return env.get_execution_plan()


def recovery(**splits: list[Any]) -> Recovery:
    planned = plan()
    uid = next(op.uid for op in planned.operators() if op.source is not None)
    return Recovery(planned, splits={uid: [[name, at] for name, at in splits.items()]})


def test_a_split_that_is_found_again_stops_the_job() -> None:
    """It was read twice if it was closed already, and an internal error if it was not."""
    enumeration = Enumeration(plan(), recovery())
    enumeration.discover(0)
    with pytest.raises(FatalError, match=r"'numbers' gave split 'a' again"):
        enumeration.discover(10)


def test_a_restored_split_that_is_found_again_stops_the_job() -> None:
    with pytest.raises(FatalError, match="gave split 'b' again"):
        Enumeration(plan(), recovery(b=[7])).discover(0)
