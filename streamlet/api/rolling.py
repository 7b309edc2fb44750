"""sum, min, max, min_by and max_by as reduce functions: the one with that field replaced."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from streamlet.api.call_site import refusal
from streamlet.api.user_functions import checked_selector
from streamlet.errors import RecordError
from streamlet.selectors import Selector, describe_selector, show_record

Reduce: TypeAlias = Callable[[Any, Any], Any]


def sum_function(selector: Selector | None) -> Reduce:
    """Adds up the field; every other field stays as in the first record."""
    return _folding("sum", selector, operator.add)


def min_function(selector: Selector | None) -> Reduce:
    """The least value of the field; every other field stays as in the first record."""
    return _folding("min", selector, lambda a, b: b if b < a else a)


def max_function(selector: Selector | None) -> Reduce:
    """The greatest value of the field; every other field stays as in the first record."""
    return _folding("max", selector, lambda a, b: b if b > a else a)


def min_by_function(selector: Selector | None) -> Reduce:
    """The whole record with the least value; of equals the first."""
    of = _part("min_by", selector)
    return lambda a, b: b if of(b) < of(a) else a


def max_by_function(selector: Selector | None) -> Reduce:
    """The whole record with the greatest value; of equals the first."""
    of = _part("max_by", selector)
    return lambda a, b: b if of(b) > of(a) else a


def replaced(record: Any, field: str | int, value: Any) -> Any:
    """A copy of the record with one field or position changed.

    >>> replaced({"user": "u1", "n": 1}, "n", 5), replaced(("u1", 1), 1, 5)
    ({'user': 'u1', 'n': 5}, ('u1', 5))
    """
    if isinstance(record, dict):
        return {**record, field: value}
    if isinstance(field, int):
        return _replaced_at(record, field, value)
    if isinstance(record, tuple) and hasattr(record, "_replace"):
        return record._replace(**{field: value})
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.replace(record, **{field: value})
    if hasattr(record, "__struct_fields__"):
        import msgspec  # only jobs with Struct records need it here

        return msgspec.structs.replace(record, **{field: value})
    raise _irreplaceable(record, field)


def _folding(method: str, selector: Selector | None, fold: Reduce) -> Reduce:
    if selector is None:
        return fold
    of = _part(method, selector)
    if callable(selector):
        raise refusal(
            method,
            f"puts its result into a field, and {describe_selector(selector)} is none. "
            f"Give a field name or a position, or use .agg(name=agg.{method}(...))",
        )
    if isinstance(selector, int):
        return _folding_at(selector, fold)
    return lambda a, b: replaced(a, selector, fold(of(a), of(b)))


def _folding_at(position: int, fold: Reduce) -> Reduce:
    """Tuples, the usual records with positions, are put together from slices: that is quicker."""
    end = position + 1 or None

    def reduce(a: Any, b: Any) -> Any:
        if a.__class__ is tuple and end is not None:
            return (*a[:position], fold(a[position], b[position]), *a[end:])
        return replaced(a, position, fold(a[position], b[position]))

    return reduce


def _part(method: str, selector: Selector | None) -> Callable[[Any], Any]:
    if selector is None:
        return lambda record: record
    return checked_selector(method, selector)


def _replaced_at(record: Any, position: int, value: Any) -> Any:
    if not isinstance(record, tuple | list):
        raise _irreplaceable(record, position)
    items = list(record)
    items[position] = value
    if isinstance(record, list):
        return items
    make = getattr(type(record), "_make", tuple)
    return make(items)


def _irreplaceable(record: Any, field: str | int) -> RecordError:
    return RecordError(
        f"cannot replace {describe_selector(field)} of the record {show_record(record)} of type "
        f"{type(record).__name__}: it must be a dict, tuple, NamedTuple, dataclass or Struct. "
        "Use reduce() with a function of your own, or agg()."
    )
