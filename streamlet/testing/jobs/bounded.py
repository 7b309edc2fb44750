"""Asserts that state does not grow with the input: counted in savepoints along the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import OperatorEntry, read_manifest
from streamlet.checkpoint.row_files import merge_rows, read_state
from streamlet.errors import ConfigError
from streamlet.plan import PlannedOperator
from streamlet.sink import Sink
from streamlet.testing.jobs.captured import BuildJob
from streamlet.testing.jobs.gate import RecordGate
from streamlet.testing.jobs.stepped import Run, Runs, SteppedJob, runs_of
from streamlet.testing.list_sink import ListSink

PARTS: Final = 10
"""State is counted after each of so many parts of the input."""


class StateName(NamedTuple):
    """A state of an operator; timers are states of their own."""

    operator: str
    state: str


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many entries each state had after so many records."""

    records: int
    entries: Counter[StateName]


def assert_state_bounded(
    job: BuildJob, keys: int, *, entries_per_key: int = 1, ends_empty: bool = True
) -> list[StateCount]:
    """Runs the pipeline and counts its keyed state ten times on the way, and after the end.

    `job(env)` is as for `triple_run`; its input should have several times as many records as keys.
    `keys` is how many keys it has. An entry is a value, one key of a map, all that a list holds
    under one key, the contents of one window, or one timer. No state of any operator may ever
    hold more than `keys * entries_per_key` of them; a key with several open windows, timers or
    map keys needs more than one. After the end of the input, when MAX_TIMESTAMP has fired what
    was left, nothing may remain, unless `ends_empty` is False: running results keep an entry for
    each key for ever.

    Gives what was counted. Raises AssertionError that names the operator and the state, and what
    made the job fail.

    >>> job = lambda env: env.from_sequence(1, 100).key_by(lambda n: n % 5).reduce(max)
    >>> assert_state_bounded(job, keys=5, ends_empty=False)[-1].records
    100
    >>> assert_state_bounded(job, keys=3, ends_empty=False)
    Traceback (most recent call last):
    ...
    AssertionError: operator 'reduce', state 'reduced': 5 entries, expected at most 3 (3 keys)
      entries after so many records: 10: 5, 20: 5, 30: 5, 40: 5, 50: 5, 60: 5, 70: 5, ...
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this one
    counts = _counted(job)
    bound = keys * entries_per_key
    for name in sorted({name for count in counts for name in count.entries}):
        curve = [(count.records, count.entries[name]) for count in counts]
        most = max(entries for _, entries in curve[:-1])
        if most > bound:
            per_key = "" if entries_per_key == 1 else f", {entries_per_key} entries for each"
            what = f"{most} entries, expected at most {bound} ({keys} keys{per_key})"
            raise AssertionError(_grown(name, curve, what))
        if ends_empty and curve[-1][1]:
            what = f"{curve[-1][1]} entries are left after the end of the input, expected none"
            raise AssertionError(_grown(name, curve, what))
    return counts


def _counted(job: BuildJob) -> list[StateCount]:
    """The last one was counted after the end of the input."""
    counts: list[StateCount] = []
    with runs_of(job) as runs:
        total = _records_of(runs)
        gate = RecordGate(limit=0)

        def add(records: int, savepoint: str) -> None:
            counts.append(StateCount(records, entries_of(runs.disk, Path(savepoint))))

        async def count(stepped: SteppedJob) -> None:
            for records in sorted({-(-total * part // PARTS) for part in range(1, PARTS + 1)}):
                await stepped.read_up_to(records)
                add(records, await stepped.job.savepoint(None))
            gate.limit = total + 1  # what follows the last record, and not the end
            add(total, await stepped.job.stop(None, drain=True))

        runs.run(Run(gate, _listed), count)
    return counts


def _records_of(runs: Runs) -> int:
    """How many records the job reads."""
    gate = RecordGate()
    runs.run(Run(gate, _listed))
    if not gate.given:
        raise ConfigError("the job's sources gave no record; nothing can be said of its state")
    return gate.given


def _listed(operator: PlannedOperator, sink: Sink[Any]) -> Sink[Any]:
    """Nothing is written while state is counted."""
    return ListSink()


def entries_of(disk: Disk, savepoint: Path) -> Counter[StateName]:
    """How many entries of keyed state a savepoint holds."""
    operators = read_manifest(disk, savepoint).operators
    names = Counter(op.name for op in operators)
    entries: Counter[StateName] = Counter()
    for op in operators:
        name = op.name if names[op.name] == 1 else f"{op.name} (uid {op.uid})"
        entries.update(StateName(name, state) for state in _states(disk, savepoint, op))
    return entries


def _states(disk: Disk, savepoint: Path, operator: OperatorEntry) -> list[str]:
    """The state of each entry; those of the engine, such as timers, in words."""
    files = [scoped for subtask in operator.subtasks for scoped in subtask]
    rows = merge_rows(read_state(disk, savepoint, files, range(operator.max_parallelism)))
    return [
        name[1:].replace("_", " ") if name.startswith("_") else name
        for name in rows["state"].to_pylist()
    ]


def _grown(name: StateName, curve: list[tuple[int, int]], what: str) -> str:
    shown = ", ".join(f"{records}: {entries}" for records, entries in curve[:-1])
    return (
        f"operator {name.operator!r}, state {name.state!r}: {what}\n"
        f"  entries after so many records: {shown}\n"
        f"  entries after the end: {curve[-1][1]}\n"
        "clear() what is over, delete timers that are not needed, or give state a ttl; if so much\n"
        "is right, say entries_per_key=... or ends_empty=False"
    )
