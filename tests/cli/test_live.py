"""What a user sees while a job runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from streamlet.cli.live import LiveProgress, PlainProgress, Rates, progress_for


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ms(self) -> int:
        return int(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s


def advanced(status: dict[str, Any], records: int) -> dict[str, Any]:
    """The status after the source gave so many more records."""
    source, *others = status["operators"]
    source = {**source, "records_out": source["records_out"] + records}
    return {**status, "operators": [source, *others]}


def test_rate_is_measured_between_two_statuses(status: dict[str, Any]) -> None:
    clock = Watch()
    rates = Rates(clock)
    assert rates.measure(status) == {}
    clock.now_s += 2
    assert rates.measure(advanced(status, 500)) == {"src": 250.0, "ses": 0.0}
    clock.now_s += 1
    assert rates.measure(advanced(status, 500))["src"] == 0.0


def test_plain_lines_come_every_five_seconds(
    status: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Watch()
    progress = PlainProgress(clock)
    for _ in range(44):
        clock.now_s += 0.25
        progress.update(status)
    progress.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err.splitlines()
        == ["clicks: running, 12,000 records in, 340 out, lag 4.2s, checkpoint 7 (5.1 MB in 120ms)"]
        * 2
    )


def test_plain_lines_where_stderr_is_no_terminal_or_the_user_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(progress_for(Watch(), is_plain=False), PlainProgress)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(progress_for(Watch(), is_plain=True), PlainProgress)
    assert isinstance(progress_for(Watch(), is_plain=False), LiveProgress)


@pytest.fixture
def terminal() -> Callable[[], tuple[LiveProgress, Watch, io.StringIO]]:
    def make() -> tuple[LiveProgress, Watch, io.StringIO]:
        screen, clock = io.StringIO(), Watch()
        console = Console(file=screen, force_terminal=True, width=120)
        return LiveProgress(clock, console), clock, screen

    return make


def test_live_view_has_a_line_per_operator_and_is_redrawn_four_times_a_second(
    status: dict[str, Any], terminal: Callable[[], tuple[LiveProgress, Watch, io.StringIO]]
) -> None:
    progress, clock, screen = terminal()
    for _ in range(10):
        progress.update(status)
        clock.now_s += 0.1
    progress.close()
    text = screen.getvalue()
    assert text.count("sessionize") == 4 + 1  # the end draws once more, and takes it away
    assert "12,000" in text


def test_names_are_never_taken_for_markup(
    status: dict[str, Any], terminal: Callable[[], tuple[LiveProgress, Watch, io.StringIO]]
) -> None:
    progress, _, screen = terminal()
    status["operators"][0]["name"] = "[bold]odd[/bold]"
    progress.update(status)
    progress.close()
    assert "[bold]odd[/bold]" in screen.getvalue()


def test_view_that_never_drew_closes(
    terminal: Callable[[], tuple[LiveProgress, Watch, io.StringIO]],
) -> None:
    progress, _, screen = terminal()
    progress.close()
    assert screen.getvalue() == ""
