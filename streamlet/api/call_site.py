"""Where in the user's code a call to the API came from, and refusals that name the place."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import TracebackType

from streamlet.errors import GraphError, InternalError

_RUNS_JOBS = ("streamlet", "asyncio", "concurrent", "threading", "uvloop")
"""Packages whose frames stand between the line that executes a job and the function that failed."""


def call_site() -> str:
    """The nearest line on the stack that is not streamlet's own: "job.py:12"."""
    frame = sys._getframe(1)
    while _is_ours(frame.f_globals.get("__name__", "")):
        if frame.f_back is None:
            return "streamlet"
        frame = frame.f_back
    return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"


def refusal(method: str, problem: str) -> GraphError:
    """The error for a call that cannot work: `job.py:12: map() takes ...`."""
    return GraphError(f"{call_site()}: {method}() {problem}")


def drop_engine_frames(error: Exception) -> None:
    """Reduces the error's traceback to the user's own lines and the libraries they call.

    An InternalError is about the engine, and keeps its frames.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and not isinstance(one, InternalError):
        seen.add(id(one))
        one.__traceback__ = _reduced(one.__traceback__)
        one = one.__cause__ or one.__context__


def _reduced(traceback: TracebackType | None) -> TracebackType | None:
    kept = []
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _RUNS_JOBS:
            kept.append(traceback)
        traceback = traceback.tb_next
    reduced = None
    for part in reversed(kept):
        reduced = TracebackType(reduced, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return reduced


def _is_ours(module: str) -> bool:
    return module == "streamlet" or module.startswith("streamlet.")
