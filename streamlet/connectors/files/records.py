"""Turns the dicts that a format gives into the records a source promises: schema, then type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from streamlet.columns import in_microseconds, rows_of, values_of
from streamlet.connectors.files.malformed import MalformedError
from streamlet.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa


class RecordShape:
    """Applies a schema (exactly its fields, of its types) and a record type to dicts.

    A value means the same in every batch: columns are converted at once only because that is
    faster, and where it fails each record is tried alone.
    """

    def __init__(
        self, schema: pa.Schema | None, record_type: type | None, *, from_text: bool
    ) -> None:
        self._schema = schema
        self._from_text = from_text
        self._make = None if record_type is None else _maker(record_type, from_text=from_text)
        self._record_type = record_type

    def names_needed(self) -> frozenset[str] | None:
        """The fields that a record is made of; None: any there are."""
        if self._record_type is None:
            return None
        mirror = mirror_type(self._record_type)
        config = getattr(mirror, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            return None
        fields = getattr(msgspec.inspect.type_info(mirror), "fields", ())
        return frozenset(field.encode_name for field in fields)

    def of_columns(self, batch: pa.RecordBatch) -> list[Any]:
        """As `apply`, for the rows of a batch."""
        columns = [values_of(column) for column in batch.columns]
        return self.apply(rows_of(batch.column_names, columns))

    def apply(self, rows: list[Any]) -> list[Any]:
        """The records of the rows; raises MalformedError when one does not fit."""
        if self._schema is not None:
            rows = self._apply_schema(rows)
        if self._make is not None:
            rows = list(map(self._make, rows))
        return rows

    def _apply_schema(self, rows: list[Any]) -> list[Any]:
        for row in rows:
            if not isinstance(row, dict):
                raise MalformedError(f"expected an object with fields, got {row!r:.80}")
        assert self._schema is not None
        columns = [
            convert_column([row.get(column.name) for row in rows], column, self._from_text)
            for column in self._schema
        ]
        return rows_of(self._schema.names, columns)


def convert_column(values: list[Any], column: pa.Field, from_text: bool) -> list[Any]:
    """Python values of the column's type; raises MalformedError naming the column.

    Text becomes what the type says (numbers, ISO dates and times); an empty text of a CSV file is
    None unless the column is text. A fraction never becomes a whole number in silence.
    """
    import pyarrow as pa

    if from_text and not _is_text(column.type):
        values = [None if value == "" else value for value in values]
    if not column.nullable and None in values:
        raise MalformedError(f"field {column.name!r} is missing, and the schema needs it")
    if pa.types.is_integer(column.type):
        for value in values:
            if isinstance(value, float) and not value.is_integer():
                raise MalformedError(f"field {column.name!r} is {value!r}, expected {column.type}")
    try:
        array = _to_array(values, column.type)
        converted: list[Any] = in_microseconds(array).to_pylist()
        return converted
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise MalformedError(f"field {column.name!r} is no {column.type}: {error}") from error


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _to_array(values: list[Any], type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    kinds = set(map(type, values))
    is_all_text = str in kinds and kinds <= {str, type(None)}
    if is_all_text and not _is_text(type_) and not pa.types.is_binary(type_):
        return pa.array(values, pa.string()).cast(type_)
    if pa.types.is_decimal(type_):
        # The shortest text of a float is the number that was written.
        values = [Decimal(repr(value)) if isinstance(value, float) else value for value in values]
    if str in kinds and len(kinds - {type(None)}) > 1:
        raise TypeError("text and other values are mixed")  # told apart one record at a time
    return pa.array(values, type_)


def _maker(record_type: type, *, from_text: bool) -> Callable[[Any], Any]:
    """A function from one dict to the record type; raises msgspec.ValidationError."""
    mirror = mirror_type(record_type)
    nullable_text = _text_fields(record_type) if from_text else frozenset()

    def make(row: Any) -> Any:
        if from_text and isinstance(row, dict):
            row = {k: v if v != "" or k in nullable_text else None for k, v in row.items()}
        made: Any = msgspec.convert(row, mirror, strict=not from_text)
        return made if mirror is record_type else from_mirror(record_type, made)

    return make


def _text_fields(record_type: type) -> frozenset[str]:
    hints = msgspec.inspect.type_info(mirror_type(record_type))
    fields = getattr(hints, "fields", ())
    return frozenset(f.encode_name for f in fields if isinstance(f.type, msgspec.inspect.StrType))


def mirror_type(record_type: type) -> type:
    """The type itself; for a NamedTuple, which msgspec reads from arrays, a Struct of its fields.

    Raises ConfigError for a type that cannot be a record.
    """
    names = getattr(record_type, "_fields", None)
    try:
        if names is not None and issubclass(record_type, tuple):
            return _struct_like(record_type, names)
        if not hasattr(msgspec.inspect.type_info(record_type), "fields"):
            raise TypeError("it has no fields")
    except TypeError as error:
        raise ConfigError(
            f"record_type={record_type!r} cannot be read from a file: {error}; "
            "use a dataclass, a NamedTuple or a msgspec Struct with annotated fields"
        ) from error
    return record_type


def _struct_like(record_type: type, names: Sequence[str]) -> type:
    hints = get_type_hints(record_type)
    defaults = getattr(record_type, "_field_defaults", {})
    fields = [
        (name, hints.get(name, Any), defaults[name])
        if name in defaults
        else (name, hints.get(name, Any))
        for name in names
    ]
    return msgspec.defstruct(record_type.__name__, fields)


def from_mirror(record_type: type, made: Any) -> Any:
    """The NamedTuple of a mirror's fields."""
    return record_type(*msgspec.structs.astuple(made))
