"""Canonical keys, key groups and the subtasks that own them."""

from __future__ import annotations

import enum
from collections import namedtuple
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.errors import ConfigError, RecordError
from streamlet.state.codec import encode
from streamlet.state.keys import (
    KeyRouter,
    canonical_key,
    default_max_parallelism,
    key_group,
    key_group_range,
    subtask_of,
)
from streamlet.state.rows import key_groups_of


class Colour(str, enum.Enum):  # noqa: UP042 - the older form must work too
    RED = "red"


class Level(enum.IntEnum):
    ONE = 1


Pair = namedtuple("Pair", "left right")

NUMBERS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False),
    st.integers(-8, 8).map(lambda n: n / 4),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-4, max_value=4),
    st.integers(-8, 8).map(lambda n: Decimal(n) / 4),
    st.sampled_from([Decimal("1.10"), Decimal("1.1"), Decimal("1E+2"), Decimal("-0"), -0.0]),
    st.just(Level.ONE),
)
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))
RAW_KEYS = st.recursive(
    st.one_of(
        NUMBERS,
        st.none(),
        st.text(max_size=2),
        st.binary(max_size=2),
        st.sampled_from(["red", Colour.RED]),
        st.integers(0, 48).map(lambda h: NEW_YEAR + timedelta(hours=h)),
        st.builds(NEW_YEAR.astimezone, ZONES),
        st.dates(date(2024, 1, 1), date(2024, 1, 3)),
        st.uuids(),
    ),
    lambda inner: st.tuples(inner, inner) | st.builds(Pair, inner, inner),
    max_leaves=4,
)


GOLDEN = [
    23, 20, 58, 55, 34, 83, 47, 66, 74, 55, 119,
    16, 51, 55, 86, 73, 86, 20, 110, 20, 59, 110,
]  # fmt: skip


def shape(key: Any) -> Any:
    """The types of a key, all the way down."""
    return tuple(map(shape, key)) if type(key) is tuple else type(key)


@given(RAW_KEYS, RAW_KEYS)
def test_equal_keys_have_one_form(a: Any, b: Any) -> None:
    x, y = canonical_key(a), canonical_key(b)
    assert (a == b) == (x == y)
    if a == b:
        assert shape(x) == shape(y)
        assert encode(x) == encode(y)


@given(st.integers(-40, 40), st.integers(0, 3))
def test_equal_numbers_have_one_form(number: int, zeros: int) -> None:
    quarter = Decimal(number) / 4
    forms = [quarter, quarter + Decimal(0).scaleb(-zeros), float(quarter), (number / 4)]
    if number % 4 == 0:
        forms += [number // 4, Decimal(number // 4)]
    if number in (0, 4):
        forms += [bool(number)]
    canonical = [canonical_key(form) for form in forms]
    assert len(set(forms)) == 1
    assert len({(type(key), encode(key)) for key in canonical}) == 1


@given(RAW_KEYS)
def test_canonical_key_equals_the_key_and_stays(key: Any) -> None:
    canonical = canonical_key(key)
    assert canonical == key
    assert hash(canonical) == hash(key)
    assert canonical_key(canonical) == canonical
    assert shape(canonical_key(canonical)) == shape(canonical)


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        (True, 1),
        (2.0, 2),
        (-0.0, 0),
        (1e300, int(1e300)),
        (float("inf"), float("inf")),
        (Decimal("3.00"), 3),
        (Decimal("1E+3"), 1000),
        (Decimal("0.50"), 0.5),
        (Decimal("0.10"), Decimal("0.1")),
        (Colour.RED, "red"),
        (Level.ONE, 1),
        (Pair(True, "x"), (1, "x")),
        (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
         datetime(2024, 1, 1, tzinfo=UTC)),
        ((1, (2.0, None)), (1, (2, None))),
    ],
)  # fmt: skip
def test_canonical_form(key: Any, canonical: Any) -> None:
    assert canonical_key(key) == canonical
    assert shape(canonical_key(key)) == shape(canonical)


def test_long_decimal_keeps_its_digits_whatever_the_context() -> None:
    long = Decimal("0." + "123456789" * 8 + "10")
    with localcontext() as context:
        context.prec = 3
        assert canonical_key(long) == long
        assert encode(canonical_key(long)) == encode(Decimal("0." + "123456789" * 8 + "1"))


def test_numpy_scalars_become_python_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    for key, canonical in [
        (numpy.int32(5), 5),
        (numpy.float64(2.5), 2.5),
        (numpy.float32(3), 3),
        (numpy.bool_(True), 1),
        (numpy.str_("x"), "x"),
    ]:
        assert canonical_key(key) == canonical
        assert type(canonical_key(key)) is type(canonical)
    with pytest.raises(RecordError):
        canonical_key(numpy.datetime64("2024-01-01"))


@pytest.mark.parametrize(
    "key",
    [
        float("nan"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+100000"),
        NEW_YEAR.replace(tzinfo=None),
        [1],
        {},
        object,
        1j,
        (1, [2]),
        frozenset({1}),
        timedelta(1),
    ],
    ids=repr,
)
def test_what_cannot_be_a_key_is_refused_by_name(key: Any) -> None:
    router = KeyRouter(128, 2)
    with pytest.raises(RecordError, match="cannot be a key"):
        router.canonicalise(["fine", 1.5, key])


def test_golden_key_groups() -> None:
    """KG-1: where a key's state is on disk; these may never change."""
    keys = [
        0, 1, 2, 3, 42, 1000, -1, 2**70, 2.5, None, "", "a", "user-1", "hello", b"a",
        (), ("a", 1), (2024, 5, 17), date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC),
        Decimal("0.1"), UUID(int=7),
    ]  # fmt: skip
    assert [key_group(key, 128) for key in keys] == GOLDEN
    assert key_groups_of(list(map(encode, keys)), 128).to_pylist() == GOLDEN
    assert key_groups_of([encode("hello")], 32_768).to_pylist() == [key_group("hello", 32_768)]
    assert key_groups_of([encode("hello")], 100).to_pylist() == [key_group("hello", 100)]


def test_dates_as_tuples_use_all_key_groups() -> None:
    keys = [(2024, month, day) for month in range(1, 13) for day in range(1, 29)]
    assert len({key_group(key, 128) for key in keys}) > 110


@given(st.integers(1, 300), st.integers(0, 2_000))
def test_ranges_are_the_inverse_of_ownership(parallelism: int, more: int) -> None:
    """KG-2, KG-3."""
    max_parallelism = parallelism + more
    owners = [
        index
        for index in range(parallelism)
        for _ in key_group_range(index, parallelism, max_parallelism)
    ]
    assert owners == [
        subtask_of(group, parallelism, max_parallelism) for group in range(max_parallelism)
    ]


def test_golden_ranges() -> None:
    """KG-5."""
    assert [key_group_range(i, 3, 128) for i in range(3)] == [
        range(43), range(43, 86), range(86, 128),
    ]  # fmt: skip
    assert [key_group_range(i, 3, 10) for i in range(3)] == [range(4), range(4, 7), range(7, 10)]


def test_default_max_parallelism() -> None:
    """KG-4."""
    golden = {1: 128, 85: 128, 86: 256, 170: 256, 171: 256, 200: 512, 1000: 2048, 30_000: 32_768}
    assert {p: default_max_parallelism(p) for p in golden} == golden


def test_router_agrees_with_the_functions() -> None:
    router = KeyRouter(64, 3)
    raw = [True, 1.0, "a", ("b", 2.0), None, 1]
    keys = router.canonicalise(raw)
    assert keys == [1, 1, "a", ("b", 2), None, 1]
    assert [type(key) for key in keys[:2]] == [int, int]
    assert router.subtasks(keys) == [subtask_of(key_group(key, 64), 3, 64) for key in keys]
    assert KeyRouter(64, 1).subtasks(keys) == [0] * 6


def test_router_gives_the_same_list_when_keys_are_canonical() -> None:
    keys = ["a", 1, None, b"x"]
    assert KeyRouter(128, 2).canonicalise(keys) is keys


def test_parallelism_above_max_parallelism_is_refused() -> None:
    """KG-8."""
    with pytest.raises(ConfigError, match="129"):
        KeyRouter(128, 129)
    with pytest.raises(ConfigError):
        KeyRouter(40_000, 1)
