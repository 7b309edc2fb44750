"""What README shows is what happens."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_pipeline_in_readme_prints_what_readme_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path))
    program, output = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.S).groups()  # type: ignore[union-attr]
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(output.splitlines())
