"""Which subdirectory of the output a record belongs to: `key=value`, as Hive names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from streamlet.connectors.files.malformed import shorten
from streamlet.errors import ConfigError, RecordError
from streamlet.selectors import Selector, compile_batch_selector

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


def _label(selector: Selector) -> str:
    if isinstance(selector, str):
        return quote(selector, safe=" ")
    return "partition" if callable(selector) else f"c{selector}"
