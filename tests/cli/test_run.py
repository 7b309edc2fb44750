"""`run` and `plan` around a script; the engine is played by the script itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from streamlet.cli.main import main
from streamlet.cli.run import resume_command

Captured = pytest.CaptureFixture[str]
WriteJob = Callable[[str], str]

ENGINE = """
import sys
from types import SimpleNamespace
from streamlet.api.prepared import PlanOnly, current_run

run = current_run()

def execute(state="FINISHED", **changes):
    run.executions += 1
    run.may_resume = True
    if run.plan_only:
        plan = SimpleNamespace(to_text=lambda: "the plan", to_dict=lambda: {"plan": 1})
        raise PlanOnly(SimpleNamespace(plan=plan, savepoint=None, resume=False))
    result = dict(job_id="a1", state=state, duration_ms=4200, records_in=10_000, records_out=3,
                  last_checkpoint=2, savepoint_path=None, restarts=0)
    run.results.append(SimpleNamespace(**result | changes))
"""


@pytest.fixture
def write_job(home: Path) -> WriteJob:
    def write(text: str) -> str:
        (home.parent / "job.py").write_text(ENGINE + text)
        return "job.py"

    return write


def test_finished_job_is_summed_up_on_stderr(write_job: WriteJob, capsys: Captured) -> None:
    assert main(["run", write_job("execute()")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "job a1 finished in 4.2s; 10,000 records in, 3 out; last checkpoint 2\n"
    )


def test_script_gets_what_the_command_line_says(write_job: WriteJob, capsys: Captured) -> None:
    job = write_job(
        "recovery = 'execution.state-recovery'\n"
        "print(run.config['parallelism.default'], run.config[f'{recovery}.path'], run.resume,"
        " run.later_output, run.config[f'{recovery}.ignore-unclaimed-state'], run.plan_only,"
        " run.script, sys.argv[1:])\nexecute()"
    )
    assert main(["run", job, "-p", "3", "-s", "sp", "--keep-later-output", "--", "-x", "y"]) == 0
    assert capsys.readouterr().out == "3 sp False keep False False job.py ['-x', 'y']\n"
    allowed = ["--allow-non-restored-state", "--discard-later-output", "--resume"]
    assert main(["run", job, *allowed]) == 0
    assert capsys.readouterr().out == "1 None True discard True False job.py []\n"


def test_savepoint_named_in_code_wins_over_that_of_a_file(
    home: Path, write_job: WriteJob, capsys: Captured
) -> None:
    (home / "streamlet.toml").write_text('execution.state-recovery.path = "of-the-file"')
    job = write_job(
        "from streamlet import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment({'execution.state-recovery.path': 'of-the-code'})\n"
        "env.from_collection([1]).print()\nenv.execute()"
    )
    assert main(["run", job]) == 3
    assert "of-the-code" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["FINISHED"], 0),
        (["FINISHED", "FINISHED"], 0),
        (["FINISHED", "CANCELED"], 130),
        (["CANCELED"], 130),
        (["SUSPENDED"], 130),
    ],
)
def test_state_says_the_exit_code(write_job: WriteJob, states: list[str], code: int) -> None:
    assert main(["run", write_job(f"for state in {states}: execute(state)")]) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise ValueError('x')", 1),
        ("from streamlet.errors import GraphError\nraise GraphError('x')", 2),
        ("from streamlet.errors import RestoreError\nraise RestoreError('x')", 3),
        ("raise KeyboardInterrupt", 130),
        ("sys.exit(7)", 7),
        ("sys.exit()", 0),
        ("sys.exit('no input')", 1),
        ("= syntax", 1),
        ("", 2),
    ],
)
def test_how_the_script_ends_says_the_exit_code(
    write_job: WriteJob, capsys: Captured, text: str, code: int
) -> None:
    assert main(["run", write_job(text)]) == code
    assert main(["plan", write_job(text)]) == code
    assert capsys.readouterr().out == ""


def test_script_that_never_executes_is_told_so(write_job: WriteJob, capsys: Captured) -> None:
    assert main(["run", write_job("")]) == 2
    assert "never called execute" in capsys.readouterr().err


def test_interrupted_run_says_how_to_resume(write_job: WriteJob, capsys: Captured) -> None:
    words = ["run", write_job("execute('SUSPENDED')"), "-s", "sp", "-p", "2", "--", "a b"]
    assert main(words) == 130
    expected = "go on with: streamlet run --resume job.py -p 2 -- 'a b'"
    assert capsys.readouterr().err.splitlines()[-1] == expected


def test_resume_command_can_be_resumed_again() -> None:
    assert resume_command(["run", "--resume", "job.py"]) == "streamlet run --resume job.py"
    assert resume_command(["run", "-ssp", "-m", "x"]) == "streamlet run --resume -m x"


def test_resume_command_leaves_out_what_the_first_run_has_done() -> None:
    """A map is kept with the run until a checkpoint has the new uids."""
    words = ["run", "--map", "a=b", "-s", "sp", "--map=c=d", "job.py"]
    assert resume_command(words) == "streamlet run --resume job.py"


def test_map_says_which_uid_takes_over_which(write_job: WriteJob, capsys: Captured) -> None:
    job = write_job("print(run.uid_map)\nexecute()")
    assert main(["run", job, "-s", "sp", "--map", "a=b", "--map=c=d=e"]) == 0
    assert capsys.readouterr().out == "{'a': 'b', 'c': 'd=e'}\n"


@pytest.mark.parametrize("words", [["a"], ["=b"], ["a="], ["a=b", "--map", "a=c"]])
def test_map_of_another_form_is_a_usage_error(
    write_job: WriteJob, capsys: Captured, words: list[str]
) -> None:
    assert main(["run", write_job("execute()"), "--map", *words]) == 2
    assert "--map" in capsys.readouterr().err


def test_restore_plan_of_what_is_no_savepoint_says_so(
    home: Path, write_job: WriteJob, capsys: Captured
) -> None:
    """Also when the script would swallow the error."""
    job = write_job(
        "from streamlet import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection([1]).print()\n"
        "try:\n    env.execute()\nexcept Exception:\n    pass"
    )
    assert main(["restore-plan", "no-savepoint", job]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no checkpoint or savepoint in" in captured.err


@pytest.mark.parametrize("words", [["plan"], ["run", "--dry-run"]])
def test_plan_stops_the_script_at_its_first_execute(
    write_job: WriteJob, capsys: Captured, words: list[str]
) -> None:
    job = write_job("try:\n    execute()\nexcept Exception:\n    pass\nprint('went on')")
    assert main([*words, job]) == 0
    assert capsys.readouterr().out == "the plan\n"
    assert main([*words, job, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"plan": 1}


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "job.py", "-m", "jobs"],
        ["run", "no.py"],
        ["run", "job.py", "--format", "json"],
    ],
)
def test_what_cannot_be_run_is_a_usage_error(
    home: Path, capsys: Captured, words: list[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_debug_shows_whole_tracebacks(
    write_job: WriteJob, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job("raise ValueError('x')")
    main(["run", job])
    assert "cli/run.py" not in capsys.readouterr().err
    main(["run", job, "--debug"])
    assert "cli/run.py" in capsys.readouterr().err
    monkeypatch.setenv("STREAMLET_DEBUG", "1")
    main(["run", job])
    assert "cli/run.py" in capsys.readouterr().err


def test_interrupt_before_anything_ran_promises_nothing_to_resume(
    write_job: WriteJob, capsys: Captured
) -> None:
    assert main(["run", write_job("raise KeyboardInterrupt")]) == 130
    assert capsys.readouterr().err == ""
