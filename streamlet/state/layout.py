"""What a table of state looks like: its layout, its codec, and how its rows become entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from streamlet.state.codec import (
    DEFAULT_CODEC,
    Codec,
    Encoded,
    encode_all,
    handed_out,
    keep_payload,
)


class Absent(Enum):
    """The two ways a look-up in a dict of entries can find nothing."""

    MISSING = "missing"
    TOMBSTONE = "tombstone"


MISSING: Final = Absent.MISSING
"""Nothing is known here: look further."""

TOMBSTONE: Final = Absent.TOMBSTONE
"""The entry was removed, but an older copy may lie further down: do not look there."""


class Layout(Enum):
    """Which of a row's columns make the entry of a table."""

    KEY = "key"
    """Flat: the entry is the key."""
    MAP = "map"
    """Nested: outer is the key, inner the map key."""
    WINDOW = "window"
    """Nested: outer is the namespace `(start, end)`, inner the key."""
    TIMER = "timer"
    """Flat: the entry is `(timestamp_ms, key)`; the value of a restored timer is None."""

    @property
    def is_flat(self) -> bool:
        """Whether entries have one part; those of nested tables have an outer and an inner."""
        return self in (Layout.KEY, Layout.TIMER)


@dataclass(frozen=True, slots=True)
class StateSpec:
    """What one table holds.

    `owned`: values are decoded objects that only the engine changes, in place. `copy` makes an
    independent copy of such a value when it is cheaper than encoding and decoding it.
    """

    name: str
    kind: str
    layout: Layout
    codec: Codec = DEFAULT_CODEC
    owned: bool = False
    copy: Callable[[Any], Any] | None = None

    def payloads(self, values: list[Any]) -> list[bytes]:
        """The values as they are written into rows."""
        if self.layout is Layout.TIMER:
            return [b""] * len(values)
        kinds = set(map(type, values))
        if kinds == {Encoded}:
            return [value.payload for value in values]
        if self.codec is DEFAULT_CODEC and Encoded not in kinds:
            return encode_all(values)
        encode = self.codec.encode
        return [value.payload if type(value) is Encoded else encode(value) for value in values]

    def revive(self, payload: bytes) -> Any:
        """The value of a row, as a table keeps it."""
        if self.layout is Layout.TIMER:
            return None
        if self.owned:
            return self.codec.decode(payload)
        return keep_payload(payload, self.codec)

    def revive_all(self, payloads: list[bytes]) -> list[Any]:
        """`revive` of each."""
        if self.layout is Layout.TIMER:
            return [None] * len(payloads)
        if self.owned:
            return list(map(self.codec.decode, payloads))
        return [keep_payload(payload, self.codec) for payload in payloads]

    def copied(self, value: Any) -> Any:
        """An owned value that may be changed without changing the one given."""
        if not self.owned:
            return value
        if self.copy is not None:
            return self.copy(value)
        return handed_out(value, self.codec)
