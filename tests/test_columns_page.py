"""docs/columns.md as its reader would type it: programs and commands, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamlet.cli.main import main
from streamlet.cli.script import execute, load_file

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "columns.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"^```(?P<kind>python|sh)\n(?P<typed>.*?)^```$(?:\n\n```text\n(?P<shown>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


def run(kind: str, typed: str) -> None:
    if kind == "python":
        path = Path(typed.partition("\n")[0].removeprefix("# "))
        path.write_text(typed)
        execute(load_file(path), [])
        return
    program, *arguments = typed.split()
    assert program == "streamlet"
    assert main(arguments) == 0


def test_what_the_page_shows_is_what_happens(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    steps = list(STEP.finditer(PAGE))
    assert len(steps) == PAGE.count("```python") + PAGE.count("```sh")
    for step in steps:
        run(step["kind"], step["typed"])
        printed = capsys.readouterr().out
        assert printed == (step["shown"] or "")
