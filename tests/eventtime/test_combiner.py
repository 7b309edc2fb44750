"""The watermark of many channels: a table of traces, each line an input and what it gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, StreamStatus, Watermark
from streamlet.eventtime.combiner import WatermarkCombiner

IDLE, ACTIVE = StreamStatus(is_idle=True), StreamStatus(is_idle=False)


def wm(channel: Any, timestamp_ms: Any) -> Any:
    return "on_watermark", channel, timestamp_ms


def idle(channel: Any) -> Any:
    return "on_status", channel, True


def active(channel: Any) -> Any:
    return "on_status", channel, False


def end(channel: Any) -> Any:
    return ("on_end", channel)


TRACES: dict[str, Any] = {
    "WM-14 golden": (3, [
        (wm(0, 10), []), (wm(1, 7), []), (wm(2, 3), [3]),
        (idle(2), [7]), (active(2), []), (wm(2, 5), []), (wm(2, 9), []), (wm(1, 12), [9]),
    ]),
    "WM-10 one channel passes all": (1, [(wm(0, 0), [0]), (wm(0, 25), [25])]),
    "WM-10 nothing until every channel has delivered": (3, [
        (wm(0, 0), []), (wm(1, 0), []), (wm(2, 0), [0]),
        (wm(0, 12), []), (wm(2, 8), []), (wm(2, 10), []), (wm(1, 15), [10]), (wm(2, 17), [12]),
    ]),
    "WM-11 no watermark goes back": (1, [(wm(0, 25), [25]), (wm(0, 18), []), (wm(0, 25), [])]),
    "WM-11 idle channel's watermarks are ignored": (1, [
        (wm(0, 25), [25]), (idle(0), [IDLE]), (wm(0, 50), []),
        (active(0), [ACTIVE]), (wm(0, 50), [50]),
    ]),
    "WM-11 idle channel among others is ignored": (2, [
        (wm(0, 5), []), (wm(1, 9), [5]), (idle(0), [9]), (wm(0, 20), []), (wm(1, 12), [12]),
    ]),
    "status said twice changes nothing": (2, [
        (active(0), []), (idle(0), []), (idle(0), []), (idle(1), [IDLE]), (idle(1), []),
    ]),
    "WM-12 channel that did not hold back leaves nothing to recompute": (2, [
        (wm(0, 10), []), (wm(1, 5), [5]), (idle(0), []), (wm(1, 7), [7]),
    ]),
    "WM-12 channel that never delivered goes idle": (2, [(wm(0, 10), []), (idle(1), [10])]),
    "WM-13 last channel held back: all that was reached, then idle": (3, [
        (wm(0, 10), []), (wm(1, 5), []), (wm(2, 3), [3]),
        (idle(0), []), (idle(1), []), (idle(2), [10, IDLE]),
        (active(0), [ACTIVE]), (wm(0, 15), [15]), (active(1), []), (active(2), []),
    ]),
    "WM-13 last channel did not hold back: only idle": (2, [
        (wm(0, 10), []), (wm(1, 5), [5]), (idle(1), [10]), (active(1), []),
        (idle(0), []), (idle(1), [IDLE]),
    ]),
    "WM-13 last channel is behind the output: what others had reached stays unsaid": (3, [
        (wm(0, 10), []), (wm(1, 5), []), (wm(2, 3), [3]), (idle(2), [5]), (active(2), []),
        (idle(0), []), (idle(1), []), (idle(2), [IDLE]),
    ]),
    "WM-13 nothing was ever delivered: only idle": (2, [(idle(0), []), (idle(1), [IDLE])]),
    "WM-14 channel back at the output holds back again": (2, [
        (wm(0, 5), []), (wm(1, 5), [5]), (idle(1), []), (active(1), []), (wm(0, 9), []),
        (wm(1, 7), [7]),
    ]),
    "WM-14 channel back behind the output does not hold back": (2, [
        (wm(0, 10), []), (wm(1, 5), [5]), (idle(1), [10]), (active(1), []),
        (wm(0, 15), [15]), (wm(1, 12), []), (wm(0, 16), [16]), (wm(1, 16), []), (wm(0, 20), []),
        (wm(1, 18), [18]),
    ]),
    "WM-15 only unaligned channels are active: nothing": (2, [
        (wm(0, 10), []), (wm(1, 5), [5]), (idle(1), [10]), (active(1), []), (idle(0), []),
        (wm(1, 8), []), (wm(1, 11), [11]),
    ]),
    "WM-15 unaligned channel goes idle: nothing": (3, [
        (wm(0, 10), []), (wm(1, 12), []), (wm(2, 5), [5]), (idle(2), [10]), (active(2), []),
        (idle(2), []), (wm(0, 11), [11]),
    ]),
    "end of a channel is the largest watermark": (2, [
        (wm(0, 10), []), (end(1), [10]), (wm(0, 20), [20]), (end(0), [MAX_TIMESTAMP]),
    ]),
    "end of an idle channel ends its idleness": (1, [
        (wm(0, 10), [10]), (idle(0), [IDLE]), (end(0), [ACTIVE, MAX_TIMESTAMP]), (end(0), []),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("trace", TRACES)
def test_trace(trace: Any) -> None:
    channel_count, steps = TRACES[trace]
    combiner = WatermarkCombiner(channel_count)
    for (method, *arguments), expected in steps:
        wanted = [Watermark(item) if isinstance(item, int) else item for item in expected]
        assert getattr(combiner, method)(*arguments) == wanted, (method, arguments)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("on_watermark"), st.integers(0, 2), st.integers(-5, 30)),
        st.tuples(st.just("on_status"), st.integers(0, 2), st.booleans()),
    ),
    max_size=60,
)


@given(steps)
def test_output_never_goes_back_and_statuses_alternate(taken: Any) -> None:
    """WM-4, WM-10, WM-13: whatever comes, in whatever order."""
    combiner, last_ms, is_idle = WatermarkCombiner(3), MIN_TIMESTAMP, False
    for method, *arguments in taken:
        for element in getattr(combiner, method)(*arguments):
            if isinstance(element, Watermark):
                assert not is_idle
                assert element.timestamp_ms > last_ms
                last_ms = element.timestamp_ms
            else:
                assert element.is_idle != is_idle
                is_idle = element.is_idle


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 30)), max_size=60))
def test_without_idleness_the_output_is_the_least_of_all_channels(taken: Any) -> None:
    """WM-10."""
    combiner, reached, last = WatermarkCombiner(3), [MIN_TIMESTAMP] * 3, None
    for channel, timestamp_ms in taken:
        reached[channel] = max(reached[channel], timestamp_ms)
        for element in combiner.on_watermark(channel, timestamp_ms):
            assert isinstance(element, Watermark)
            last = element.timestamp_ms
    assert last == (None if min(reached) == MIN_TIMESTAMP else min(reached))
