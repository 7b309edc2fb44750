"""Runs an example in a process of its own, as users do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.command import CommandLine, Result
from tests.e2e.golden import ROOT

RunExample = Callable[..., Result]


@pytest.fixture
def run_example(tmp_path: Path) -> RunExample:
    """`run_example("word_count", "-p", 2, "--", path)`; it must succeed."""

    def run(name: str, *words: str | Path) -> Result:
        done = CommandLine(tmp_path)("run", ROOT / "examples" / f"{name}.py", *words)
        assert done.code == 0, done.err
        return done

    return run
