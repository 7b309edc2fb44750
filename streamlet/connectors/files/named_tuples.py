"""NamedTuples of columns that are just their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, get_type_hints

if TYPE_CHECKING:
    import pyarrow as pa


class TupleMaker:
    """Makes NamedTuples of columns that are just what the type declares: nothing to convert."""

    def __init__(self, record_type: type, hints: Mapping[str, type]) -> None:
        self._type = record_type
        self._hints = hints

    @classmethod
    def of(cls, record_type: type | None) -> TupleMaker | None:
        """None: it is no NamedTuple of numbers, texts and bools.

        A class derived from one is not: it may have a `__new__` of its own, which must be called.
        """
        names = () if record_type is None else vars(record_type).get("_fields", ())
        if record_type is None or not names or not issubclass(record_type, tuple):
            return None
        hints = get_type_hints(record_type)
        if any(hints.get(name) not in (int, float, bool, str) for name in names):
            return None
        return cls(record_type, {name: hints[name] for name in names})

    def fits(self, batch: pa.RecordBatch) -> bool:
        """Whether the columns are the fields as such, in all rows."""
        names = batch.schema.names
        return all(
            names.count(name) == 1
            and _IS_KIND[kind](batch.schema.field(name).type)
            and batch.column(name).null_count == 0
            for name, kind in self._hints.items()
        )

    def __call__(self, names: Sequence[str], columns: Sequence[list[Any]]) -> list[Any]:
        """The rows of a batch that fits, from its values."""
        fields = map(dict(zip(names, columns, strict=True)).__getitem__, self._hints)
        return list(map(tuple.__new__, repeat(self._type), zip(*fields, strict=True)))


def _is_kind(*tests: str) -> Callable[[pa.DataType], bool]:
    def is_one(kind: pa.DataType) -> bool:
        import pyarrow as pa

        return any(getattr(pa.types, test)(kind) for test in tests)

    return is_one


_IS_KIND: Final = {
    int: _is_kind("is_integer"),
    float: _is_kind("is_floating"),
    bool: _is_kind("is_boolean"),
    str: _is_kind("is_string", "is_large_string"),
}
"""Arrow types whose values are of that Python type."""
