"""Sees any record as named fields, for formats that have columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any, cast

import msgspec

from streamlet.connectors.files.malformed import shorten
from streamlet.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import pyarrow as pa

Fields = Mapping[str, Any]


def checked_schema(schema: pa.Schema | None) -> pa.Schema | None:
    """The schema; ConfigError if it is none."""
    if schema is None:
        return None
    import pyarrow as pa

    if not isinstance(schema, pa.Schema):
        raise ConfigError(
            'schema must be a pyarrow schema, like pa.schema([("price", pa.int64())]), got '
            f"{schema!r:.80} of type {type(schema).__name__}"
        )
    return schema


def fields_of(records: Sequence[Any]) -> list[Fields]:
    """Each record as a mapping: dicts as they are, NamedTuples, dataclasses and Structs by field.

    A plain tuple has the fields c0, c1, ...; anything else has the one field `value`.
    """
    kinds = set(map(type, records))
    if kinds == {dict}:
        return cast(list[Fields], records)
    readers = {kind: _reader_of(kind) for kind in kinds}
    return [readers[type(record)](record) for record in records]


def is_named_tuple(kind: type) -> bool:
    """Whether the type is a NamedTuple."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _reader_of(kind: type) -> Callable[[Any], Fields]:
    if issubclass(kind, Mapping):
        return _same
    if is_named_tuple(kind):
        return methodcaller("_asdict")
    if issubclass(kind, msgspec.Struct):
        return msgspec.structs.asdict
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return lambda record: {name: getattr(record, name) for name in names}
    if issubclass(kind, tuple):
        return lambda record: {f"c{index}": value for index, value in enumerate(record)}
    return lambda record: {"value": record}


def _same(record: Fields) -> Fields:
    return record


def column_values(record: Fields, names: Sequence[str], *, may_lack: bool) -> list[Any]:
    """The record's values for the columns, in their order; RecordError for other fields."""
    if len(record) == len(names):
        try:
            return [record[name] for name in names]
        except KeyError:
            pass
    missing = [] if may_lack else [name for name in names if name not in record]
    unknown = [name for name in record if name not in names]
    if missing or unknown:
        raise _does_not_fit(record, names, missing, unknown)
    return [record.get(name) for name in names]


def _does_not_fit(
    record: Fields, names: Sequence[str], missing: list[str], unknown: list[str]
) -> RecordError:
    problems = [f"it lacks {missing}"] if missing else []
    problems += [f"it has {unknown} besides"] if unknown else []
    return RecordError(
        f"a record does not fit the columns of the file: {', '.join(problems)}\n"
        f"  columns: {list(names)}\n  record: {shorten(repr(record))}\n"
        "  columns are those of schema=pa.schema(...), or else of the first record; what a file "
        "should not have is left out before, with select(...) or map()"
    )
