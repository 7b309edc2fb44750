"""What may be typed, and what it comes to."""

from __future__ import annotations

import pytest

from streamlet.cli.arguments import command_line_settings, parse, split_at_dashes
from streamlet.config import Setting
from streamlet.errors import ConfigError


def test_run_takes_its_options_and_the_jobs_arguments() -> None:
    words = [
        "run",
        "job.py",
        "-s",
        "sp/1",
        "-p",
        "4",
        "-D",
        "a=b",
        "-D",
        "c=d=e",
        "--plain",
        "--",
        "in.jsonl",
        "-x",
        "--",
    ]
    arguments = parse(words, "1")
    assert (arguments.command, arguments.job, arguments.module) == ("run", "job.py", None)
    assert (arguments.savepoint, arguments.resume, arguments.plain) == ("sp/1", False, True)
    assert arguments.job_arguments == ["in.jsonl", "-x", "--"]
    assert command_line_settings(arguments) == {
        "a": Setting("b", "-D"),
        "c": Setting("d=e", "-D"),
        "parallelism.default": Setting(4, "-p"),
        "execution.state-recovery.path": Setting("sp/1", "-s"),
    }


def test_run_takes_a_module() -> None:
    arguments = parse(["run", "-m", "jobs.clicks", "--resume"], "1")
    assert (arguments.job, arguments.module, arguments.resume) == (None, "jobs.clicks", True)


def test_dropping_state_is_a_setting_too() -> None:
    arguments = parse(["run", "job.py", "--allow-non-restored-state"], "1")
    (setting,) = command_line_settings(arguments).values()
    assert setting.written is True


@pytest.mark.parametrize(
    "line",
    [
        "",
        "walk job.py",
        "run job.py -s sp --resume",
        "run job.py --keep-later-output --discard-later-output",
        "run job.py -p many",
        "status",
        "list --format mermaid",
    ],
)
def test_what_cannot_be_understood_exits_with_2(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(line.split(), "1")
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "line",
    [
        "list",
        "status clicks --watch",
        "logs clicks -f",
        "savepoint clicks out",
        "stop clicks --drain --savepoint-dir out",
        "cancel clicks",
        "plan job.py",
        "config -D a=b",
    ],
)
def test_every_command_prints_json_on_demand(line: str) -> None:
    assert parse([*line.split(), "--format", "json"], "1").format == "json"


def test_assignment_without_equals_is_refused() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        command_line_settings(parse(["run", "job.py", "-D", "parallelism.default"], "1"))


def test_only_the_first_dashes_divide() -> None:
    assert split_at_dashes(["run", "--", "a", "--", "b"]) == (["run"], ["a", "--", "b"])
    assert split_at_dashes(["run"]) == (["run"], [])


def test_restore_plan_takes_options_between_savepoint_and_job() -> None:
    """The job file was once "unrecognized" behind an option."""
    arguments = parse(["restore-plan", "sp/1", "--map", "a=b", "job.py", "--", "in"], "1")
    assert (arguments.savepoint, arguments.job, arguments.uid_map) == ("sp/1", "job.py", ["a=b"])


def test_job_arguments_without_dashes_are_told_where_they_belong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["run", "job.py", "in.jsonl", "out"], "1")
    assert end.value.code == 2
    assert "follows `--`, as in: JOB.py -- in.jsonl out" in capsys.readouterr().err
