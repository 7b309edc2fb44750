"""What descriptors refuse, and what type checkers make of them."""

from __future__ import annotations

from typing import Any, assert_type

import pytest

from streamlet.errors import ConfigError
from streamlet.state.codec import DEFAULT_CODEC
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog, open_store
from streamlet.state.ttl import StateTtlConfig
from streamlet.testing import ManualClock


@pytest.mark.parametrize("name", ["", None, 5, "_mine"])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ConfigError):
        ValueStateDescriptor(name)
    with pytest.raises(ConfigError):
        MapStateDescriptor(name)


@pytest.mark.parametrize("ttl", [0, "-1s", "soon", True])
def test_bad_ttl_is_refused(ttl: Any) -> None:
    """TTL-1: it must be longer than zero."""
    with pytest.raises(ConfigError, match="'v'"):
        ValueStateDescriptor("v", ttl=ttl)


def test_ttl_is_a_duration_or_a_whole_config() -> None:
    config = StateTtlConfig("1h", "on_read_and_write", "return_expired_if_not_cleaned_up")
    assert ListStateDescriptor("l", ttl=config).ttl is config
    assert MapStateDescriptor("m", ttl="1h").ttl == StateTtlConfig("1h")
    assert ReducingStateDescriptor("r", max, ttl=5).ttl == StateTtlConfig(5)
    assert ValueStateDescriptor("v").ttl is None


@pytest.mark.parametrize("choice", [{"update_type": "on_write"}, {"visibility": "always"}])
def test_unknown_ttl_choices_are_refused(choice: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(choice))):
        StateTtlConfig("1h", **choice)


def test_what_is_no_codec_or_function_is_refused() -> None:
    bad: Any = 5
    with pytest.raises(ConfigError, match="codec"):
        ListStateDescriptor("l", codec=bad)
    with pytest.raises(ConfigError, match="ReduceFunction"):
        ReducingStateDescriptor("r", bad)
    with pytest.raises(ConfigError, match="AggregateFunction"):
        AggregatingStateDescriptor("a", bad)


def test_descriptors_carry_what_they_were_given() -> None:
    descriptor = ValueStateDescriptor("v", int, default=3)
    assert (descriptor.name, descriptor.type, descriptor.default) == ("v", int, 3)
    assert descriptor.codec is DEFAULT_CODEC
    assert repr(descriptor) == "ValueStateDescriptor('v')"


def test_value_is_optional_only_without_a_default() -> None:
    log = StateLog(open_store("heap", None, 0), range(128), 128)
    handles = KeyedStateHandles(log, ManualClock())
    optional, certain = ValueStateDescriptor("a", int), ValueStateDescriptor("b", int, default=0)
    assert_type(optional, ValueStateDescriptor[int | None])
    assert_type(certain, ValueStateDescriptor[int])
    assert_type(handles.get_state(optional).value(), int | None)
    assert_type(handles.get_state(certain).value(), int)
    assert handles.get_state(optional).value() is None
    assert handles.get_state(certain).value() == 0
