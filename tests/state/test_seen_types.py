"""What is noted of keys and values while rows are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import pytest

from streamlet.state.layout import Layout, StateSpec
from streamlet.state.rows import encoded
from streamlet.state.seen_types import SeenTypes, key_types, may_meet


@dataclass
class Visit:
    page: Any


class Span(NamedTuple):
    first: Any


class Kind(Enum):
    NEW = 1


def tag(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@pytest.mark.parametrize(
    ("layout", "layer"),
    [
        (Layout.KEY, {1: 0, "a": 0}),
        (Layout.MAP, {1: {b"m": 0}, "a": {b"m": 0}}),
        (Layout.WINDOW, {(0, 10): {1: 0}, (10, 20): {"a": 0}}),
        (Layout.TIMER, {(5, 1): None, (7, "a"): None}),
    ],
)
def test_keys_are_noted_in_every_layout(layout: Layout, layer: dict[Any, Any]) -> None:
    seen = SeenTypes()
    seen.note_keys(layer, layout)
    assert seen.keys == {"int", "str"}


def test_tuples_of_any_length_have_the_types_of_their_parts() -> None:
    keys = [(), (1, "a"), (1, None), ("a",), (("b",), 2)]
    assert key_types(keys) == {"()", "(int, str)", "(int, None)", "(str)", "(tuple, int)"}
    assert may_meet({"()"}, {"()"})
    assert not may_meet({"()"}, {"(str)"})


def test_every_one_of_many_keys_counts() -> None:
    seen = SeenTypes()
    seen.note_keys({**dict.fromkeys(range(5_000), 0), ("a", None): 0}, Layout.KEY)
    assert seen.keys == {"int", "(str, None)"}


@pytest.mark.parametrize(
    ("saved", "new"),
    [
        ([1], [2]),
        ([1], [2.5]),
        ([Decimal("0.1")], [1]),
        ([1, "a"], ["b"]),
        (["a"], [None]),
        ([None], ["a"]),
        ([("a", 1)], [("b", None)]),
        ([("a", 1)], [("b", 2.5)]),
        ([], ["a"]),
    ],
)
def test_keys_that_may_be_equal_may_meet(saved: list[Any], new: list[Any]) -> None:
    assert may_meet(key_types(saved), key_types(new))


@pytest.mark.parametrize(
    ("saved", "new"),
    [
        ([1], ["1"]),
        (["a"], [b"a"]),
        (["a"], [("a",)]),
        ([("a", 1)], [("a", "1")]),
        ([("a", 1)], [("a", 1, 2)]),
        ([datetime(2024, 1, 1, tzinfo=UTC)], [1]),
        ([1, 2.5, None], ["a", None]),
    ],
)
def test_keys_of_other_types_never_meet(saved: list[Any], new: list[Any]) -> None:
    """EV-3."""
    assert not may_meet(key_types(saved), key_types(new))


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (1, []),
        ("a text with fields and member", []),
        (Visit(1), [Visit]),
        ([1, {"a": (Visit(Span(2)), Kind.NEW)}], [Visit, Span, Kind]),
        ({Visit.__name__: Visit([Visit(1)])}, [Visit]),
        ("\u00a6fields", []),
        (b"\x93\xa3a:b\xa6fields", ["a:b"]),
    ],
)
def test_classes_in_values_are_noted_wherever_they_are(value: Any, kinds: list[Any]) -> None:
    """Bytes that look just like an encoded class count as one here: see `class_schemas`."""
    spec = StateSpec("s", "value", Layout.KEY)
    seen = SeenTypes()
    for batch in encoded(spec, {1: value, 2: 0}, 128, 1):
        seen.note_values("s", batch)
    expected = {kind if isinstance(kind, str) else tag(kind) for kind in kinds}
    assert seen.tags.get("s", set()) == expected


def test_class_that_comes_late_among_many_known_ones_is_noted() -> None:
    spec = StateSpec("s", "value", Layout.KEY)
    layer = {key: Visit(key) for key in range(300)} | {"last": Span(Visit(1))}
    seen = SeenTypes()
    for batch in encoded(spec, layer, 128, 100):
        seen.note_values("s", batch)
    assert seen.tags == {"s": {tag(Visit), tag(Span)}}
