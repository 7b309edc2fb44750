"""click_sessions.py against sessions cut from each client's sorted clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamlet.testing import TripleRun
from tests.e2e.golden import generated_log, rows, sessions

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TripleRunExample = Callable[..., TripleRun]


def test_sessions_are_the_same_in_all_three_ways(
    triple_run_example: TripleRunExample, tmp_path: Path
) -> None:
    log = generated_log(tmp_path / "access.log", 1_200)
    with log.open("a") as broken:
        broken.write("no request\n")
    run = triple_run_example("click_sessions", log, tmp_path / "out")
    golden = sessions(log.read_text().splitlines()[:-1])
    assert rows(run.outputs["sessions"]) == golden
    assert run.outputs["broken-lines"] == ["no request"]
    assert run.checkpoints >= 3
