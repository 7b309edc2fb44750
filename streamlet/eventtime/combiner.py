"""One watermark out of many channels: the least of those that are not idle."""

from __future__ import annotations

from typing import TypeAlias

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, StreamStatus, Watermark

EventTimeElement: TypeAlias = Watermark | StreamStatus
"""What says how event time stands."""


class WatermarkCombiner:
    """Combines the watermarks and statuses of an operator's input channels (WM-10 .. WM-15).

    Each call gives what goes on to the operator, in order. A channel is *aligned* while it may
    hold back the output: one that comes back from idleness behind the output may not, until it
    has caught up.
    """

    __slots__ = ("_aligned", "_idle", "_is_idle", "_last_ms", "_watermarks")

    def __init__(self, channel_count: int) -> None:
        self._watermarks = [MIN_TIMESTAMP] * channel_count
        self._idle = [False] * channel_count
        self._aligned = [True] * channel_count
        self._last_ms = MIN_TIMESTAMP
        self._is_idle = False

    def on_watermark(self, channel: int, watermark_ms: int) -> list[EventTimeElement]:
        """A watermark came; ignored on an idle channel and when it does not grow (WM-11)."""
        if self._idle[channel] or watermark_ms <= self._watermarks[channel]:
            return []
        self._watermarks[channel] = watermark_ms
        if watermark_ms >= self._last_ms:
            self._aligned[channel] = True
        return self._advance()

    def on_status(self, channel: int, is_idle: bool) -> list[EventTimeElement]:
        """The channel became idle or active; nothing happens if it was so before."""
        if self._idle[channel] == is_idle:
            return []
        self._idle[channel] = is_idle
        return self._on_idle(channel) if is_idle else self._on_active(channel)

    def on_end(self, channel: int) -> list[EventTimeElement]:
        """The channel has reached the end of event time: it never holds back the others again."""
        return [*self.on_status(channel, False), *self.on_watermark(channel, MAX_TIMESTAMP)]

    def _on_idle(self, channel: int) -> list[EventTimeElement]:
        self._aligned[channel] = False
        held_back = self._watermarks[channel] == self._last_ms
        if not all(self._idle):
            return self._advance() if held_back else []  # WM-12
        self._is_idle = True
        # WM-13: nobody is left to wait for, so what any channel had reached holds for all.
        flushed = self._emit(max(self._watermarks)) if held_back else []
        return [*flushed, StreamStatus(is_idle=True)]

    def _on_active(self, channel: int) -> list[EventTimeElement]:
        if self._watermarks[channel] >= self._last_ms:  # WM-14
            self._aligned[channel] = True
        if not self._is_idle:
            return []
        self._is_idle = False
        return [StreamStatus(is_idle=False)]

    def _advance(self) -> list[EventTimeElement]:
        """The least watermark over the aligned channels, if there is any (WM-10, WM-15)."""
        aligned = [
            watermark_ms
            for watermark_ms, is_aligned in zip(self._watermarks, self._aligned, strict=True)
            if is_aligned
        ]
        return self._emit(min(aligned)) if aligned else []

    def _emit(self, watermark_ms: int) -> list[EventTimeElement]:
        if watermark_ms <= self._last_ms:
            return []
        self._last_ms = watermark_ms
        return [Watermark(watermark_ms)]
