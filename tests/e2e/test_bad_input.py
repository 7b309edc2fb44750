"""What users get wrong: one short message that names cause and place, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "tests" / "e2e" / "jobs" / "bad_jobs.py"
QUICK = ["-D", "restart-strategy.exponential-delay.max-backoff=1ms"]
MAX_LINES = 15

FAILED, USAGE, NOT_RESTORED = 1, 2, 3

MISTAKES = [
    ("malformed_line", FAILED, ["broken.jsonl, line 3", '"user": "u3"', 'on_error="skip"']),
    ("missing_file", USAGE, ["'nowhere.jsonl'", "bad_jobs.py:"]),
    ("unhashable_key", FAILED, ["['a'] of type list", "key_by(tags)"]),
    ("missing_field", FAILED, ["no field 'usr'", "'user'", "key_by(usr)"]),
    ("negative_gap", USAGE, ["'-5m'", "longer than zero", "bad_jobs.py:"]),
    ("no_timestamps", FAILED, ["without a timestamp", "WatermarkStrategy"]),
    ("text_as_timestamp", FAILED, ["field 'user' gave 'u1'", "rows.jsonl"]),
    ("timer_without_key", FAILED, ["not keyed", "key_by(...)", "bad_jobs.py:"]),
    ("failing_function", FAILED, ["ZeroDivisionError", "bad_jobs.py", "operator 'map'", "'u1'"]),
    ("uid_taken_twice", USAGE, ["'same'", "bad_jobs.py:"]),
    ("no_sink", USAGE, ["no sink", "'map'", "bad_jobs.py:"]),
    ("never_executed", USAGE, ["never called execute", "bad_jobs.py"]),
    ("wrong_setting_in_code", USAGE, ["parallelism.defalt", "parallelism.default", "bad_jobs.py:"]),
]


@pytest.fixture(autouse=True)
def rows(streamlet: CommandLine) -> None:
    good = '{"user": "u1", "tags": ["a"], "ts": 1000}\n{"user": "u2", "tags": ["b"], "ts": 2000}\n'
    (streamlet.directory / "rows.jsonl").write_text(good)
    (streamlet.directory / "broken.jsonl").write_text(good + '{"user": "u3", "ts":\n')


@pytest.mark.parametrize(("mistake", "code", "said"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_in_a_job_is_told_in_a_few_lines(
    streamlet: CommandLine, mistake: str, code: int, said: list[str]
) -> None:
    done = streamlet("run", JOB, *QUICK, "--", mistake)
    assert done.code == code, done.err
    assert done.out == ""
    for part in said:
        assert part in done.err
    assert len(done.err.splitlines()) <= MAX_LINES, done.err
    assert str(ROOT / "streamlet") not in done.err, "shows lines of the engine"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "nowhere.py"], USAGE, "nowhere.py does not exist"),
        (["run", JOB, "-D", "execution.batchsize=3"], USAGE, "execution.batch-size"),
        (["run", JOB, "-D", "execution.batch-size=many"], USAGE, "'many'"),
        (["run", JOB, "--config", "nowhere.toml", "--", "no_sink"], USAGE, "nowhere.toml"),
        (["run", JOB, "--resume", "--", "malformed_line"], NOT_RESTORED, "nothing to resume"),
        (["run", JOB, "-s", "nowhere", "--", "malformed_line"], NOT_RESTORED, "nowhere"),
        (["status", "nothing"], USAGE, "no job 'nothing'"),
        (["run"], USAGE, "JOB.py"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_a_few_lines(
    streamlet: CommandLine, words: list[str], code: int, said: str
) -> None:
    done = streamlet(*words)
    assert done.code == code, done.err
    assert said in done.err
    assert len(done.err.splitlines()) <= MAX_LINES, done.err


def test_a_script_that_python_runs_is_reminded_to_execute(streamlet: CommandLine) -> None:
    """At its end python has forgotten which script it ran; the reminder must not."""
    done = subprocess.run(
        [sys.executable, JOB, "never_executed"],
        cwd=streamlet.directory,
        env={**os.environ, "STREAMLET_HOME": str(streamlet.home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "never executed; call env.execute()" in done.stderr


def test_what_cannot_be_resumed_is_not_offered(streamlet: CommandLine) -> None:
    without = ["-D", "execution.checkpointing.interval=off"]
    assert "--resume" in streamlet("run", JOB, *QUICK, "--", "failing_function").err
    assert "--resume" not in streamlet("run", JOB, *without, "--", "failing_function").err
