"""Operator list state: lists of a subtask, not of a key, which a restore deals out anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from streamlet.errors import StateTypeError
from streamlet.state.codec import DEFAULT_CODEC, keep
from streamlet.state.collection_states import ListState
from streamlet.state.descriptors import ListStateDescriptor
from streamlet.state.layout import MISSING

ListMode: TypeAlias = Literal["split", "union"]
"""At a restore each subtask gets its share of all elements (OP-1), or all of them (OP-2)."""

SPLIT: Final = "split"
UNION: Final = "union"


@dataclass(frozen=True, slots=True)
class ListSnapshot:
    """What one subtask has in one list; an item of operator state."""

    name: str
    mode: ListMode
    subtask: int
    items: list[Any]


class OperatorLists:
    """The operator list states of one subtask.

    What was restored and is not asked for goes into the next snapshots as it is (EV-5).
    """

    def __init__(self, restored: Sequence[Any], subtask: int, place: str) -> None:
        self._subtask = subtask
        self._place = place
        self._cells = {
            part.name: _ListCell(part.mode, [keep(item, DEFAULT_CODEC) for item in part.items])
            for part in restored
            if isinstance(part, ListSnapshot)
        }

    def get(self, name: str, mode: ListMode) -> ListState[Any]:
        """The list of that name; raises StateTypeError when it has the other mode (ST-4)."""
        descriptor = ListStateDescriptor[Any](name)
        cell = self._cells.setdefault(name, _ListCell(mode, []))
        if cell.mode != mode:
            raise StateTypeError(
                f"operator list state {name!r} {self._place} is asked for as a {mode} list, but "
                f"it is a {cell.mode} list; use another name for the new state"
            )
        cell.is_asked_for = True
        return ListState(descriptor, cell)

    def snapshot(self) -> list[ListSnapshot]:
        """The lists as they are now; later changes do not reach into it (ST-5)."""
        return [
            ListSnapshot(name, cell.mode, self._subtask, list(cell.elements))
            for name, cell in self._cells.items()
            if self._writes(cell)
        ]

    def _writes(self, cell: _ListCell) -> bool:
        # All subtasks hold all of a union: one of them carries on what no function looks after.
        return cell.is_asked_for or cell.mode == SPLIT or self._subtask == 0


class _ListCell:
    """A Cell with the elements of one list; an empty list is as good as none."""

    __slots__ = ("elements", "is_asked_for", "mode")

    def __init__(self, mode: ListMode, elements: list[Any]) -> None:
        self.mode = mode
        self.elements = elements
        self.is_asked_for = False

    def get(self) -> Any:
        return self.elements or MISSING

    def for_update(self) -> Any:
        return self.get()

    def put(self, value: Any) -> None:
        self.elements = value

    def remove(self) -> None:
        self.elements = []
