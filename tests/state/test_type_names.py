"""Types as text: the same for every way of writing them, and compared part by part."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypeVar, Union

import pytest

from streamlet.state.type_names import annotated_types, may_be_read_as, type_name


class Visit:
    """A class of the user's."""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (TypeVar("T"), "Any"),
        (Optional[int], "None | int"),  # noqa: UP045 - the old way of writing it
        (Union[str, int], "int | str"),
        (int | None, "None | int"),
        (list[int], "list[int]"),
        (dict[str, list[Visit]], "dict[str, list[Visit]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Sequence[str], "Sequence[str]"),
        (Visit, "Visit"),
        ("Visit", "Any"),
    ],
)
def test_type_has_one_text(kind: Any, text: str) -> None:
    assert type_name(kind) == text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "int"),
        ("int", "None | int"),
        ("int | str", "None | int | str"),
        ("list", "list[int]"),
        ("list[int]", "list"),
        ("list[int]", "list[None | int]"),
        ("dict[str, int]", "dict[str, Any]"),
        ("", "int"),
        ("int", ""),
        ("Any", "int"),
        ("int", "object"),
        ("tuple[int, ...]", "tuple[int, ...]"),
    ],
)
def test_what_is_the_same_or_wider_or_unknown_may_be_read(old: str, new: str) -> None:
    assert may_be_read_as(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "str"),
        ("int", "float"),
        ("None | int", "int"),
        ("list[int]", "list[str]"),
        ("list[int]", "dict[int, str]"),
        ("dict[str, list[int]]", "dict[str, list[str]]"),
        ("tuple[int, int]", "tuple[int]"),
        ("list[int | str]", "list[int]"),
        ("Visit", "Session"),
    ],
)
def test_what_is_another_type_or_a_narrower_one_may_not(old: str, new: str) -> None:
    assert not may_be_read_as(old, new)


def test_annotations_are_found_in_bases_and_resolved_one_by_one() -> None:
    """One that only a type checker could resolve must not hide the others."""

    @dataclass
    class Base:
        number: Optional[int]  # noqa: UP045 - the old way of writing it

    @dataclass
    class Derived(Base):
        label: str
        unknown: Missing  # type: ignore[name-defined]  # noqa: F821 - what the test is about

    found = annotated_types(Derived, ("number", "label", "unknown", "none"))
    assert found == {"number": "None | int", "label": "str", "unknown": "", "none": ""}


def test_annotation_is_resolved_where_its_class_was_defined() -> None:
    module = types.ModuleType("streamlet_test_names")
    code = "class Inner: pass\nclass Outer:\n    inner: 'Inner'\n"
    exec(code, module.__dict__)
    sys.modules[module.__name__] = module
    try:
        assert annotated_types(module.Outer, ("inner",)) == {"inner": "Inner"}
    finally:
        del sys.modules[module.__name__]
