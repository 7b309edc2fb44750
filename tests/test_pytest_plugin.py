"""The pytest plugin in sessions of its own: what it runs, refuses, prints and leaves alone."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# Loaded before any session here: what a session imports first is forgotten after it, and asyncio
# does not survive being imported twice.
import streamlet.testing.crash_fuzzing.crash_fuzz
import streamlet.testing.list_sink  # noqa: F401

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PLUGIN = "streamlet.pytest_plugin"
HEAD = """
import asyncio
import pytest
from streamlet import *
from streamlet.testing import ListSink

CLICKS = [(f"u{n % 3}", n) for n in range(60)]

class Count(KeyedProcessFunction):
    def open(self, ctx):
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, value, ctx):
        self.count.update(self.count.value() + 1)
        yield ctx.get_current_key(), self.count.value()

class Wrong(KeyedProcessFunction):
    def __init__(self):
        self.counts = {}

    def process_element(self, value, ctx):
        self.counts[value[0]] = self.counts.get(value[0], 0) + 1
        yield value[0], self.counts[value[0]]

def count(function):
    env = StreamExecutionEnvironment.get_execution_environment()
    out = ListSink()
    env.from_collection(CLICKS).key_by(0).process(function).sink_to(out)
    env.execute()
    assert sorted(out.values) == sorted((f"u{u}", n) for u in range(3) for n in range(1, 21))
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(tests, *options)`: a session over these tests, with the plugin."""
    monkeypatch.setenv("STREAMLET_HOME", str(pytester.path))

    def run_tests(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=HEAD + tests)
        # Where the package is installed pytest has found the plugin by itself.
        is_installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
        plugin = [] if is_installed else ["-p", PLUGIN]
        return pytester.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", *options)

    return run_tests


@pytest.mark.slow
def test_a_right_test_passes_and_the_summary_counts_its_crashes(run: Run) -> None:
    done = run("@pytest.mark.crash_fuzz(seeds=5)\ndef test_count(): count(Count())")
    done.assert_outcomes(passed=1)
    line = r"crash_fuzz: test_it.py::test_count: 5 seeds, \d+ crashes at \d+ points, 0 divergences"
    done.stdout.re_match_lines([line])


@pytest.mark.slow
def test_a_failure_names_the_command_that_repeats_it(run: Run) -> None:
    tests = "@pytest.mark.crash_fuzz\ndef test_count(): count(Wrong())"
    failed = run(tests)
    failed.assert_outcomes(failed=1)
    # Under CI pytest's summary says all of it once more.
    (command,) = {line for line in failed.outlines if line.startswith("repeat it: ")}
    failed.stdout.fnmatch_lines(["first differing output: sink 'list': *", "  process 1: *"])
    failed.stdout.fnmatch_lines(["crash_fuzz: *, 1 divergence"])
    failed.stdout.no_fnmatch_line("*During handling*")
    option = command.split()[-1]
    repeated = run(tests, option)
    repeated.assert_outcomes(failed=1)
    repeated.stdout.fnmatch_lines([command, "crash_fuzz: *: 1 seed, *"])


@pytest.mark.slow
def test_options_say_how_many_seeds_and_which(run: Run) -> None:
    tests = "@pytest.mark.crash_fuzz(seeds=[3, 8])\ndef test_count(): count(Count())"
    run(tests).stdout.fnmatch_lines(["crash_fuzz: *: 2 seeds, *"])
    run(tests, "--crash-fuzz-seeds=4").stdout.fnmatch_lines(["crash_fuzz: *: 4 seeds, *"])
    run(tests, "--crash-fuzz-seed=17").stdout.fnmatch_lines(["crash_fuzz: *: 1 seed, *"])


@pytest.mark.slow
def test_fresh_seeds_are_others_each_time_and_a_failure_names_its_own(run: Run) -> None:
    tests = "@pytest.mark.crash_fuzz\ndef test_count(): count(Wrong())"
    named = [
        next(line for line in failed.outlines if line.startswith("repeat it: "))
        for failed in (run(tests, "--crash-fuzz-fresh") for _ in range(2))
    ]
    assert named[0] != named[1]


@pytest.mark.slow
def test_parameters_methods_and_fixtures_work_and_tmp_path_is_new_each_time(run: Run) -> None:
    run(
        """
        @pytest.fixture
        def function():
            return Count()

        class TestIt:
            @pytest.mark.crash_fuzz(seeds=2)
            @pytest.mark.parametrize("number", [1, 2])
            def test_count(self, function, number, tmp_path):
                assert list(tmp_path.iterdir()) == []
                (tmp_path / "file").touch()
                count(function)
        """.replace("\n        ", "\n")
    ).assert_outcomes(passed=2)


@pytest.mark.slow
def test_what_fails_without_crashes_looks_as_it_would_without_the_marker(run: Run) -> None:
    done = run(
        "@pytest.mark.crash_fuzz(seeds=2)\ndef test_it():\n    count(Count())\n    assert 1 == 2"
    )
    done.stdout.fnmatch_lines([">*assert 1 == 2", "E*assert 1 == 2"])
    done.stdout.no_fnmatch_line("crash_fuzz: *")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("async def test_it(): pass", "*needs a plain function*"),
        ("def test_it(): pass", "*the test ran no pipeline*"),
        (
            "def test_it():\n    asyncio.run(main())\n\nasync def main():\n    count(Count())",
            "*another loop is running*",
        ),
    ],
)
def test_a_test_that_cannot_be_crashed_is_told_why(run: Run, test: str, said: str) -> None:
    done = run(f"@pytest.mark.crash_fuzz\n{test}")
    assert done.ret == 1
    done.stdout.fnmatch_lines([said])


def test_unittest_and_hypothesis_are_refused_and_not_ignored(run: Run) -> None:
    done = run(
        """
        import unittest
        from hypothesis import given, strategies

        class TestIt(unittest.TestCase):
            @pytest.mark.crash_fuzz
            def test_it(self): pass

        @pytest.mark.crash_fuzz
        @given(strategies.integers())
        def test_given(number): pass
        """.replace("\n        ", "\n")
    )
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["*not with unittest's", "*cannot be combined with @given*"])


@pytest.mark.parametrize("arguments", ["seed=3", "seeds=0", "seeds='many'", "5, 6", "seeds=[1.5]"])
def test_wrong_arguments_are_refused(run: Run, arguments: str) -> None:
    done = run(f"@pytest.mark.crash_fuzz({arguments})\ndef test_it(): pass")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["crash_fuzz takes seeds=50 (how many) or seeds=[[]17, 23]*"])


def test_a_test_may_skip_itself(run: Run) -> None:
    run("@pytest.mark.crash_fuzz\ndef test_it(): pytest.skip('no')").assert_outcomes(skipped=1)


def test_pytest_fail_is_a_failure_as_any_other(run: Run) -> None:
    done = run("@pytest.mark.crash_fuzz\ndef test_it(): pytest.fail('this is why')")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*this is why*"])


def test_tests_without_the_marker_are_left_alone(run: Run) -> None:
    done = run("def test_it(tmp_path): assert not list(tmp_path.iterdir())")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*crash fuzzing*")


@pytest.mark.slow
def test_workers_of_xdist_report_to_the_summary(run: Run) -> None:
    done = run("@pytest.mark.crash_fuzz(seeds=2)\ndef test_it(): count(Count())", "-n", "1")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["crash_fuzz: test_it.py::test_it: 2 seeds, *"])


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["pytest11"].values()
    assert module == PLUGIN
    assert import_module(module).MARKER == "crash_fuzz"


@pytest.mark.slow
def test_the_plugin_imports_nothing_heavy() -> None:
    heavy = "('asyncio', 'pyarrow', 'msgspec', 'streamlet.api', 'streamlet.testing')"
    program = f"import sys, {PLUGIN}; print([m for m in {heavy} if m in sys.modules])"
    before = "import sys, pytest; sys.stdout.write(str('asyncio' in sys.modules))"
    alone = subprocess.run([sys.executable, "-c", before], capture_output=True, check=True)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == (b"['asyncio']" if alone.stdout == b"True" else b"[]")
