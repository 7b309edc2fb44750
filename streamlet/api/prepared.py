"""What the command line or a test prepares for a script's runs, and what they report back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from streamlet.config import Configuration

if TYPE_CHECKING:
    from streamlet.runtime.setup import JobRequest, JobResult

LaterOutput: TypeAlias = Literal["refuse", "keep", "discard"]
"""What to do with visible sink output that is newer than the checkpoint a job goes on from."""

JobStatus: TypeAlias = Mapping[str, Any]
"""The status of a running job, as its coordinator reports it."""


@dataclass(slots=True)
class PreparedRun:
    """How `get_execution_environment()` and `execute` behave in a script under `streamlet run`.

    The savepoint to start from, and whether state may be dropped, are settings of `config`.
    """

    config: Configuration
    resume: bool = False
    """Go on from the latest whole checkpoint of the job of that name."""
    uid_map: Mapping[str, str] = field(default_factory=dict)
    """Uid in the savepoint to uid in the pipeline, for operators whose uid has changed."""
    later_output: LaterOutput = "refuse"
    plan_only: bool = False
    """The first `execute` raises PlanOnly and runs nothing."""
    look: Callable[[JobRequest], Any] = lambda request: None
    """What PlanOnly is to bring: asked at that `execute`, while the script's classes are loaded."""
    on_progress: Callable[[JobStatus], None] | None = None
    """Called with each new status while a job runs."""
    script: str = ""
    """What the user named: a path, or a module."""
    runner: Callable[[JobRequest], JobResult] | None = None
    """Runs what an `execute` asks for, in place of this machine; None: nothing special."""
    executions: int = 0
    """How often the script called an `execute`; counted by the environment."""
    may_resume: bool = False
    """Whether the latest execution takes checkpoints that --resume would find."""
    results: list[JobResult] = field(default_factory=list)
    """What the script's executions gave, in order; filled by the environment."""


class PlanOnly(BaseException):
    """Ends a script at its first `execute`: only what it would run was asked for.

    Not an Exception, so that no `except Exception` of the script swallows it.
    """

    def __init__(self, request: JobRequest, seen: Any = None) -> None:
        super().__init__("only the plan was asked for")
        self.request = request
        self.seen = seen
        """What `PreparedRun.look` gave."""


_current: ContextVar[PreparedRun | None] = ContextVar("streamlet_prepared_run", default=None)


def current_run() -> PreparedRun | None:
    """The run the command line prepared; None in a script that was started as `python job.py`."""
    return _current.get()


@contextmanager
def prepared_run(run: PreparedRun) -> Iterator[PreparedRun]:
    """Makes `run` the one that environments made inside the block belong to."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)
