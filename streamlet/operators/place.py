"""Says where user code failed: the operator, the subtask, the key, the timestamp, the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from reprlib import Repr
from typing import Any, Final, TypeVar

from streamlet.elements import RowBatch
from streamlet.errors import note_place
from streamlet.operators.operator import OperatorContext

T = TypeVar("T")

_SHORT: Final = Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlevel = 3


def short(value: Any) -> str:
    """The value's repr, cut to one line."""
    return _SHORT.repr(value)


def position_of_last(taken: Iterator[Any], values: list[Any]) -> int:
    """The position in `values` of what was last taken from `taken`, an iterator over them."""
    return len(values) - length_hint(taken) - 1


def select_at(
    ctx: OperatorContext, select: Callable[[Sequence[Any]], T], values: Sequence[Any]
) -> T:
    """What `select` takes out of the records; its errors name the record, and here the operator."""
    try:
        return select(values)
    except Exception as error:
        note_place(error, ctx.place())
        raise


def note_record(error: BaseException, ctx: OperatorContext, batch: RowBatch, index: int) -> None:
    """Notes that `error` came while the record at `index` of the batch was processed."""
    parts = [ctx.place()]
    if batch.keys is not None:
        parts.append(f"key {short(batch.keys[index])}")
    if batch.timestamps is not None:
        parts.append(f"timestamp {batch.timestamps[index]}")
    parts.append(f"record {short(batch.values[index])}")
    note_place(error, ", ".join(parts))


def note_firing(error: BaseException, ctx: OperatorContext, key: Any, what: str) -> None:
    """Notes that `error` came while a timer or window of `key` fired."""
    note_place(error, f"{ctx.place()}, key {short(key)}, {what}")
