"""Dataclasses, NamedTuples, msgspec Structs and enum members as a type tag and named parts.

    [tag, "fields", {name: value}]            dataclass, NamedTuple, Struct
    [tag, "fields", {...}, {name: value}]     a dataclass with attributes that are no fields
    [tag, "member", name]                     enum member

Reading a tag never imports: the class must be in a module that the job has loaded. Fields that the
class no longer has are dropped, and new ones take their default (EV-4).
"""

from __future__ import annotations

import sys
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec

from streamlet.errors import StateTypeError


def parts_of(value: Any) -> list[Any] | None:
    """The parts of a value of a supported class; None when its class is not supported."""
    kind = type(value)
    if issubclass(kind, Enum):
        return _member_parts(value, kind)
    if _is_dataclass(kind):
        return _dataclass_parts(value, kind)
    if _is_struct(kind):
        names = kind.__struct_fields__
    elif _is_named_tuple(kind) and not getattr(value, "__dict__", None):
        names = kind._fields
    else:
        return None
    return [_checked_tag(kind), "fields", {name: getattr(value, name) for name in names}]


def rebuilt(parts: list[Any]) -> Any:
    """The value of `parts_of`; raises StateTypeError when its class is not loaded or differs."""
    tag, form, content, *extras = parts
    kind = class_of(tag)
    if form == "member" and kind is not None and issubclass(kind, Enum):
        return _rebuilt_member(kind, tag, content)
    if form == "fields" and kind is not None:
        if _is_dataclass(kind):
            return _rebuilt_dataclass(kind, tag, content, extras)
        if _is_named_tuple(kind):
            return _rebuilt_named_tuple(kind, tag, content)
        if _is_struct(kind):
            return _rebuilt_struct(kind, tag, content)
    raise StateTypeError(
        f"state has a value of type {tag!r}, and no loaded module has such a "
        f"{'dataclass, NamedTuple or Struct' if form == 'fields' else 'enum'}; "
        f"the job must import the module {tag.partition(':')[0]!r} that defines it"
    )


def type_tag(kind: type) -> str:
    """How state names the class: `module:QualName`, and the job file's stem for `__main__`."""
    module = kind.__module__
    return f"{_main_stem() if module == '__main__' else module}:{kind.__qualname__}"


def class_of(tag: str) -> type | None:
    """The class of a tag; None when no loaded module has it. Never imports."""
    module, _, qualified_name = tag.partition(":")
    if module == _main_stem():
        kind = _look_up(sys.modules.get("__main__"), qualified_name)
        if kind is not None:
            return kind
    return _look_up(sys.modules.get(module), qualified_name)


def hint_of_job_file(tag: str) -> str:
    """What to say of a tag without a class when the job file has one: the file was renamed."""
    module, _, qualified_name = tag.partition(":")
    if _look_up(sys.modules.get("__main__"), qualified_name) is None:
        return ""
    return f". The job file has one: call the file {module}.py as before"


def fields_of(kind: type) -> dict[str, bool] | None:
    """The fields by which values of a class travel, and whether each has a default.

    None for a class that state cannot keep; an enum has none.
    """
    if _is_dataclass(kind):
        return {
            field.name: field.default is not NO_DEFAULT or field.default_factory is not NO_DEFAULT
            for field in fields(kind)
        }
    if _is_named_tuple(kind):
        named: Any = kind
        return {name: name in named._field_defaults for name in named._fields}
    if _is_struct(kind):
        return {field.name: not field.required for field in msgspec.structs.fields(kind)}
    return {} if issubclass(kind, Enum) else None


def _main_stem() -> str:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return PurePath(file).stem if file else "__main__"


def _checked_tag(kind: type) -> str:
    tag = type_tag(kind)
    if class_of(tag) is not kind:
        raise StateTypeError(
            f"state cannot keep a value of type {tag!r}: no module has the class under that name, "
            "so it could not be read back; define it at the top level of a module"
        )
    return tag


def _look_up(place: Any, qualified_name: str) -> type | None:
    for name in qualified_name.split("."):
        # vars, not getattr: a module may import on attribute access, and reading must not
        place = getattr(place, "__dict__", {}).get(name)
    return place if isinstance(place, type) else None


def _is_dataclass(kind: type) -> bool:
    # an undecorated subclass inherits the mark, but may have attributes of its own
    return "__dataclass_fields__" in kind.__dict__


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def _is_struct(kind: type) -> bool:
    return hasattr(kind, "__struct_fields__")


def _member_parts(value: Enum, kind: type[Enum]) -> list[Any] | None:
    if kind.__members__.get(value.name) is not value:
        return None  # a combination of flags has no name of its own
    return [_checked_tag(kind), "member", value.name]


def _dataclass_parts(value: Any, kind: type) -> list[Any]:
    names = [field.name for field in fields(kind)]
    content = {name: getattr(value, name) for name in names}
    extras = {
        name: attribute
        for name, attribute in getattr(value, "__dict__", {}).items()
        if name not in content
    }
    parts = [_checked_tag(kind), "fields", content]
    return [*parts, extras] if extras else parts


def _rebuilt_member(kind: type[Enum], tag: str, name: str) -> Enum:
    member = kind.__members__.get(name)
    if member is None:
        raise StateTypeError(f"state has the member {name!r} of {tag!r}, which the enum lacks now")
    return member


def _rebuilt_dataclass(
    kind: type, tag: str, content: dict[str, Any], extras: list[dict[str, Any]]
) -> Any:
    # without __init__, as copying does: __post_init__ may not be fit to run twice
    value: Any = object.__new__(kind)
    for field in fields(kind):
        name = field.name
        part = content[name] if name in content else _default_of(field, tag)
        object.__setattr__(value, name, part)
    for name, part in (extras[0] if extras else {}).items():
        object.__setattr__(value, name, part)
    return value


def _default_of(field: Field[Any], tag: str) -> Any:
    if field.default is not NO_DEFAULT:
        return field.default
    if field.default_factory is not NO_DEFAULT:
        return field.default_factory()
    raise _new_field(tag, field.name)


def _new_field(tag: str, name: str) -> StateTypeError:
    return StateTypeError(
        f"state has a {tag!r} without the field {name!r}; give the new field a default"
    )


def _rebuilt_named_tuple(kind: Any, tag: str, content: dict[str, Any]) -> Any:
    parts = []
    for name in kind._fields:
        if name in content:
            parts.append(content[name])
        elif name in kind._field_defaults:
            parts.append(kind._field_defaults[name])
        else:
            raise _new_field(tag, name)
    return tuple.__new__(kind, parts)


def _rebuilt_struct(kind: Any, tag: str, content: dict[str, Any]) -> Any:
    try:
        return kind(**{name: content[name] for name in kind.__struct_fields__ if name in content})
    except TypeError as error:
        raise StateTypeError(f"state has a {tag!r} that its class refuses: {error}") from error
