"""A failure is told in few lines, and they are the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlet.cli.failures import MAX_LINES, exit_code, render
from streamlet.cli.script import execute, load_file
from streamlet.errors import (
    ConfigError,
    FatalError,
    GraphError,
    InternalError,
    RestoreError,
    TransientError,
    note_place,
)


def failure_of(tmp_path: Path, text: str) -> BaseException:
    job = tmp_path / "job.py"
    job.write_text(text)
    with pytest.raises(BaseException) as caught:
        execute(load_file(job), [])
    return caught.value


def test_user_error_shows_the_users_lines_only(tmp_path: Path) -> None:
    error = failure_of(
        tmp_path,
        "from pathlib import Path\n"
        "from streamlet.config import Configuration\n"
        "class Settings(dict):\n"
        "    def items(self):\n"
        "        return {}['user']\n"
        "Configuration(Path()).with_code(Settings())\n",
    )
    note_place(error, "in operator 'sessionize' (subtask 2 of 4), key 'u17'")
    lines = render(error).splitlines()
    assert sum("job.py" in line for line in lines) == 2
    assert not any("config.py" in line or "script.py" in line for line in lines)
    assert lines[-2] == "KeyError: 'user'"
    assert lines[-1] == "in operator 'sessionize' (subtask 2 of 4), key 'u17'"


def test_debug_shows_everything(tmp_path: Path) -> None:
    error = failure_of(tmp_path, "{}['user']\n")
    assert "script.py" in render(error, is_debug=True)
    assert "script.py" not in render(error)


def test_streamlet_error_is_its_message_the_users_line_and_the_place(tmp_path: Path) -> None:
    error = failure_of(tmp_path, "from streamlet.units import to_ms\n\nto_ms('soon')\n")
    note_place(error, "in operator 'x'")
    message, place, note = render(error).splitlines()
    assert message.startswith("error: 'soon'")
    assert place == "  at job.py:3: to_ms('soon')"
    assert note == "in operator 'x'"


def test_the_users_line_is_not_repeated(tmp_path: Path) -> None:
    error = failure_of(
        tmp_path,
        "from streamlet.errors import GraphError\nraise GraphError('job.py:2: no sink')\n",
    )
    assert render(error) == "error: job.py:2: no sink"


def test_nothing_is_longer_than_a_screen(tmp_path: Path) -> None:
    """Style 15: at most 15 lines."""
    deep = failure_of(tmp_path, "def f(n):\n    return f(n - 1) if n else {}['x']\nf(50)\n")
    long = ValueError("\n".join(str(n) for n in range(100)))
    for n in range(20):
        long.add_note(f"note {n}")
    for error in (deep, long, FatalError("a\n" * 40)):
        assert len(render(error).splitlines()) <= MAX_LINES
    assert render(deep).splitlines()[-1] == "KeyError: 'x'"


def test_syntax_error_points_at_the_place(tmp_path: Path) -> None:
    text = render(failure_of(tmp_path, "x = = 2\n"))
    assert "job.py" in text
    assert "^" in text
    assert text.splitlines()[-1].startswith("SyntaxError")


def test_lines_of_compiled_code_are_not_the_users(tmp_path: Path) -> None:
    text = "import pyarrow as pa\nb = pa.record_batch({'a': [1]})\nf = lambda: b['c']\nf()\n"
    lines = render(failure_of(tmp_path, text)).splitlines()
    assert not any(".pxi" in line for line in lines)
    assert "f = lambda: b['c']" in "\n".join(lines)


def test_cause_is_named() -> None:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    assert render(error).splitlines()[-1] == "caused by KeyError: 'inner'"


def test_group_of_one_is_that_one() -> None:
    group = BaseExceptionGroup("g", [ExceptionGroup("h", [ValueError("alone")])])
    assert render(group) == "ValueError: alone"


def test_bug_says_that_it_is_one() -> None:
    assert "bug" in render(InternalError("odd"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(""), 2),
        (GraphError(""), 2),
        (RestoreError(""), 3),
        (TransientError(""), 1),
        (FatalError(""), 1),
        (ValueError(""), 1),
    ],
)
def test_class_says_the_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code
