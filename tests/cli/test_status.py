"""The status of a job as text."""

from __future__ import annotations

from typing import Any

from streamlet.cli.status import (
    checkpoint_words,
    job_line,
    lag_words,
    status_text,
    total_in,
    total_out,
)


def test_one_line_for_the_job_and_one_per_operator(status: dict[str, Any]) -> None:
    job, head, source, sessions = status_text(status, {"ses": 1_500.4}).splitlines()
    assert job == "clicks (a1b2c3), running, up 1m 23s, checkpoint 7 (5.1 MB in 120ms)"
    assert head.split() == ["operator", "par", "in", "out", "in/s", "lag", "busy", "late"]
    assert source.split() == ["clicks", "2", "0", "12,000", "-", "4.2s", "25%", "0"]
    assert sessions.split()[2:5] == ["12,000", "340", "1,500"]


def test_restarts_and_failed_checkpoints_show(status: dict[str, Any]) -> None:
    status |= {"restarts": 2, "last_failure": "OSError: gone", "last_checkpoint": None}
    status |= {"checkpoints": {"completed": 0, "failed": 3}}
    assert "restarted 2 times (last: OSError: gone)" in job_line(status)
    assert checkpoint_words(status) == "no checkpoint yet, 3 failed"


def test_commit_that_is_tried_again_shows_with_its_error(status: dict[str, Any]) -> None:
    assert "commit" not in job_line({**status, "commit_failure": None})
    told = job_line({**status, "commit_failure": "in operator 'out': OSError: gone (try 2 of 11)"})
    assert "commit is being tried again in operator 'out': OSError: gone (try 2 of 11)" in told


def test_event_time_before_the_first_watermark_and_after_the_last(status: dict[str, Any]) -> None:
    operator = status["operators"][0]
    assert lag_words({**operator, "watermark_ms": None, "watermark_lag_ms": None}) == "-"
    assert lag_words({**operator, "watermark_ms": 2**63 - 1}) == "end"


def test_what_came_in_is_what_all_sources_gave(status: dict[str, Any]) -> None:
    source, sessions = status["operators"]
    assert (total_in(status), total_out(status)) == (12_000, 340)
    assert total_in({**status, "operators": [source, source, sessions]}) == 24_000
    sink = {**sessions, "records_out": 0}
    assert total_out({**status, "operators": [source, sink]}) == 12_000


def test_job_without_operators_yet_has_no_records(status: dict[str, Any]) -> None:
    empty = {**status, "operators": []}
    assert (total_in(empty), total_out(empty)) == (0, 0)
