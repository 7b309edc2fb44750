"""The real machine: what it hands out is fresh, and messages go at once."""

from __future__ import annotations

import pytest

from streamlet.runtime.machine import this_machine


def test_work_directories_and_names_are_never_the_same_twice() -> None:
    machine = this_machine()
    first, second = machine.make_work_directory("a"), machine.make_work_directory("b")
    assert first != second
    assert list(first.iterdir()) == []
    for directory in (first, second):
        machine.disk.remove(directory)
        assert not directory.exists()
    assert machine.make_token(4) != machine.make_token(4)
    assert len(machine.make_token(4)) == 8


def test_a_message_is_in_the_inbox_when_it_was_sent() -> None:
    inbox: list[str] = []
    this_machine().link(inbox.append)("message")
    assert inbox == ["message"]


def test_work_directory_that_is_gone_already_is_no_error() -> None:
    machine = this_machine()
    directory = machine.make_work_directory("a")
    directory.rmdir()
    machine.disk.remove(directory)
    assert not directory.exists()


def test_work_directory_of_a_dead_run_is_forgotten_and_of_an_unknown_one_is_no_error() -> None:
    machine = this_machine()
    directory = machine.make_work_directory("dead")
    (directory / "database").mkdir()
    for run_id in ("dead", "unknown"):
        machine.forget_work(run_id)
    assert not directory.exists()


def test_work_directory_that_somebody_else_made_is_refused() -> None:
    machine = this_machine()
    directory = machine.make_work_directory("taken")
    with pytest.raises(FileExistsError):
        machine.make_work_directory("taken")
    machine.disk.remove(directory)
