"""What pipelines and their functions are tested with."""

from __future__ import annotations

from streamlet.testing.clock import ManualClock
from streamlet.testing.harness import HarnessSnapshot, OperatorHarness
from streamlet.testing.list_sink import ListSink
from streamlet.testing.modes import Outcome, run_in_five_modes
from streamlet.testing.script import At, ScriptedSource, Step, active, at, idle, watermark

__all__ = [
    "At",
    "HarnessSnapshot",
    "ListSink",
    "ManualClock",
    "OperatorHarness",
    "Outcome",
    "ScriptedSource",
    "Step",
    "active",
    "at",
    "idle",
    "run_in_five_modes",
    "watermark",
]
