"""Ctrl-C and SIGTERM: the first asks, the second kills."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_CAUGHT: Final = (signal.SIGINT, signal.SIGTERM)


def catch_first(ask: Callable[[], object]) -> Callable[[], None]:
    """Calls `ask` in the running loop at the first signal; gives what ends that again.

    Only in the main thread. The loop's own handlers wait for their turn in the loop: a function
    that blocks it would keep off the second signal too, and nothing but SIGKILL would end the
    job. These run between two steps of whatever Python does, and give the signals back at once.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _CAUGHT}

    def caught(number: int, frame: FrameType | None) -> None:
        for each in _CAUGHT:
            signal.signal(each, signal.SIG_DFL)
        loop.call_soon_threadsafe(ask)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    for number in _CAUGHT:
        signal.signal(number, caught)
    return restore
