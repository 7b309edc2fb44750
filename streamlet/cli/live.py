"""What a user sees while a job runs: a table that redraws itself, or now and then a plain line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from streamlet.cli.failures import say
from streamlet.cli.status import (
    HEAD,
    checkpoint_words,
    job_line,
    lag_words,
    operator_cells,
    total_in,
    total_out,
)
from streamlet.cli.tables import count
from streamlet.clock import Clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

REDRAW_S = 0.25
PLAIN_LINE_S = 5.0


class Progress(Protocol):
    """Shows each status a job reports."""

    def update(self, status: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


def progress_for(clock: Clock, *, is_plain: bool) -> Progress:
    """The live table on a terminal; plain lines where stderr is a pipe or the user wants them."""
    if is_plain or not sys.stderr.isatty():
        return PlainProgress(clock)
    from rich.console import Console

    return LiveProgress(clock, Console(stderr=True))


class Rates:
    """Records per second of each operator, between the two newest statuses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._measured_s = clock.monotonic_s()
        self._seen: dict[str, int] = {}

    def measure(self, status: Mapping[str, Any]) -> dict[str, float]:
        """By uid; empty at first, since one point makes no rate."""
        now_s = self._clock.monotonic_s()
        elapsed_s, self._measured_s = now_s - self._measured_s, now_s
        seen = {op["uid"]: op["records_in"] or op["records_out"] for op in status["operators"]}
        before, self._seen = self._seen, seen
        if elapsed_s <= 0:
            return {}
        return {
            uid: (records - before[uid]) / elapsed_s
            for uid, records in seen.items()
            if uid in before
        }


class PlainProgress:
    """One line every five seconds, for logs and pipes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_s = clock.monotonic_s() + PLAIN_LINE_S

    def update(self, status: Mapping[str, Any]) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + PLAIN_LINE_S
        say(plain_line(status))

    def close(self) -> None:
        """Nothing is held."""


def plain_line(status: Mapping[str, Any]) -> str:
    """The job in one line: what went in, what came out, how far event time is behind."""
    parts = [f"{status['name']}: {str(status['state']).lower()}"]
    parts.append(f"{count(total_in(status))} records in, {count(total_out(status))} out")
    if status["operators"]:
        parts.append(f"lag {lag_words(status['operators'][-1])}")
    return ", ".join([*parts, checkpoint_words(status)])


class LiveProgress:
    """A table on stderr with one line per operator, redrawn about four times a second."""

    def __init__(self, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._console = console
        self._rates = Rates(clock)
        self._next_s = clock.monotonic_s()
        self._live: Live | None = None

    def update(self, status: Mapping[str, Any]) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REDRAW_S
        if self._live is None:
            self._live = self._start()
        self._live.update(live_table(status, self._rates.measure(status)), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self) -> Live:
        from rich.live import Live

        # What the job prints goes above the table, but only when it would appear on the same
        # terminal: a piped stdout must get the job's output untouched.
        live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        live.start()
        return live


def live_table(status: Mapping[str, Any], rates: Mapping[str, float]) -> Table:
    """The status as a rich table."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=escape(job_line(status)), title_justify="left")
    for name in HEAD:
        table.add_column(name, justify="left" if name == "operator" else "right", no_wrap=True)
    for operator in status["operators"]:
        cells = operator_cells(operator, rates)
        table.add_row(*(escape(cell) for cell in cells))
    return table
