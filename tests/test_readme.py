"""What README shows is what happens."""

import re
from pathlib import Path
from textwrap import indent

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_pipeline_in_readme_prints_what_readme_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path))
    program, output = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.S).groups()  # type: ignore[union-attr]
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(output.splitlines())


def test_the_columns_in_readme_are_those_of_the_example() -> None:
    [fragment] = re.findall(r"```python\n(dear = .*?)```", README, re.S)
    assert indent(fragment, "    ") in (ROOT / "examples" / "dear_bids.py").read_text()


def test_the_plan_in_readme_is_the_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    pq.write_table(pa.table({"auction": [1], "price": [1], "ts": [1]}), "bids.parquet")
    shown = re.search(r"```sh\nstreamlet (plan .*?)\n```\n\n```text\n(.*?)```", README, re.S)
    assert shown is not None
    assert main(shown[1].split()) == 0
    assert capsys.readouterr().out == shown[2]
