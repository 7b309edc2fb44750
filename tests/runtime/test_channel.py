"""Channels: in order, bounded, and read in turn unless they are blocked."""

from __future__ import annotations

import asyncio

from streamlet.elements import RowBatch, Watermark
from streamlet.runtime.channel import CAPACITY, Channel, InputGate


def test_full_channel_makes_its_sender_wait_until_there_is_room() -> None:
    async def run() -> None:
        channel = Channel()
        sent: list[int] = []

        async def send() -> None:
            for number in range(CAPACITY + 2):
                await channel.send(Watermark(number))
                sent.append(number)

        sending = asyncio.get_running_loop().create_task(send())
        await asyncio.sleep(0)
        assert len(sent) == len(channel) == CAPACITY
        assert channel.receive_nowait() == Watermark(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(sent) == CAPACITY + 1
        assert channel.receive_nowait() == Watermark(1)
        await sending
        rest = [channel.receive_nowait() for _ in range(len(channel))]
        assert rest == [Watermark(number) for number in range(2, CAPACITY + 2)]

    asyncio.run(run())


def test_receiver_is_woken_by_every_element() -> None:
    async def run() -> None:
        channel, woken = Channel(), list[int]()
        channel.on_element(lambda: woken.append(len(channel)))
        await channel.send(RowBatch([1]))
        await channel.send(Watermark(1))
        assert woken == [1, 2]

    asyncio.run(run())


def test_gate_reads_channels_in_turn_and_passes_over_blocked_ones() -> None:
    """CP-10: what is behind a barrier waits, and waits in order."""

    async def run() -> None:
        channels, blocked = [Channel() for _ in range(3)], {1}
        gate = InputGate(channels, blocked.__contains__)
        for number in range(2):
            for index, channel in enumerate(channels):
                await channel.send(Watermark(10 * index + number))
        order = []
        while (polled := gate.poll()) is not None:
            order.append(polled)
        assert order == [
            (0, Watermark(0)),
            (2, Watermark(20)),
            (0, Watermark(1)),
            (2, Watermark(21)),
        ]
        blocked.clear()
        assert [gate.poll(), gate.poll(), gate.poll()] == [
            (1, Watermark(10)),
            (1, Watermark(11)),
            None,
        ]

    asyncio.run(run())
