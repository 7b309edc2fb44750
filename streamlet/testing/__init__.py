"""What pipelines and their functions are tested with.

| | |
| --- | --- |
| `script`, `list_sink`, `clock` | sources, a sink and a clock for tests |
| `harness` | one operator without a job: `OperatorHarness`, `run_in_five_modes` |
| `jobs` | a whole job in virtual time: `triple_run`, `assert_state_bounded` |
| `crash_fuzzing` | a test's jobs killed at seeded points: `crash_fuzz` and its marker |
| `connectors` | the rules of sources and sinks as tests for those who write one |
| `simulation` | the world that all of this runs in: its disk, its network, its processes |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamlet.testing.clock import ManualClock
from streamlet.testing.harness.five_modes import Outcome, run_in_five_modes
from streamlet.testing.harness.operator_harness import HarnessSnapshot, OperatorHarness
from streamlet.testing.list_sink import ListSink
from streamlet.testing.script import At, ScriptedSource, Step, active, at, idle, watermark

if TYPE_CHECKING:
    from streamlet.testing.crash_fuzzing.crash_fuzz import CrashFuzzReport, crash_fuzz
    from streamlet.testing.crash_fuzzing.failure import CrashFuzzFailure
    from streamlet.testing.jobs.bounded import StateCount, assert_state_bounded
    from streamlet.testing.jobs.triple import TripleRun, triple_run

_RUN_JOBS = {
    "crash_fuzzing.crash_fuzz": ("CrashFuzzReport", "crash_fuzz"),
    "crash_fuzzing.failure": ("CrashFuzzFailure",),
    "jobs.bounded": ("StateCount", "assert_state_bounded"),
    "jobs.triple": ("TripleRun", "triple_run"),
}
"""Names by the module they live in; what runs whole jobs is imported when it is first used."""

_MODULE_OF = {name: module for module, names in _RUN_JOBS.items() for name in names}

__all__ = [
    "At",
    "CrashFuzzFailure",
    "CrashFuzzReport",
    "HarnessSnapshot",
    "ListSink",
    "ManualClock",
    "OperatorHarness",
    "Outcome",
    "ScriptedSource",
    "StateCount",
    "Step",
    "TripleRun",
    "active",
    "assert_state_bounded",
    "at",
    "crash_fuzz",
    "idle",
    "run_in_five_modes",
    "triple_run",
    "watermark",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamlet.testing' has no attribute {name!r}")
    value = getattr(import_module(f"streamlet.testing.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
