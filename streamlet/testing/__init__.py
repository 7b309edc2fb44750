"""What pipelines and their functions are tested with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamlet.testing.clock import ManualClock
from streamlet.testing.harness import HarnessSnapshot, OperatorHarness
from streamlet.testing.list_sink import ListSink
from streamlet.testing.modes import Outcome, run_in_five_modes
from streamlet.testing.script import At, ScriptedSource, Step, active, at, idle, watermark

if TYPE_CHECKING:
    from streamlet.testing.bounded import StateCount, assert_state_bounded
    from streamlet.testing.crash_fuzzing import CrashFuzzReport, crash_fuzz
    from streamlet.testing.fuzz_failure import CrashFuzzFailure
    from streamlet.testing.triple import TripleRun, triple_run

_RUN_JOBS = {
    "bounded": ("StateCount", "assert_state_bounded"),
    "crash_fuzzing": ("CrashFuzzReport", "crash_fuzz"),
    "fuzz_failure": ("CrashFuzzFailure",),
    "triple": ("TripleRun", "triple_run"),
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
