"""Where in the user's code a call to the API came from, and refusals that name the place."""

from __future__ import annotations

import sys
from pathlib import PurePath

from streamlet.errors import GraphError


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


def _is_ours(module: str) -> bool:
    return module == "streamlet" or module.startswith("streamlet.")
