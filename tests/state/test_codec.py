"""Values of state survive being bytes, exactly, or are refused."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet.errors import StateTypeError
from streamlet.state.codec import (
    DEFAULT_CODEC,
    Encoded,
    decode,
    encode,
    encode_all,
    handed_out,
    keep,
    keep_payload,
)

ZONES = st.sampled_from(
    [
        None,
        UTC,
        timezone(timedelta(hours=-3, minutes=-30)),
        timezone(timedelta(hours=1), "CET"),
        ZoneInfo("Europe/Berlin"),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(allow_nan=False),
    st.text(st.characters(codec=None)),
    st.binary(),
    st.datetimes(timezones=ZONES),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=3),
    ),
    max_leaves=10,
)


def same(a: Any, b: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, (list, tuple)):
        return all(map(same, a, b))
    if isinstance(a, dict):
        return all(map(same, a, b)) and all(map(same, a.values(), b.values()))
    if isinstance(a, (set, frozenset)):
        return all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, (datetime, time)):
        return (a.fold, a.tzinfo) == (b.fold, b.tzinfo)
    return repr(a) == repr(b)


@settings(max_examples=50)
@given(VALUES)
def test_value_comes_back_exactly(value: Any) -> None:
    assert same(decode(encode(value)), value)


@settings(max_examples=50)
@given(st.lists(HASHABLE))
def test_encoding_many_is_encoding_each(values: list[Any]) -> None:
    assert encode_all(values) == list(map(encode, values))


PLAIN = st.recursive(
    st.integers(-(2**65), 2**65) | st.text(st.characters(codec=None)) | st.floats() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.lists(PLAIN | st.integers() | st.tuples(st.integers(), st.text()), max_size=6))
def test_many_values_are_encoded_as_each_is(values: list[Any]) -> None:
    """Also when one of them leaves the quick way, and whatever they have in common."""
    assert encode_all(values) == list(map(encode, values))


@settings(max_examples=50)
@given(VALUES)
def test_owned_value_is_copied_as_if_it_were_encoded_and_decoded(value: Any) -> None:
    owned = [value, {"deep": [value]}]
    copy = handed_out(owned, DEFAULT_CODEC)
    assert same(copy, owned)
    assert copy is not owned
    assert copy[1]["deep"] is not owned[1]["deep"]


def test_copy_shares_nothing_that_can_change() -> None:
    owned: Any = [1, [2, {"a": [3]}], {"b": {4}}, ([5], 6), b"7"]
    copy = handed_out(owned, DEFAULT_CODEC)
    copy[1][1]["a"].append("changed")
    copy[2]["b"].add("changed")
    copy[3][0].append("changed")
    assert owned == [1, [2, {"a": [3]}], {"b": {4}}, ([5], 6), b"7"]


@settings(max_examples=50)
@given(VALUES)
def test_kept_value_is_handed_out_anew(value: Any) -> None:
    kept = keep(value, DEFAULT_CODEC)
    assert same(handed_out(kept, DEFAULT_CODEC), value)
    revived = keep_payload(encode(value), DEFAULT_CODEC)
    assert type(revived) is type(kept)
    assert same(handed_out(revived, DEFAULT_CODEC), value)


def test_nan_negative_zero_and_infinities_are_values() -> None:
    assert math.isnan(decode(encode(float("nan"))))
    assert math.copysign(1, decode(encode(-0.0))) == -1
    assert decode(encode([float("inf")])) == [float("inf")]
    assert decode(encode(Decimal("NaN"))).is_nan()
    assert str(decode(encode(Decimal("-0.00")))) == "-0.00"


def test_fold_and_zone_names_come_back() -> None:
    folded = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert decode(encode(folded)).fold == 1
    assert decode(encode(folded)).utcoffset() == timedelta(hours=1)
    named = time(1, 2, tzinfo=timezone(timedelta(seconds=1), "odd"))
    assert decode(encode(named)).tzname() == "odd"
    assert decode(encode(datetime(2024, 1, 1, tzinfo=UTC))).tzinfo is UTC


def test_dict_keeps_its_order_and_the_types_of_its_keys() -> None:
    value = {2: "b", (1, "x"): [1], None: {}, 1.5: (), "a": {b"k": 1}, date(2024, 1, 1): 0}
    assert list(decode(encode(value)).items()) == list(value.items())
    assert same(decode(encode({True: 1, 0: 2})), {True: 1, 0: 2})


def test_encoding_is_stable() -> None:
    """On disk for ever: a change here needs a way to read the old bytes."""
    assert encode(5) == b"\x05"
    assert encode(("a", 1)) == b"\xc7\x04\x01\x92\xa1a\x01"
    assert encode(2**70) == b"\xc7\x09\x04\x40" + b"\0" * 8
    assert encode(date(2024, 1, 1)).hex() == "c70506ce000b4646"
    assert encode(Decimal("1.50")) == b"\xd6\x091.50"
    assert encode(UUID(int=1)) == b"\xd8\x0a" + b"\0" * 15 + b"\x01"
    assert encode({"a": [None, True]}) == b"\x81\xa1a\x92\xc0\xc3"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        Counter("a"),
        OrderedDict(a=1),
        defaultdict(list),
        Text("x"),
        bytearray(b"x"),
        memoryview(b"x"),
        object(),
        print,
        int,
        1j,
        [[Counter()]],
        {"a": (bytearray(),)},
        {Text("k"): 1},
        (Text("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_exactly_is_refused(value: Any) -> None:
    with pytest.raises(StateTypeError, match="codec="):
        encode(value)


def test_refused_numpy_scalar_is_told_how_to_become_a_value_of_python() -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(StateTypeError, match=r"numpy\.float64.*\.item\(\)"):
        encode({"price": np.float64(1.5)})


def test_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(StateTypeError, match="contains itself"):
        encode(endless)


def test_atoms_and_flat_tuples_are_kept_as_they_are() -> None:
    for value in (None, True, 2**80, 1.5, "s", b"b", (), (1, "a", None)):
        assert keep(value, DEFAULT_CODEC) is value
        assert handed_out(value, DEFAULT_CODEC) is value
    changeables: list[Any] = [[1], {}, ((1,),), (1, [2]), date(2024, 1, 1)]
    for changeable in changeables:
        kept = keep(changeable, DEFAULT_CODEC)
        assert isinstance(kept, Encoded)
        assert handed_out(kept, DEFAULT_CODEC) == changeable


def test_value_of_another_codec_is_always_encoded() -> None:
    class Reversed:
        def encode(self, value: str, /) -> bytes:
            return value[::-1].encode()

        def decode(self, payload: bytes, /) -> str:
            return payload.decode()[::-1]

    assert keep("abc", Reversed()) == Encoded(b"cba")
    assert keep_payload(b"cba", Reversed()) == Encoded(b"cba")
    assert handed_out(Encoded(b"cba"), Reversed()) == "abc"


def test_unknown_extension_is_refused_with_the_way_out() -> None:
    with pytest.raises(StateTypeError, match="later version"):
        decode(b"\xd4\x63\x00")


def test_encoded_elements_go_in_as_they_are() -> None:
    assert encode([Encoded(encode({"a": 1})), 2]) == encode([{"a": 1}, 2])
