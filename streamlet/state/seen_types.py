"""Which types of keys, and which classes of values, the rows of a subtask have.

Noted while a checkpoint is written, in its thread, a chunk of rows at a time: nothing is done per
record, and nothing is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from streamlet.state.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK: Final = 2_048
_FORMS: Final = (b"\xa6fields", b"\xa6member")
_TAGGED: Final = re.compile(
    rb"[\x93\x94]([\xa3-\xbf]|\xd9[\x20-\xff])([^\x00-\x1f]{3,255}?)(?:\xa6fields|\xa6member)",
    re.DOTALL,
)
"""How the codec writes what `typetags` makes: a list of three or four, the tag, the form."""

_FAMILIES: Final = {"int": "number", "float": "number", "Decimal": "number"}
"""One numeric field gives keys of all three: what is integral becomes an int (see `keys`)."""


def key_types(keys: Collection[Any]) -> set[str]:
    """The types of canonical keys; of a tuple those of its parts.

    >>> sorted(key_types([1, "a", ("b", 2), None]))
    ['(str, int)', 'None', 'int', 'str']
    """
    kinds = set(map(type, keys))
    names = {_name(kind) for kind in kinds if kind is not tuple}
    if tuple in kinds:
        tuples = keys if len(kinds) == 1 else [key for key in keys if type(key) is tuple]
        names |= {f"({', '.join(map(_name, shape))})" for shape in _type_tuples(tuples)}
    return names


def may_meet(saved: Collection[str], new: Collection[str]) -> bool:
    """Whether a key of the new types can be equal to one of the saved types.

    None says nothing: it stands for a missing part of a key of any type.
    """
    shapes, others = _shapes(saved), _shapes(new)
    if not shapes or not others:
        return True
    return any(_fits(shape, other) for shape in shapes for other in others)


class SeenTypes:
    """What was seen so far; it only grows. Used by one thread at a time."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.tags: dict[str, set[str]] = {}
        """By state: the tags of the classes that its values have (see `typetags`)."""

    def note_keys(self, layer: dict[Any, Any], layout: Layout) -> None:
        """Notes the keys of a frozen layer."""
        keys = _keys_of(layer, layout)
        while chunk := list(islice(keys, _CHUNK)):
            self.keys |= key_types(chunk)

    def note_values(self, state: str, rows: pa.RecordBatch) -> None:
        """Notes the classes in values that were encoded by streamlet's own codec.

        Counting is quick; only when a tag that is not yet known must be there is it looked for.
        """
        buffer = rows.column("value").buffers()[2]
        written = b"" if buffer is None else buffer.to_pybytes()
        marked = sum(map(written.count, _FORMS))
        if not marked:
            return
        tags = self.tags.setdefault(state, set())
        known = sum(written.count(_written(tag) + form) for tag in tags for form in _FORMS)
        if marked > known:
            tags.update(tags_in(written))


def _written(tag: str) -> bytes:
    """The tag as MessagePack has it, its length before it."""
    text = tag.encode()
    return (bytes((0xA0 + len(text),)) if len(text) < 32 else bytes((0xD9, len(text)))) + text


def tags_in(written: bytes) -> set[str]:
    """The tags in what the codec wrote; what merely looks like one has another length."""
    found = {match[2].decode("utf-8", "ignore") for match in _TAGGED.finditer(written)}
    return {tag for tag in found if len(tag.encode()) < 256 and _written(tag) in written}


def _keys_of(layer: dict[Any, Any], layout: Layout) -> Iterator[Any]:
    if layout is Layout.TIMER:
        return (key for _, key in layer)
    if layout is Layout.WINDOW:
        return chain.from_iterable(layer.values())
    return iter(layer)


def _type_tuples(tuples: Collection[tuple[Any, ...]]) -> set[tuple[type, ...]]:
    """The types of the parts of each; column by column, which is quicker than key by key."""
    shapes = set[tuple[type, ...]]()
    lengths = set(map(len, tuples))
    for length in lengths:
        alike = tuples if len(lengths) == 1 else [key for key in tuples if len(key) == length]
        columns = zip(*alike, strict=True)
        shapes |= set(zip(*(map(type, column) for column in columns), strict=True)) or {()}
    return shapes


def _name(kind: type) -> str:
    return "None" if kind is type(None) else kind.__qualname__


def _shapes(types: Iterable[str]) -> list[tuple[str, ...]]:
    """Each type as the families of its parts; a type that is no tuple has one."""
    return [
        tuple(_FAMILIES.get(part, part) for part in text.strip("()").split(", "))
        if text.startswith("(")
        else ("=", _FAMILIES.get(text, text))
        for text in types
        if text != "None"
    ]


def _fits(shape: tuple[str, ...], other: tuple[str, ...]) -> bool:
    pairs = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or "None" in (a, b) for a, b in pairs)
