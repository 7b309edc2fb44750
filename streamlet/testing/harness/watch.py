"""Notices when a record is changed that others hold as well."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from streamlet.errors import StateTypeError
from streamlet.selectors import show_record
from streamlet.state.codec import ATOMS, decode, encode

WATCHED_RECORDS: Final = 64


class RecordWatch:
    """The records an operator was given and those it gave, the latest 64 of each.

    In a running job several operators hold the same record, so that one which changes it changes
    what the others see, depending on the plan.
    """

    def __init__(self) -> None:
        self._watched: dict[str, deque[tuple[Any, bytes]]] = {}

    def given(self, value: Any) -> Any:
        """A copy for the operator, watched from now on; the test may change its own."""
        payload = _payload(value)
        if payload is None:
            return value
        copied = decode(payload)
        self._watch("was given", copied, payload)
        return copied

    def yielded(self, value: Any) -> Any:
        """A copy for the test; the operator's own is watched from now on."""
        payload = _payload(value)
        if payload is None:
            return value
        self._watch("has yielded", value, payload)
        return decode(payload)

    def check(self) -> None:
        """Raises AssertionError when a watched record is not what it was."""
        for what, records in self._watched.items():
            for value, payload in records:
                if _payload(value) != payload:
                    raise AssertionError(
                        f"a record that the function {what} was changed by it: it was "
                        f"{show_record(decode(payload))}, it is {show_record(value)}. Records are "
                        "shared with other operators: change a copy"
                    )

    def _watch(self, what: str, value: Any, payload: bytes) -> None:
        self._watched.setdefault(what, deque(maxlen=WATCHED_RECORDS)).append((value, payload))


def _payload(value: Any) -> bytes | None:
    """What to compare; None for what nobody can change, and for what the codec cannot keep."""
    if type(value) in ATOMS:
        return None
    try:
        return encode(value)
    except StateTypeError:
        return None
