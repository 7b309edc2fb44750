"""docs/testing.md as its reader would type it: the files it names, run by pytest."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# Loaded before any session here: asyncio does not survive being imported twice.
import streamlet.testing.crash_fuzzing.crash_fuzz
import streamlet.testing.list_sink  # noqa: F401

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
PLUGIN = "streamlet.pytest_plugin"
FAILING = ("test_leak", "test_hasty")
"""The files whose tests are wrong on purpose."""


def files() -> dict[str, str]:
    """By name; blocks of one name are one file."""
    parts = defaultdict(list)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        name, content = block.split("\n", 1)
        parts[name.removeprefix("# ").removesuffix(".py")].append(content)
    return {name: "\n\n".join(contents) for name, contents in parts.items()}


def shown(name: str) -> list[str]:
    """The lines of the output that stands behind the file."""
    match = re.search(rf"```python\n# {name}\.py\n.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    return match[1].splitlines()


@pytest.fixture
def page(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("STREAMLET_HOME", str(pytester.path))
    pytester.makepyfile(**files())
    pytester.syspathinsert()
    return pytester


def run(page: pytest.Pytester, *names: str) -> pytest.RunResult:
    is_installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    plugin = [] if is_installed else ["-p", PLUGIN]
    tests = [f"{name}.py" for name in names]
    return page.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", *tests)


def test_what_the_page_says_is_right_passes(page: pytest.Pytester) -> None:
    names = [name for name in files() if name.startswith("test_") and name not in FAILING]
    done = run(page, *names)
    outcomes = done.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= 10
    assert _as_pattern(shown("test_crashes")[0]) in map(_as_pattern, done.outlines)


@pytest.mark.parametrize("name", FAILING)
def test_what_the_page_says_is_wrong_fails_with_the_text_it_shows(
    page: pytest.Pytester, name: str
) -> None:
    done = run(page, name)
    done.assert_outcomes(failed=1)
    printed = [_as_pattern(line) for line in done.outlines]
    assert [line for line in map(_as_pattern, shown(name)) if line not in printed] == []


def _as_pattern(line: str) -> str:
    """Numbers, records and crash points follow from the seeds, and from each step of the engine."""
    line = re.sub(r" (is killed|loses power) at .*#\d+$", " dies", line)
    line = re.sub(r"^(first differing output: sink '\w+': |   \+  where ).*", r"\1", line)
    return re.sub(r"\d+", "0", line).rstrip()
