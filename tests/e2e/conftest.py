"""What every end-to-end test needs: a command line with a home of its own, a log, its answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.command import CommandLine
from tests.e2e.followed import Logs
from tests.e2e.golden import Rows, access_log, sessions


@pytest.fixture
def streamlet(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return access_log(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def golden(log: Path) -> Rows:
    return sessions(log.read_text().splitlines())


@pytest.fixture
def logs(tmp_path: Path, log: Path) -> Logs:
    return Logs(tmp_path / "logs", log)
