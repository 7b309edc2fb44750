"""What a test is told when crashes changed its result."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from streamlet.errors import ConfigError
from streamlet.testing.simulation.fates import Fate

MESSAGE_LINES: Final = 5
_FUNCTION_SINK: Final = (
    "sink_to(function) is at least once: after a crash it gets records again;\n"
    "use a ListSink, a FileSink, or a Sink of your own with commit()"
)
_STATE: Final = (
    "what must survive a crash belongs into ctx.get_state(...) and its like, not into attributes,\n"
    "globals or files; a function's result must depend on its record and its state alone"
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """How a run with crashes differed from the run without."""

    seed: int
    schedules: list[list[Fate]]
    """Per job, what happened to its processes."""
    error: Exception | None
    """What the test raised, if it did."""
    difference: str | None
    """The first output that differs, if one does."""
    has_function_sink: bool


class CannotFuzz(ConfigError):
    """The test cannot be run with crashes as it is written; nothing is wrong with its jobs."""


class CrashFuzzFailure(AssertionError):
    """A test that passes without crashes fails with them; says how to repeat it."""

    def __init__(self, seed: int, divergence: Divergence) -> None:
        super().__init__("\n".join(_lines(divergence)))
        self.seed = seed
        self.divergence = divergence


def _lines(divergence: Divergence) -> Iterator[str]:
    error = divergence.error
    if error is None:
        yield f"seed {divergence.seed}: the output is another than without crashes"
    else:
        yield f"seed {divergence.seed}: the test fails, and without crashes it passes"
        yield from _shown(error)
    if divergence.difference is not None:
        yield f"first differing output: {divergence.difference}"
    yield "what happened, cut to what the failure needs:"
    yield from _processes(divergence.schedules)
    yield _FUNCTION_SINK if divergence.has_function_sink else _STATE


def _shown(error: Exception) -> Iterator[str]:
    """The error and where the test was, without the engine's frames."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "streamlet" not in PurePath(frame.filename).parts]
    place = f"{PurePath(own[-1].filename).name}:{own[-1].lineno}: " if own else ""
    text = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    lines = [line for line in text.splitlines() if line.strip()]
    yield f"  {place}{lines[0]}"
    yield from (f"  {line}" for line in lines[1:MESSAGE_LINES])


def _processes(schedules: list[list[Fate]]) -> Iterator[str]:
    for job, schedule in enumerate(schedules, 1):
        place = f"job {job}, " if len(schedules) > 1 else ""
        for number, fate in enumerate(schedule, 1):
            yield f"  {place}process {number}: {_fate(fate, number > 1)}"


def _fate(fate: Fate, is_resumed: bool) -> str:
    begins = "resumes, " if is_resumed else ""
    if fate.crash is None:
        return f"{begins}undisturbed"
    end = "is killed" if fate.has_power else "loses power"
    return f"{begins}{end} at {fate.crash}"
