"""Tests of testing read no settings but their own, and import what they share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path
