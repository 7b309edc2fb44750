"""House rules a linter cannot say."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamlet
from streamlet.options import OPTIONS

ROOT = Path(__file__).parents[1]
EXAMPLES = Path(__file__).parents[1] / "examples"
PACKAGE = ROOT / "streamlet"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400
FORBIDDEN_NAMES = {
    *("util", "utils", "helper", "helpers", "manager", "handler", "common", "core"),
    *("base", "misc", "internals", "data", "info", "obj"),
}
# Written in two halves, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(
    "|".join(("/ho" + "me/[a-z]", "/wo" + "rk/", "/Us" + "ers/", "/t" + "mp/"))
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cfg", ".json", ""}
CODE_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked_files() -> list[Path]:
    """What git would keep: tracked files, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in files if path.suffix in TEXT_SUFFIXES and path.is_file()]


def code_blocks() -> Iterator[tuple[str, str]]:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, match in enumerate(CODE_BLOCK.finditer(page.read_text()), start=1):
            yield f"{relative(page)}:{number}", match[1]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_file_fits_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_file_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.split("\n\n")[0].rstrip().endswith(".")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_file_has_a_name_that_says_something(path: Path) -> None:
    words = {
        word for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")
    }
    assert not words & FORBIDDEN_NAMES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_is_left_to_do(path: Path) -> None:
    """No unfinished marks; an abstract method is declared with `...` or a docstring."""
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text())


def test_every_test_file_has_a_subject() -> None:
    """tests/ mirrors streamlet/: a test directory is named as a package is."""
    directories = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert directories - packages <= {"e2e", "examples", "proof", "__pycache__"}


def test_no_file_names_a_place_on_one_machine() -> None:
    found = {
        relative(path)
        for path in tracked_files()
        if MACHINE_PATHS.search(path.read_text(encoding="utf-8", errors="ignore"))
    }
    assert not found


def test_conf_lists_every_setting_with_its_default_and_changes_nothing() -> None:
    text = (ROOT / "conf" / "streamlet.toml").read_text()
    assert tomllib.loads(text) == {}
    lines = [line for line in text.splitlines() if re.match(r"#[a-z]", line)]
    assert [line[1:].split(" =")[0] for line in lines] == list(OPTIONS)
    for line, option in zip(lines, OPTIONS.values(), strict=True):
        written = tomllib.loads(f"value = {line.split(' = ')[1]}")["value"]
        if option.default is None:
            assert line.endswith("# unset")
        else:
            assert (option.name, written) == (option.name, option.default)


def test_conf_says_what_the_options_say() -> None:
    text = (ROOT / "conf" / "streamlet.toml").read_text()
    assert [option.name for option in OPTIONS.values() if f"# {option.comment}\n" not in text] == []


def test_version_is_the_packaged_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert streamlet.__version__ == project["version"]


def test_every_public_name_is_there() -> None:
    assert [name for name in streamlet.__all__ if getattr(streamlet, name, None) is None] == []


def test_pinned_requirements_cover_what_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {
        line.split("==")[0]
        for line in (ROOT / "requirements-dev.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    needed = {re.match(r"[\w-]+", requirement) for requirement in project["dependencies"]}
    assert {match[0] for match in needed if match} <= pins


def test_documented_python_compiles() -> None:
    broken = []
    for place, code in code_blocks():
        try:
            compile(code, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            broken.append(f"{place}: {error}")
    assert not broken


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_fits_one_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
