"""The log that `make demo` tries its job on is like a real one."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.golden import generated_log, sessions


def seconds_of(line: str) -> int:
    """Within its hour, and so within its burst."""
    minute, second = line.partition("[")[2].split()[0].split(":")[2:]
    return int(minute) * 60 + int(second)


def test_the_log_is_the_same_every_time(tmp_path: Path) -> None:
    first = generated_log(tmp_path / "1.log", 300).read_text()
    assert generated_log(tmp_path / "2.log", 300).read_text() == first
    assert len(first.splitlines()) == 300


def test_most_lines_are_out_of_order_and_visits_come_and_go(tmp_path: Path) -> None:
    lines = generated_log(tmp_path / "access.log", 1_200).read_text().splitlines()
    bursts = [list(map(seconds_of, lines[i : i + 120])) for i in range(0, 1_200, 120)]
    older = sum(second < max(burst[: i + 1]) for burst in bursts for i, second in enumerate(burst))
    assert 0.9 < older / len(lines) < 0.97
    assert all(max(burst) - min(burst) < 60 for burst in bursts)
    clients = {line.split()[0] for line in lines}
    assert len(clients) < sessions(lines).total() < len(lines)
