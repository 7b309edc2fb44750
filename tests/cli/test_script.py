"""A job file runs as python would run it, and leaves no trace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamlet.cli.script import execute, load_file, load_module
from streamlet.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_script_sees_itself_as_main(tmp_path: Path) -> None:
    result = tmp_path / "result"
    write(tmp_path / "jobs" / "neighbour_of_job.py", "NAME = 'neighbour'")
    job = write(
        tmp_path / "jobs" / "job.py",
        "import sys, __main__, pickle, pathlib\n"
        "from neighbour_of_job import NAME\n"
        "class Click: pass\n"
        "assert __name__ == '__main__' and __main__.Click is Click\n"
        "assert type(pickle.loads(pickle.dumps(Click()))) is Click\n"
        "assert sys.path[0] == str(pathlib.Path(__file__).resolve().parent)\n"
        "pathlib.Path(sys.argv[1]).write_text(' '.join([__file__, NAME, *sys.argv[2:]]))\n",
    )
    execute(load_file(job), [str(result), "--flag"])
    assert result.read_text() == f"{job} neighbour --flag"


def test_sys_is_as_before_even_after_a_failure(tmp_path: Path) -> None:
    job = write(tmp_path / "job.py", "import sys\nsys.path.append('x')\nraise ValueError('no')\n")
    before = sys.modules["__main__"], list(sys.argv), list(sys.path)
    with pytest.raises(ValueError, match="no"):
        execute(load_file(job), ["a"])
    assert (sys.modules["__main__"], sys.argv, sys.path) == before


def test_module_and_package_are_found_from_the_directory(tmp_path: Path) -> None:
    result = tmp_path / "result"
    text = f"import pathlib\npathlib.Path({str(result)!r}).write_text(str(__package__))\n"
    write(tmp_path / "some_jobs" / "__init__.py", "")
    write(tmp_path / "some_jobs" / "clicks.py", text)
    write(tmp_path / "packaged_job" / "__init__.py", "")
    write(tmp_path / "packaged_job" / "__main__.py", text)
    execute(load_module("some_jobs.clicks", tmp_path), [])
    assert result.read_text() == "some_jobs"
    execute(load_module("packaged_job", tmp_path), [])
    assert result.read_text() == "packaged_job"
    for name in ("some_jobs", "packaged_job"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["no_such_module_here", "no_such.module", "sys", ".relative"])
def test_module_that_cannot_run_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="-m"):
        load_module(name, tmp_path)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.py"):
        load_file(tmp_path / "job.py")
    with pytest.raises(ConfigError, match="directory"):
        load_file(tmp_path)
