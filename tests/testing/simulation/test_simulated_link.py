"""The way of messages: in order, and notices of checkpoints at their worst."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from streamlet.runtime.messages import CheckpointAborted, CheckpointComplete, InputEnded
from streamlet.testing.simulation import SimulatedLoop
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.link import SimulatedLink


def arriving(messages: list[Any], seed: int, *, loses_notices: bool) -> list[Any]:
    """What comes out of a link, in its order."""
    points, arrived = CrashPoints(), list[Any]()
    loop = SimulatedLoop(Random(seed), points)
    link = SimulatedLink(loop, Random(seed), points, arrived.append, loses_notices=loses_notices)

    async def send() -> None:
        for message in messages:
            link(message)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    try:
        loop.run_until_complete(send())
    finally:
        loop.close()
    return arrived


def test_messages_arrive_once_and_in_order() -> None:
    messages = [InputEnded((0, n)) for n in range(20)] + [CheckpointComplete(1)]
    for seed in range(5):
        assert arriving(messages, seed, loses_notices=False) == messages


def test_notices_are_lost_doubled_and_overtaken_by_newer_ones() -> None:
    """CP-30 to CP-33: the engine must do without each of them."""
    notices = [CheckpointComplete(n) for n in range(1, 11)] + [CheckpointAborted(11, 10)]
    counts: set[int] = set()
    is_overtaken = False
    for seed in range(20):
        ids = [notice.checkpoint_id for notice in arriving(notices, seed, loses_notices=True)]
        counts |= {ids.count(number) for number in range(1, 12)}
        is_overtaken |= ids != sorted(ids)
    assert counts == {0, 1, 2}
    assert is_overtaken


def test_other_messages_keep_their_order_among_lost_notices() -> None:
    ended = [InputEnded((0, n)) for n in range(10)]
    mixed = [message for n, one in enumerate(ended) for message in (one, CheckpointComplete(n + 1))]
    for seed in range(5):
        arrived = arriving(mixed, seed, loses_notices=True)
        assert [message for message in arrived if isinstance(message, InputEnded)] == ended
