"""What an execution gives back: the result of one that ended, a client of one that runs."""

from __future__ import annotations

from streamlet.runtime.run import JobClient, JobResult

__all__ = ["JobClient", "JobResult"]
