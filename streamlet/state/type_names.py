"""Types as the text that a manifest keeps, and whether values of one may be read as another.

The text names classes without their module, unions in one order and None as `None`, so that
`Optional[int]` and `int | None`, or an annotation that became a string, are the same type. What
cannot be resolved is the empty text, of which nothing is known.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

UNKNOWN: Final = ""
_ANYTHING: Final = frozenset({UNKNOWN, "Any", "object"})
_TOKEN: Final = re.compile(r"[\[\]|,]|[^\[\]|,]+")


def type_name(kind: Any) -> str:
    """The text of a type, as a descriptor or an annotation has it.

    >>> type_name(dict[str, int | None]), type_name(None)
    ('dict[str, None | int]', 'None')
    """
    if kind is None or kind is type(None):
        return "None"
    if kind is Any or isinstance(kind, TypeVar | str):
        return "Any"
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return " | ".join(sorted({type_name(member) for member in get_args(kind)}))
    if isinstance(origin, type):
        arguments = ", ".join(
            "..." if part is Ellipsis else type_name(part) for part in get_args(kind)
        )
        return f"{origin.__qualname__}[{arguments}]"
    return kind.__qualname__ if isinstance(kind, type) else UNKNOWN


def annotated_types(kind: type, names: tuple[str, ...]) -> dict[str, str]:
    """The text of each attribute's annotation, wherever in the bases of the class it stands."""
    found = dict.fromkeys(names, UNKNOWN)
    for base in reversed(kind.__mro__):
        module = sys.modules.get(base.__module__)
        for name, annotation in inspect.get_annotations(base).items():
            if name in found:
                found[name] = _resolved(name, annotation, vars(module) if module else {})
    return found


def may_be_read_as(old: str, new: str) -> bool:
    """Whether what was written as `old` is what is expected of `new`; True when it is not known.

    >>> may_be_read_as("int", "None | int"), may_be_read_as("list", "list[int]")
    (True, True)
    >>> may_be_read_as("int", "str"), may_be_read_as("None | int", "int")
    (False, False)
    """
    return _fits(_parsed(old), _parsed(new))


def _resolved(name: str, annotation: Any, names: dict[str, Any]) -> str:
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return type_name(get_type_hints(holder, globalns=names)[name])
    except Exception:  # a name that only the type checker knows: then nothing is known of it
        return UNKNOWN


Member = tuple[str, tuple[Any, ...]]
"""A type's name and its arguments, each a union: a tuple of members."""


def _parsed(text: str) -> tuple[Member, ...]:
    """The members of a union."""
    return _union(iter([*(token.strip() for token in _TOKEN.findall(text)), ""]))[0]


def _union(tokens: Iterator[str]) -> tuple[tuple[Member, ...], str]:
    """The union that begins here, and the token behind it."""
    members: list[Member] = []
    name, arguments = UNKNOWN, ()
    for token in tokens:
        if token == "[":
            arguments = _arguments(tokens)
        elif token in ("|", ",", "]", ""):
            members.append((name, arguments))
            name, arguments = UNKNOWN, ()
            if token != "|":
                return tuple(members), token
        else:
            name = token
    return tuple(members), ""


def _arguments(tokens: Iterator[str]) -> tuple[Any, ...]:
    arguments, end = [], ","
    while end == ",":
        argument, end = _union(tokens)
        arguments.append(argument)
    return tuple(arguments)


def _fits(old: tuple[Member, ...], new: tuple[Member, ...]) -> bool:
    """Every member of the one must be a member of the other."""
    if any(name in _ANYTHING for name, _ in (*old, *new)):
        return True
    return all(any(_member_fits(member, other) for other in new) for member in old)


def _member_fits(old: Member, new: Member) -> bool:
    if old[0] != new[0]:
        return False
    if not old[1] or not new[1]:
        return True  # `list` and `list[int]`: more or less was said of the same
    return len(old[1]) == len(new[1]) and all(map(_fits, old[1], new[1]))
