"""Runs an example in a process of its own, as users do; or its `main` here, in three ways."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from streamlet.testing import TripleRun, triple_run
from tests.e2e.command import CommandLine, Result
from tests.e2e.golden import ROOT

RunExample = Callable[..., Result]
TripleRunExample = Callable[..., TripleRun]


@pytest.fixture
def run_example(tmp_path: Path) -> RunExample:
    """`run_example("word_count", "-p", 2, "--", path)`; it must succeed."""

    def run(name: str, *words: str | Path) -> Result:
        done = CommandLine(tmp_path)("run", ROOT / "examples" / f"{name}.py", *words)
        assert done.code == 0, done.err
        return done

    return run


@pytest.fixture
def triple_run_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TripleRunExample:
    """`triple_run_example("word_count", path)`: its `main` with these arguments; writes nothing."""
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path / "home"))

    def run(name: str, *arguments: str | Path) -> TripleRun:
        main = runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"]
        return triple_run(lambda env: main(*map(str, arguments)))

    return run
