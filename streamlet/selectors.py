"""Selectors: how users name a part of a record, by a callable, a field name or a position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter, length_hint
from typing import Any, Final, TypeAlias

from streamlet.errors import GraphError, RecordError, note_place, stop_iteration_raised

Selector: TypeAlias = Callable[[Any], Any] | str | int
"""A callable, a field name (a dict's key or an attribute) or a position."""

_RECORD_CHARACTERS: Final = 160

_FIELDLESS: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, tuple, list, set, frozenset}
)
"""Types whose attributes (`tuple.count`, `int.real`) are never fields of a record."""


def compile_selector(*selectors: Selector) -> Callable[[Any], Any]:
    """A function from a record to what the selectors name: one part, or a tuple of several.

    It raises RecordError for a record that lacks the field or position. Wrong selectors are a
    GraphError here and now.

    >>> compile_selector("user")({"user": "u1", "ts": 5}), compile_selector(1, 0)(("a", "b"))
    ('u1', ('b', 'a'))
    """
    parts = [_compile_one(selector) for selector in _checked(selectors)]
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda record: (first(record), second(record))
    return lambda record: tuple([part(record) for part in parts])


def compile_batch_selector(*selectors: Selector) -> Callable[[Sequence[Any]], list[Any]]:
    """`compile_selector` for the records of a batch at once, looping in C where it can."""
    columns = [_compile_column(selector) for selector in _checked(selectors)]
    if len(columns) == 1:
        return columns[0]
    return lambda records: list(zip(*(column(records) for column in columns), strict=True))


def describe_selector(*selectors: Selector) -> str:
    """How errors and plans name the selectors.

    >>> describe_selector("user", 0)
    "field 'user', position 0"
    """
    return ", ".join(_describe_one(selector) for selector in selectors)


def show_record(record: Any) -> str:
    """The record's repr on one line, shortened; never raises."""
    try:
        text = " ".join(repr(record).split())
    except Exception as error:
        text = f"<{type(record).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= _RECORD_CHARACTERS else text[: _RECORD_CHARACTERS - 3] + "..."


def _checked(selectors: tuple[Selector, ...]) -> tuple[Selector, ...]:
    if not selectors:
        raise GraphError("no selector was given; give a field name, a position or a callable")
    for selector in selectors:
        is_position = isinstance(selector, int) and not isinstance(selector, bool)
        is_name = isinstance(selector, str) and selector != ""
        if not (is_name or is_position or callable(selector)):
            raise GraphError(
                f"{selector!r} ({type(selector).__name__}) is not a selector; give a field name "
                'like "user", a position like 0, or a callable like lambda record: record["user"]'
            )
    return selectors


def _describe_one(selector: Selector) -> str:
    if isinstance(selector, str):
        return f"field {selector!r}"
    if isinstance(selector, int):
        return f"position {selector}"
    name = getattr(selector, "__qualname__", None) or type(selector).__qualname__
    code = getattr(selector, "__code__", None)
    if code is None:
        return f"function {name}"
    file_name = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"function {name.rpartition('.')[2]} ({file_name}:{code.co_firstlineno})"


def _compile_one(selector: Selector) -> Callable[[Any], Any]:
    if isinstance(selector, str):
        return _field(selector)
    return _position(selector) if isinstance(selector, int) else selector


def _compile_column(selector: Selector) -> Callable[[Sequence[Any]], list[Any]]:
    if isinstance(selector, str):
        return _field_column(selector)
    return _position_column(selector) if isinstance(selector, int) else _call_column(selector)


def _field(name: str) -> Callable[[Any], Any]:
    def select(record: Any) -> Any:
        if isinstance(record, dict):
            if name in record:
                return record[name]
        elif type(record) not in _FIELDLESS:
            try:
                return getattr(record, name)
            except AttributeError:
                pass
        raise _missing(name, record)

    return select


def _position(position: int) -> Callable[[Any], Any]:
    def select(record: Any) -> Any:
        try:
            return record[position]
        except (LookupError, TypeError):
            raise _missing(position, record) from None

    return select


def _field_column(name: str) -> Callable[[Sequence[Any]], list[Any]]:
    item, one = itemgetter(name), _field(name)
    attribute = attrgetter(name) if name.isidentifier() else None

    def select(records: Sequence[Any]) -> list[Any]:
        kinds = set(map(type, records))
        try:
            if kinds == _ONLY_DICTS:
                return list(map(item, records))
            if attribute and kinds.isdisjoint(_HAS_NO_FIELD):
                return list(map(attribute, records))
        except (KeyError, AttributeError):
            pass  # the slow way names the record that lacks the field
        return list(map(one, records))

    return select


_ONLY_DICTS: Final = frozenset({dict})
_HAS_NO_FIELD: Final = _FIELDLESS | {dict}


def _position_column(position: int) -> Callable[[Sequence[Any]], list[Any]]:
    item, one = itemgetter(position), _position(position)

    def select(records: Sequence[Any]) -> list[Any]:
        try:
            return list(map(item, records))
        except (LookupError, TypeError):
            return list(map(one, records))

    return select


def _call_column(function: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    def select(records: Sequence[Any]) -> list[Any]:
        rest = iter(records)
        try:
            column = list(map(function, rest))
            if len(column) < len(records):
                raise stop_iteration_raised()
            return column
        except Exception as error:
            record = records[len(records) - length_hint(rest) - 1]
            note_place(error, f"in {_describe_one(function)}, record {show_record(record)}")
            raise

    return select


def _missing(selector: str | int, record: Any) -> RecordError:
    if isinstance(record, dict):
        has = "its fields are " + (", ".join(map(repr, list(record)[:12])) or "none")
    elif isinstance(selector, int) and isinstance(record, Sequence):
        has = f"it has {len(record)} positions"
    else:
        has = f"it is of type {type(record).__name__}"
    return RecordError(
        f"the record {show_record(record)} has no {_describe_one(selector)}: {has}. Select another "
        "part, give a callable that knows what to do, or filter such records before"
    )
