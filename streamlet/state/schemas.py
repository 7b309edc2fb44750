"""What a manifest notes of a state: kind, codec, types, and the classes that its values have.

A restore compares it with what the program asks for, so that a change that cannot be read is
refused by name before the first record (EV-3, EV-4).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from streamlet.state.codec import DEFAULT_CODEC, Codec
from streamlet.state.type_names import annotated_types, may_be_read_as
from streamlet.state.typetags import class_of, fields_of, hint_of_job_file, type_tag


class ClassSchema(msgspec.Struct, frozen=True):
    """A class of which values are in a state."""

    tag: str
    """`module:QualName`"""
    fields: dict[str, str] = {}
    """Field name to the text of its type; empty where that is not known. Enums have none."""


class StateEntry(msgspec.Struct, frozen=True):
    """One named state of an operator. What an older version did not note is empty."""

    name: str
    kind: str
    codec: str = ""
    value_type: str = ""
    """The type that the descriptor declares."""
    classes: list[ClassSchema] = []


def is_own_state(name: str) -> bool:
    """Whether it is an operator's own, such as its timers, and not one of the user's."""
    return name.startswith("_") and not name.startswith(("_ttl/", "_window/"))


def codec_name(codec: Codec) -> str:
    """How a manifest names the codec of a descriptor."""
    if codec is DEFAULT_CODEC:
        return "messagepack"
    inner = getattr(codec, "inner", None)
    if inner is not None:
        return codec_name(inner)
    return type_tag(codec if isinstance(codec, type) else type(codec))


def class_schemas(seen: Collection[str], restored: Sequence[ClassSchema] = ()) -> list[ClassSchema]:
    """The classes of these tags as they are now, and all those restored.

    A tag without a class was none: a value had bytes that look like one, and nothing could ever be
    found under it again.
    """
    known = {schema.tag: schema for schema in restored}
    tags = known.keys() | {tag for tag in seen if _is_kept(class_of(tag))}
    return [_class_schema(tag, known.get(tag)) for tag in sorted(tags)]


def _is_kept(kind: type | None) -> bool:
    """Whether state can have values of the class."""
    return kind is not None and fields_of(kind) is not None


def _class_schema(tag: str, restored: ClassSchema | None) -> ClassSchema:
    """Fields that only the restored one has are kept: rows written by it may still be there."""
    kind = class_of(tag)
    fields = {} if restored is None else dict(restored.fields)
    if kind is not None:
        fields |= annotated_types(kind, tuple(fields_of(kind) or ()))
    return ClassSchema(tag, fields)


def class_changes(classes: Sequence[ClassSchema]) -> list[str]:
    """Why values of these classes cannot be read any more, one sentence per class or field."""
    names = _new_names(classes)
    return [problem for schema in classes for problem in _changes_of(schema, names)]


def state_changes(saved: StateEntry, asked: StateEntry) -> list[str]:
    """Why the saved state cannot be taken over as the one the program asks for."""
    if saved.kind != asked.kind:
        return [f"it was {saved.kind} state and is {asked.kind} state now"]
    if saved.codec and saved.codec != asked.codec:
        return [f"its codec was {saved.codec!r} and is {asked.codec!r} now"]
    changes, was = [], _renamed(saved.value_type, _new_names(saved.classes))
    if not may_be_read_as(was, asked.value_type):
        changes.append(f"its type was {saved.value_type!r} and is {asked.value_type!r} now")
    return changes + class_changes(saved.classes)


def merged_entries(entries: Iterable[StateEntry]) -> list[StateEntry]:
    """One entry per state, with the classes that any of the subtasks has seen."""
    merged: dict[str, StateEntry] = {}
    for entry in entries:
        known = merged.get(entry.name, entry)
        classes = {schema.tag: schema for schema in (*known.classes, *entry.classes)}
        ordered = [classes[tag] for tag in sorted(classes)]
        merged[entry.name] = msgspec.structs.replace(known, classes=ordered)
    return list(merged.values())


def _new_names(classes: Iterable[ClassSchema]) -> dict[str, str]:
    """Old name to new of classes that are found under their old one by an alias."""
    found = ((schema.tag.partition(":")[2], class_of(schema.tag)) for schema in classes)
    return {name: kind.__qualname__ for name, kind in found if kind is not None}


def _renamed(type_text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"[\w.]+", lambda match: names.get(match[0], match[0]), type_text)


def _changes_of(schema: ClassSchema, names: Mapping[str, str]) -> list[str]:
    kind = class_of(schema.tag)
    if kind is None:
        module = schema.tag.partition(":")[0]
        return [
            f"no loaded module has the class {schema.tag!r}; import it where the job begins, or "
            f"keep the class under that name in {module!r}, if only as an alias"
            f"{hint_of_job_file(schema.tag)}"
        ]
    now, changes = fields_of(kind), list[str]()
    if now is None:
        return [f"{schema.tag!r} is no dataclass, NamedTuple, Struct or enum any more"]
    types = annotated_types(kind, tuple(now))
    for name, has_default in now.items():
        if name not in schema.fields:
            if not has_default:
                changes.append(f"{schema.tag!r} has the new field {name!r}; give it a default")
        elif not may_be_read_as(_renamed(schema.fields[name], names), types[name]):
            changes.append(
                f"{schema.tag!r}: field {name!r} was {schema.fields[name]!r} and is "
                f"{types[name]!r} now; keep its type, and add a field with a default for the new"
            )
    return changes
