"""Barrier alignment, by tables: what each event on a channel leads to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.checkpoint.alignment import Aligned, BarrierAlignment, Cancelled, Outcome
from streamlet.elements import Barrier, CancelBarrier


def outcome(written: Outcome) -> str:
    if isinstance(written, Aligned):
        return f"snapshot {written.barrier.checkpoint_id}"
    assert isinstance(written, Cancelled)
    return f"cancel {written.checkpoint_id}"


def play(channels: int, events: str) -> tuple[list[str], BarrierAlignment]:
    """`0b1`: barrier 1 on channel 0; `1c1`: its cancellation; `a1`: the coordinator's abort."""
    alignment = BarrierAlignment(channels)
    said: list[str] = []
    for event in events.split():
        if event.startswith("a"):
            outcomes = alignment.abort(int(event[1:]))
        elif "b" in event:
            channel, checkpoint_id = map(int, event.split("b"))
            assert not alignment.is_blocked(channel), "a blocked channel is not read"
            outcomes = alignment.on_barrier(channel, Barrier(checkpoint_id))
        else:
            outcomes = alignment.on_cancel(CancelBarrier(int(event.split("c")[1])))
        said += map(outcome, outcomes)
    return said, alignment


@pytest.mark.parametrize(
    ("channels", "events", "expected"),
    [
        pytest.param(1, "0b1 0b2", ["snapshot 1", "snapshot 2"], id="one channel, at once CP-10"),
        pytest.param(2, "0b1 1b1", ["snapshot 1"], id="the last channel aligns CP-10"),
        pytest.param(3, "2b1 0b1", [], id="not before the last CP-10"),
        pytest.param(2, "0b1 1b2 0b2", ["cancel 1", "snapshot 2"], id="a newer barrier CP-11"),
        pytest.param(2, "0b2 1b1 1b2", ["snapshot 2"], id="an older barrier is skipped CP-11"),
        pytest.param(2, "0b1 1b1 0b1", ["snapshot 1"], id="one that is done is skipped CP-11"),
        pytest.param(2, "0b1 1c1", ["cancel 1"], id="cancelled by a sender CP-12"),
        pytest.param(2, "0c1 1b1", ["cancel 1"], id="the barrier after a cancellation CP-12"),
        pytest.param(2, "0c1 1c1", ["cancel 1"], id="passed on once CP-12"),
        pytest.param(2, "0b2 1c1 1b2", ["snapshot 2"], id="cancellation of an older one"),
        pytest.param(2, "0b1 1c2 1b1 0b2 1b2", ["cancel 2"], id="cancellation of a newer one"),
        pytest.param(2, "0b1 a1 1b1", ["cancel 1"], id="aborted while aligning"),
        pytest.param(2, "a1 0b1 1b1", ["cancel 1"], id="aborted before its barrier CP-32"),
        pytest.param(2, "a1 0b2 1b2", ["snapshot 2"], id="aborted, and its barrier never comes"),
        pytest.param(2, "0b1 1b1 a1", ["snapshot 1"], id="aborted after the snapshot"),
        pytest.param(2, "a1 0c1 1c1 0b2 1b2", ["cancel 1", "snapshot 2"], id="both ways at once"),
    ],
)
def test_outcomes(channels: int, events: str, expected: list[str]) -> None:
    assert play(channels, events)[0] == expected


@pytest.mark.parametrize(
    ("events", "blocked"),
    [
        ("0b1", {0}),
        ("0b1 2b1", {0, 2}),
        ("0b1 1b1 2b1", set()),
        ("0b1 a1", set()),
        ("0b1 1b2", {1}),
    ],
)
def test_only_channels_behind_a_pending_barrier_are_blocked(events: str, blocked: set[int]) -> None:
    _, alignment = play(3, events)
    assert {channel for channel in range(3) if alignment.is_blocked(channel)} == blocked


@pytest.mark.slow
@given(st.data())
def test_whatever_the_order_each_checkpoint_is_snapshot_or_cancelled_once(
    data: st.DataObject,
) -> None:
    """Senders send barriers or cancellations in order; no channel stays blocked at the end."""
    channels = data.draw(st.integers(1, 4))
    queues = [
        [(checkpoint_id, data.draw(st.booleans())) for checkpoint_id in (1, 2, 3)]
        for _ in range(channels)
    ]
    alignment, said = BarrierAlignment(channels), list[str]()
    aborts = data.draw(st.lists(st.sampled_from([1, 2, 3]), unique=True).map(sorted))
    while any(queues):
        open_channels = [c for c in range(channels) if queues[c] and not alignment.is_blocked(c)]
        if aborts and (not open_channels or data.draw(st.booleans())):
            outcomes = alignment.abort(aborts.pop(0))
        else:
            assert open_channels, "nothing may be read and nothing is aborted: a deadlock"
            channel = data.draw(st.sampled_from(open_channels))
            checkpoint_id, is_whole = queues[channel].pop(0)
            if is_whole:
                outcomes = alignment.on_barrier(channel, Barrier(checkpoint_id))
            else:
                outcomes = alignment.on_cancel(CancelBarrier(checkpoint_id))
        said += map(outcome, outcomes)
    numbers = [int(line.split()[1]) for line in said]
    assert len(numbers) == len(set(numbers)), f"one checkpoint has two ends: {said}"
    assert not any(alignment.is_blocked(channel) for channel in range(channels))
    assert alignment.pending_id is None
