"""The pytest plugin: `@pytest.mark.crash_fuzz` kills a test's jobs and expects what it expected.

    @pytest.mark.crash_fuzz(seeds=50)
    def test_counts_survive_crashes():
        env = StreamExecutionEnvironment.get_execution_environment()
        out = ListSink()
        count_clicks(env.from_collection(CLICKS)).sink_to(out)
        env.execute()
        assert sorted(out.values) == EXPECTED

The test runs twice without a crash, then once per seed with crashes, as by
`streamlet.testing.crash_fuzz`. `seeds` is how many, counted from 0, or a list of them. Fixtures are
set up once for all runs; `tmp_path` is a new directory for each. Nothing of the engine is imported
until such a test runs.
"""

from __future__ import annotations

import inspect
import secrets
import shutil
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

DEFAULT_SEEDS: Final = 50
MARKER: Final = "crash_fuzz"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that say which seeds run."""
    group = parser.getgroup("streamlet", "crash fuzzing of streamlet pipelines")
    group.addoption(
        "--crash-fuzz-seeds",
        type=int,
        metavar="N",
        help="run so many seeds, whatever the tests say",
    )
    group.addoption(
        "--crash-fuzz-seed",
        type=int,
        action="append",
        metavar="SEED",
        help="run this seed only, to repeat a failure; may be given several times",
    )
    group.addoption(
        "--crash-fuzz-fresh",
        action="store_true",
        help="draw new seeds in place of 0, 1, 2, ...; a failure names its own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(seeds={DEFAULT_SEEDS}, compares_output=True): run the test's streamlet jobs "
        "once per seed with crashes, and expect what holds without",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuses what would run without a crash, or could not be run again."""
    if item.get_closest_marker(MARKER) is None:
        return
    function = getattr(item, "obj", None)
    problem = ""
    if not isinstance(item, pytest.Function) or _is_unittest(item):
        problem = "goes with test functions and methods of plain classes, not with unittest's"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        problem = "needs a plain function: its jobs run on a simulated event loop of their own"
    elif hasattr(function, "hypothesis"):
        problem = "cannot be combined with @given: each decides how often the test runs"
    if problem:
        pytest.fail(f"{MARKER} {problem}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a marked test in place of pytest."""
    marker = pyfuncitem.get_closest_marker(MARKER)
    if marker is None:
        return None
    seeds, compares_output = _asked(marker, pyfuncitem.config)
    from streamlet.testing.crash_fuzzing.crash_fuzz import CrashFuzz
    from streamlet.testing.crash_fuzzing.failure import CannotFuzz, CrashFuzzFailure

    fuzz = CrashFuzz(_Body(pyfuncitem), compares_output=compares_output)
    text = ""
    try:
        fuzz.run(seeds)
    except CrashFuzzFailure as failure:
        command = f'pytest "{pyfuncitem.nodeid}" --crash-fuzz-seed={failure.seed}'
        text = f"{failure}\nrepeat it: {command}"
    except CannotFuzz as refusal:
        text = f"{MARKER}: {refusal}"
    finally:
        if fuzz.report.seeds:
            pyfuncitem.user_properties.append((MARKER, str(fuzz.report)))
    if text:
        pytest.fail(text, pytrace=False)
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each marked test; through reports, so that xdist's workers are heard too."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = {
        report.nodeid: text
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == MARKER
    }
    if lines:
        terminalreporter.section("crash fuzzing")
    for node_id, text in sorted(lines.items()):
        terminalreporter.write_line(f"{MARKER}: {node_id}: {text}")


class _Body:
    """The test function with its fixtures; `tmp_path` is another in every run."""

    def __init__(self, item: pytest.Function) -> None:
        names = inspect.signature(item.obj).parameters
        self._function: Callable[..., object] = item.obj
        self._arguments: dict[str, Any] = {
            name: value for name, value in item.funcargs.items() if name in names
        }
        self._directory: Path | None = self._arguments.get("tmp_path")
        self._runs = 0

    def __call__(self) -> None:
        self._runs += 1
        arguments = dict(self._arguments)
        if self._directory is not None:
            directory = arguments["tmp_path"] = self._directory / f"run-{self._runs}"
            directory.mkdir()
        try:
            self._function(**arguments)
        except pytest.fail.Exception as failed:  # which is no Exception
            raise AssertionError(str(failed)) from failed
        if self._directory is not None:
            shutil.rmtree(arguments["tmp_path"], ignore_errors=True)


def _asked(marker: pytest.Mark, config: pytest.Config) -> tuple[list[int], bool]:
    """Which seeds, and whether outputs are compared."""
    said = dict(zip(("seeds",), marker.args, strict=False)) | dict(marker.kwargs)
    seeds = said.pop("seeds", DEFAULT_SEEDS)
    compares_output = said.pop("compares_output", True)
    if said or len(marker.args) > 1 or not _are_seeds(seeds):
        pytest.fail(
            f"{MARKER} takes seeds=50 (how many) or seeds=[17, 23], and compares_output=False; "
            f"got {marker.args} {marker.kwargs}",
            pytrace=False,
        )
    if config.option.crash_fuzz_seed:
        return list(config.option.crash_fuzz_seed), compares_output
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if config.option.crash_fuzz_seeds is not None:
        chosen = list(range(config.option.crash_fuzz_seeds))
    if config.option.crash_fuzz_fresh:
        chosen = [secrets.randbelow(2**32) for _ in chosen]
    return chosen, compares_output


def _are_seeds(seeds: object) -> bool:
    if isinstance(seeds, Iterable):
        return all(type(seed) is int for seed in seeds)
    return type(seeds) is int and seeds > 0


def _is_unittest(item: pytest.Function) -> bool:
    return item.cls is not None and issubclass(item.cls, unittest.TestCase)
