"""The status of a running job as text: one line for the job, one per operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlet.cli.tables import columns, count, duration, size

HEAD = ("operator", "par", "in", "out", "in/s", "lag", "busy", "late")
_END_OF_TIME = 2**62


def status_text(status: Mapping[str, Any], rates: Mapping[str, float] | None = None) -> str:
    """The whole status; `rates` are records in per second by uid, where they were measured."""
    rows = [operator_cells(operator, rates or {}) for operator in status["operators"]]
    return f"{job_line(status)}\n{columns(HEAD, rows)}"


def job_line(status: Mapping[str, Any]) -> str:
    """Name, state, age and checkpoints of the job."""
    parts = [f"{status['name']} ({status['id']})", str(status["state"]).lower()]
    parts.append(f"up {duration(status['uptime_ms'])}")
    if status["restarts"]:
        parts.append(restart_words(status))
    if status.get("commit_failure"):
        parts.append(f"a commit is being tried again {status['commit_failure']}")
    return ", ".join([*parts, checkpoint_words(status)])


def restart_words(status: Mapping[str, Any]) -> str:
    """How often the job was restarted, and why the last time."""
    times = "once" if status["restarts"] == 1 else f"{count(status['restarts'])} times"
    return f"restarted {times} (last: {status['last_failure']})"


def checkpoint_words(status: Mapping[str, Any]) -> str:
    """The last whole checkpoint, and how many failed."""
    last, failed = status["last_checkpoint"], status["checkpoints"]["failed"]
    words = "no checkpoint yet"
    if last is not None:
        took = duration(last["duration_ms"])
        words = f"checkpoint {last['id']} ({size(last['size_bytes'])} in {took})"
    return f"{words}, {failed} failed" if failed else words


def operator_cells(operator: Mapping[str, Any], rates: Mapping[str, float]) -> tuple[str, ...]:
    """One row under HEAD."""
    rate = rates.get(operator["uid"])
    return (
        str(operator["name"]),
        str(operator["parallelism"]),
        count(operator["records_in"]),
        count(operator["records_out"]),
        "-" if rate is None else f"{rate:,.0f}",
        lag_words(operator),
        f"{operator['busy']:.0%}",
        count(operator["late_dropped"]),
    )


def lag_words(operator: Mapping[str, Any]) -> str:
    """How far event time is behind the clock; "end" once no record can come any more."""
    watermark_ms = operator["watermark_ms"]
    if watermark_ms is not None and watermark_ms >= _END_OF_TIME:
        return "end"
    return duration(operator["watermark_lag_ms"])


def total_in(status: Mapping[str, Any]) -> int:
    """Records that entered the job: what those operators gave that take none themselves."""
    operators = status["operators"]
    given = sum(operator["records_out"] for operator in operators if not operator["records_in"])
    return int(given or (operators[0]["records_in"] if operators else 0))


def total_out(status: Mapping[str, Any]) -> int:
    """Records that reached the last operator's output, or its end if it is a sink."""
    operators = status["operators"]
    return int(operators[-1]["records_out"] or operators[-1]["records_in"]) if operators else 0
