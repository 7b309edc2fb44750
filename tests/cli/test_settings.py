"""`streamlet config` shows every setting and who said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlet.cli.main import main
from streamlet.options import OPTIONS

Captured = pytest.CaptureFixture[str]


def test_every_setting_is_shown_with_its_origin(home: Path, capsys: Captured) -> None:
    (home / "streamlet.toml").write_text("execution.batch-size = 7")
    assert main(["config", "-p", "3", "-D", "state.backend.type=rocksdb"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["setting", "value", "from"]
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert set(rows) == set(OPTIONS)
    assert rows["parallelism.default"] == ["3", "-p"]
    assert rows["state.backend.type"] == ["rocksdb", "-D"]
    assert rows["execution.batch-size"] == ["7", str(home / "streamlet.toml")]
    assert rows["pipeline.max-parallelism"] == ["(unset)", "default"]
    assert rows["execution.checkpointing.dir"] == [str(home / "checkpoints"), "default"]


def test_json_gives_parsed_values(home: Path, capsys: Captured) -> None:
    assert main(["config", "--format", "json"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["execution.checkpointing.interval"] == {"value": 10_000, "origin": "default"}


def test_unknown_variable_is_mentioned_on_stderr(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLET_PARALLELISM", "2")
    assert main(["config"]) == 0
    assert "STREAMLET_PARALLELISM_DEFAULT" in capsys.readouterr().err


def test_unknown_key_is_a_usage_error(home: Path, capsys: Captured) -> None:
    assert main(["config", "-D", "parallelism.defualt=2"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'parallelism.default'" in captured.err
