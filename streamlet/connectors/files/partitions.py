"""Which subdirectory of the output a record belongs to: `key=value`, as Hive names them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

from streamlet.columns import encode_fields
from streamlet.connectors.files.malformed import shorten
from streamlet.connectors.files.text_columns import is_known
from streamlet.errors import ConfigError, RecordError
from streamlet.selectors import Selector, compile_batch_selector

if TYPE_CHECKING:
    import pyarrow as pa

PartitionBy: TypeAlias = Selector | list[Selector] | tuple[Selector, ...]
"""A field name, a position, a function of the record, or several of them, outermost first."""

_NONE: Final = "__HIVE_DEFAULT_PARTITION__"
_MAX_NAME_BYTES: Final = 255
_MAX_CACHED: Final = 10_000


class Partitions:
    """Groups records by subdirectory.

    Names are URL-quoted, so that a value never leaves the output directory; None is called what
    Hive calls it. A function of the record gives `partition=value`.
    """

    def __init__(self, partition_by: PartitionBy) -> None:
        selectors: Sequence[Selector] = (
            partition_by if isinstance(partition_by, (list, tuple)) else [partition_by]
        )
        if not selectors:
            raise ConfigError("partition_by must name at least one field, got none")
        self._fields = [one for one in selectors if isinstance(one, str)]
        self.takes_columns = len(self._fields) == len(selectors)
        """Whether `group_columns` may be asked."""
        self._levels = [(_label(one), compile_batch_selector(one)) for one in selectors]
        self._names: dict[tuple[str, type, Any], str] = {}

    def group(self, values: Sequence[Any]) -> dict[str, list[Any]]:
        """The records by relative directory, each in arrival order."""
        levels = [
            [self._name(label, part) for part in select(values)] for label, select in self._levels
        ]
        groups: dict[str, list[Any]] = {}
        for value, *directories in zip(values, *levels, strict=True):
            groups.setdefault("/".join(directories), []).append(value)
        return groups

    def group_columns(self, records: pa.RecordBatch) -> dict[str, pa.RecordBatch] | None:
        """As `group`; None if only Python values can tell what it gives."""
        import numpy as np
        import pyarrow as pa

        if not self.takes_columns or not all(map(partial(_is_discrete, records), self._fields)):
            return None
        codes, distinct = encode_fields(records, self._fields)
        numbers: dict[str, int] = {}
        directories = map(self._directory, distinct.tolist())
        number_of = [numbers.setdefault(one, len(numbers)) for one in directories]
        rows = np.asarray(number_of, np.int64)[codes]
        order = np.argsort(rows, kind="stable")
        found, firsts, counts = np.unique(rows, return_index=True, return_counts=True)
        stops, names = np.cumsum(counts), list(numbers)
        groups = {}
        for which in np.argsort(firsts).tolist():
            group = order[stops[which] - counts[which] : stops[which]]
            groups[names[found[which]]] = records.take(pa.array(group))
        return groups

    def _directory(self, values: Any) -> str:
        parts = values if len(self._levels) > 1 else (values,)
        return "/".join(
            self._name(label, part) for (label, _), part in zip(self._levels, parts, strict=True)
        )

    def _name(self, label: str, value: Any) -> str:
        try:
            # The type belongs to the key: 1, 1.0 and True are equal, their texts are not.
            cached = self._names.get((label, type(value), value))
        except TypeError as error:
            raise RecordError(
                f"partition_by {label!r} gave {shorten(repr(value))}: expected text, a number, a "
                "date or None"
            ) from error
        if cached is not None:
            return cached
        name = f"{label}={_NONE if value is None else quote(str(value), safe=' ')}"
        if len(name) > _MAX_NAME_BYTES:
            raise RecordError(
                f"partition_by {label!r} gave {shorten(repr(value))}: too long for the name of a "
                "directory"
            )
        if len(self._names) >= _MAX_CACHED:
            self._names.clear()
        self._names[label, type(value), value] = name
        return name


def _is_discrete(records: pa.RecordBatch, name: str) -> bool:
    """Whether the field is one column of values that are equal only if they are written alike."""
    import pyarrow as pa

    if records.schema.names.count(name) != 1:
        return False
    kind = records.schema.field(name).type
    return is_known(kind) and not pa.types.is_floating(kind) and not pa.types.is_decimal(kind)


def _label(selector: Selector) -> str:
    if isinstance(selector, str):
        return quote(selector, safe=" ")
    return "partition" if callable(selector) else f"c{selector}"
