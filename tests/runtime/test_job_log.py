"""The log of a run on a disk that takes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from streamlet.runtime.job_log import open_log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_log_that_cannot_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every message once came with a traceback of the logging module's own on stderr."""
    log = tmp_path / "logs" / "job" / "run.log"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    close = open_log(tmp_path, "job", "run")
    for number in range(3):
        logging.getLogger("streamlet.job").info("message %d", number)
    close()
    assert capfd.readouterr().err == ""
    told = [record.getMessage() for record in caplog.records if "cannot be" in record.getMessage()]
    assert told == [f"the log cannot be written: {log}: No space left on device"]


def test_warnings_reach_stderr_of_a_program_without_logging(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script run by python once restarted again and again without a word."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger("streamlet"), "handlers", [])
    close = open_log(tmp_path, "job", "run")
    logging.getLogger("streamlet.job").warning("restarting")
    close()
    assert capfd.readouterr().err == "restarting\n"
    assert logging.getLogger("streamlet").handlers == []


def test_warnings_are_left_to_the_programs_own_logging(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    close = open_log(tmp_path, "job", "run")
    logging.getLogger("streamlet.job").warning("restarting")
    close()
    assert capfd.readouterr().err == ""
    assert caplog.messages == ["restarting"]
