"""Keys of a keyed stream: their canonical form, their key group, and the subtask that owns them.

Keys that Python calls equal must be one key for every sender, restart and store, so `key_by`
replaces each by its canonical form once. The form depends on nothing but what the key is equal to:

    bool, integral float, integral Decimal -> int          -0.0 -> 0
    a Decimal that equals a float          -> that float    other Decimals without trailing zeros
    aware datetime                         -> the same instant in UTC
    subclasses of str, int, bytes, float   -> their base    numpy scalars -> `.item()`
    tuples, NamedTuples                    -> tuples of canonical keys
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID
from zlib import crc32

from streamlet.errors import ConfigError, RecordError
from streamlet.state.codec import encode

Key: TypeAlias = Any
"""A canonical key: None, int, float, str, bytes, date, datetime, UUID, Decimal, or tuples."""

MAX_MAX_PARALLELISM: Final = 32_768

_SIMPLE: Final = frozenset({type(None), int, str, bytes})
_CACHED_KEYS: Final = 200_000
_MAX_DECIMAL_DIGITS: Final = 1_000
_WAY_OUT: Final = (
    "key by None, an int, float, str, bytes, date, aware datetime, UUID, Decimal, "
    "or a tuple of them"
)


def canonical_key(key: Any) -> Key:
    """The one form of all keys equal to this one; raises RecordError for what cannot be a key.

    >>> canonical_key(True), canonical_key(2.0), canonical_key(("a", -0.0))
    (1, 2, ('a', 0))
    """
    kind = type(key)
    if kind in _SIMPLE:
        return key
    canonical = _CANONICAL.get(kind)
    if canonical is not None:
        return canonical(key)
    for base, canonical in _CANONICAL_BASES:
        if isinstance(key, base):
            return canonical(key)
    if kind.__module__ == "numpy" and hasattr(key, "item"):
        plain = key.item()
        if type(plain) in _CANONICAL and kind.__name__ != "datetime64":
            return canonical_key(plain)
    raise _refused(key, _WAY_OUT)


def key_group(key: Key, max_parallelism: int) -> int:
    """The key group of a canonical key (KG-1): the unit in which keyed state is moved.

    crc32 alone is linear, so that keys such as `(2024, month, day)` would meet in half of the
    groups; the finaliser is MurmurHash3's fmix32. `rows.key_groups_of` is the same for columns.
    """
    mixed = crc32(encode(key))
    mixed = ((mixed ^ mixed >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed ^ mixed >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return (mixed ^ mixed >> 16) % max_parallelism


def subtask_of(group: int, parallelism: int, max_parallelism: int) -> int:
    """The index of the subtask that owns this key group (KG-2)."""
    return group * parallelism // max_parallelism


def key_group_range(index: int, parallelism: int, max_parallelism: int) -> range:
    """The key groups of subtask `index`: the exact inverse of `subtask_of` (KG-3)."""
    start = -(-index * max_parallelism // parallelism)
    stop = -(-(index + 1) * max_parallelism // parallelism)
    return range(start, stop)


def default_max_parallelism(parallelism: int) -> int:
    """The max parallelism of a job that sets none (KG-4): room to grow by half, at least 128."""
    wanted = parallelism + parallelism // 2
    return min(max(1 << (wanted - 1).bit_length(), 128), MAX_MAX_PARALLELISM)


class KeyRouter:
    """Makes keys canonical and finds their subtasks, a batch at a time.

    It remembers the keys it has seen, up to a bound; equal keys have one canonical form, so a
    look-up by equality is right.
    """

    def __init__(self, max_parallelism: int, parallelism: int) -> None:
        if not 1 <= parallelism <= max_parallelism <= MAX_MAX_PARALLELISM:
            raise ConfigError(
                f"parallelism {parallelism} and max parallelism {max_parallelism} do not fit: "
                f"expected 1 <= parallelism <= max parallelism <= {MAX_MAX_PARALLELISM}"
            )
        self.max_parallelism = max_parallelism
        self.parallelism = parallelism
        self._canonical = _Remembered(canonical_key)
        self._subtasks = _Remembered(
            lambda key: subtask_of(key_group(key, max_parallelism), parallelism, max_parallelism)
        )

    def canonicalise(self, keys: list[Any]) -> list[Key]:
        """The canonical keys, in the same order; the same list when all are so already."""
        if _SIMPLE.issuperset(map(type, keys)):
            return keys
        try:
            return self._canonical.of(keys)
        except TypeError:
            # a dict can only look up what is hashable: one by one finds the key to name
            return list(map(canonical_key, keys))

    def subtasks(self, keys: list[Key]) -> list[int]:
        """The index of the subtask that owns each canonical key."""
        if self.parallelism == 1:
            return [0] * len(keys)
        return self._subtasks.of(keys)


class _Remembered(dict[Any, Any]):
    """A pure function of a key, with its results so far."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Any) -> Any:
        result = self[key] = self._function(key)
        return result

    def of(self, keys: list[Any]) -> list[Any]:
        """The result for each key."""
        if len(self) > _CACHED_KEYS:
            self.clear()
        return list(map(self.__getitem__, keys))


def _refused(key: Any, way_out: str) -> RecordError:
    shown = repr(key)
    if len(shown) > 200:
        shown = shown[:200] + "..."
    return RecordError(f"{shown} of type {type(key).__qualname__} cannot be a key; {way_out}")


def _canonical_float(key: float) -> Key:
    if key != key:
        raise _refused(key, "NaN equals nothing, itself included; replace it before key_by")
    if key.is_integer():  # False for the infinities
        return int(key)
    return float.__float__(key)


def _canonical_decimal(key: Decimal) -> Key:
    if not key.is_finite():
        raise _refused(key, "only finite Decimals can be keys; replace it before key_by")
    sign, digits, exponent = key.as_tuple()
    assert isinstance(exponent, int)
    if not key:
        return 0
    if key.adjusted() > _MAX_DECIMAL_DIGITS:
        raise _refused(key, f"Decimal keys may have at most {_MAX_DECIMAL_DIGITS} digits")
    # by hand: normalize() would round to the context's precision
    stripped = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(stripped)
    if exponent >= 0:
        return int(key)
    nearest = float(key)
    if key == Decimal(nearest):
        return nearest
    return Decimal((sign, tuple(map(int, stripped)), exponent))


def _canonical_datetime(key: datetime) -> Key:
    if key.utcoffset() is None:
        raise _refused(key, "a naive datetime is no instant; give it a tzinfo before key_by")
    if getattr(key, "nanosecond", 0):
        raise _refused(key, "nanoseconds would be lost; round it to microseconds before key_by")
    key = key.astimezone(UTC)
    return datetime(*key.timetuple()[:6], key.microsecond, tzinfo=UTC)


def _canonical_tuple(key: tuple[Any, ...]) -> Key:
    if type(key) is tuple and _SIMPLE.issuperset(map(type, key)):
        return key
    return tuple(map(canonical_key, key))


_CANONICAL: Final[dict[type, Callable[[Any], Key]]] = {
    type(None): lambda key: key,
    str: lambda key: key,
    bytes: lambda key: key,
    int: lambda key: key,
    bool: int,
    float: _canonical_float,
    tuple: _canonical_tuple,
    date: lambda key: key,
    datetime: _canonical_datetime,
    UUID: lambda key: key,
    Decimal: _canonical_decimal,
}

_CANONICAL_BASES: Final[tuple[tuple[type, Callable[[Any], Key]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, _canonical_float),
    (bytes, bytes.__bytes__),
    (tuple, _canonical_tuple),
    (datetime, _canonical_datetime),
    (Decimal, _canonical_decimal),
)
"""Subclasses, by the base whose value they have."""
