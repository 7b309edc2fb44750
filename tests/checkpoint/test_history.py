"""Which checkpoints led to a checkpoint, when attempts restart and savepoints lie in between."""

from __future__ import annotations

from streamlet.checkpoint.history import RunHistory


def test_checkpoints_of_one_attempt_are_one_span() -> None:
    history = RunHistory("a")
    history.begin_attempt([], 1)
    assert history.up_to(1) == [("a", 1, 1)]
    assert history.up_to(4) == [("a", 1, 4)]


def test_restart_past_checkpoints_that_never_were_goes_on_with_the_span() -> None:
    """A job that is restarted for ever has a manifest that does not grow."""
    history = RunHistory("a")
    history.begin_attempt([], 1)
    history.begin_attempt(history.up_to(4), 6)
    assert history.up_to(7) == [("a", 1, 7)]


def test_restart_past_a_savepoint_leaves_it_out() -> None:
    """SP-5: it may be restored, and then commits what the restarted attempt writes again."""
    history = RunHistory("a")
    history.begin_attempt([], 1)
    history.on_savepoint(5)
    history.begin_attempt(history.up_to(4), 6)
    assert history.up_to(7) == [("a", 1, 4), ("a", 6, 7)]


def test_restart_from_a_checkpoint_after_a_savepoint_keeps_it_in() -> None:
    history = RunHistory("a")
    history.begin_attempt([], 1)
    history.on_savepoint(5)
    history.begin_attempt(history.up_to(6), 8)
    assert history.up_to(9) == [("a", 1, 9)]


def test_run_goes_on_from_what_another_run_had() -> None:
    """Its own ids may begin below those: it may have another name, and other directories."""
    history = RunHistory("b")
    history.begin_attempt([("a", 1, 5)], 3)
    assert history.up_to(4) == [("a", 1, 5), ("b", 3, 4)]
