"""What the command line prepares is seen inside the block, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamlet.api.prepared import PlanOnly, PreparedRun, current_run, prepared_run
from streamlet.config import Configuration


def a_run() -> PreparedRun:
    return PreparedRun(Configuration(Path("home")))


def test_run_is_current_inside_its_block_only() -> None:
    assert current_run() is None
    outer, inner = a_run(), a_run()
    with prepared_run(outer):
        assert current_run() is outer
        with prepared_run(inner):
            assert current_run() is inner
        assert current_run() is outer
    assert current_run() is None


def test_failing_script_leaves_no_run_behind() -> None:
    with pytest.raises(ValueError, match="x"), prepared_run(a_run()):
        raise ValueError("x")
    assert current_run() is None


def test_scripts_do_not_swallow_the_end_for_the_plan() -> None:
    request: Any = object()

    def careful_script() -> None:
        try:
            raise PlanOnly(request)
        except Exception:
            pytest.fail("swallowed")

    with pytest.raises(PlanOnly) as caught:
        careful_script()
    assert caught.value.request is request
