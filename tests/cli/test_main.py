"""The entry: version, usage, warnings, and readers that go away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import streamlet
from streamlet.cli.main import main

Captured = pytest.CaptureFixture[str]


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"streamlet {streamlet.__version__}\n"


def test_usage_errors_give_2_and_leave_stdout_empty(capsys: Captured) -> None:
    assert main([]) == 2
    assert main(["walk"]) == 2
    assert capsys.readouterr().out == ""


def test_warnings_of_the_engine_reach_stderr_once(home: Path, capsys: Captured) -> None:
    (home.parent / "job.py").write_text(
        "import logging\n"
        "logging.getLogger('streamlet.runtime').warning('slow: %s', 'disk')\n"
        "logging.getLogger('streamlet').info('quiet')\n"
    )
    main(["run", "job.py"])
    assert capsys.readouterr().err.splitlines()[0] == "warning: slow: disk"


@pytest.mark.slow
def test_reader_that_goes_away_is_no_failure(home: Path) -> None:
    program = "import sys; from streamlet.cli.main import main; sys.exit(main(['config']))"
    reader, writer = os.pipe()
    os.close(reader)
    root = str(Path(streamlet.__file__).parents[1])
    with os.fdopen(writer, "wb") as stdout:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, b"")
