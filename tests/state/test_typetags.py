"""Classes of the job in state: by field name under a tag, and never by importing."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, make_dataclass
from enum import Enum, Flag, IntEnum
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest

from streamlet.errors import StateTypeError
from streamlet.state.codec import decode, encode
from streamlet.state.typetags import hint_of_job_file, type_tag


@dataclass
class Click:
    user: str
    pages: list[str] = field(default_factory=list)
    parent: Click | None = None


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: tuple[int, ...] = ()


@dataclass
class Derived:
    cents: int
    euros: float = field(init=False)

    def __post_init__(self) -> None:
        self.cents *= 100
        self.euros = self.cents / 100
        self.note = "no field"

    @cached_property
    def label(self) -> str:
        return f"{self.euros} EUR"


class Undecorated(Click):
    pass


class Point(NamedTuple):
    x: int
    y: int = 0


class Labelled(Point):
    """A subclass of a NamedTuple with a method of its own."""

    __slots__ = ()

    def norm(self) -> int:
        return abs(self.x) + abs(self.y)


class Bid(msgspec.Struct):
    price: int
    tags: list[str] = []


class Colour(Enum):
    RED = object()


class Level(IntEnum):
    LOW = 1


class Rights(Flag):
    READ = 1
    WRITE = 2


class Outer:
    @dataclass
    class Inner:
        x: int


@pytest.mark.parametrize(
    "value",
    [
        Click("u", ["a"], Click("v")),
        Frozen(1, (2, 3)),
        Point(1, 2),
        Labelled(3, 4),
        Bid(5, ["x"]),
        Level.LOW,
        Rights.WRITE,
        Outer.Inner(1),
        [Point(1), {"k": Frozen(1)}],
        {Point(1): Level.LOW, Frozen(1): {Point(2)}},
    ],
    ids=repr,
)
def test_instance_comes_back_equal_and_of_its_class(value: Any) -> None:
    again = decode(encode(value))
    assert again == value
    assert type(again) is type(value)


def test_enum_member_comes_back_as_the_same_object() -> None:
    assert decode(encode(Colour.RED)) is Colour.RED


def test_dataclass_comes_back_without_running_its_code_again() -> None:
    value = Derived(5)
    assert value.label == "5.0 EUR"
    again = decode(encode(value))
    assert (again.cents, again.euros, again.note, again.label) == (500, 5.0, "no field", "5.0 EUR")


@pytest.mark.parametrize(
    "value", [Undecorated("u"), Rights.READ | Rights.WRITE, make_dataclass("Local", ["x"])(1)]
)
def test_what_could_not_be_read_back_is_refused(value: Any) -> None:
    with pytest.raises(StateTypeError):
        encode(value)


def test_local_class_is_refused_with_the_way_out() -> None:
    @dataclass
    class Local:
        x: int

    with pytest.raises(StateTypeError, match="top level"):
        encode(Local(1))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A loaded module whose classes a test may replace."""
    module = ModuleType("clicks_job")
    monkeypatch.setitem(sys.modules, "clicks_job", module)
    return module


def define(module: ModuleType, name: str, base: str, fields: str) -> Any:
    """Defines `name` in the module, as its source would."""
    lines = ["import dataclasses, msgspec, typing", base]
    lines += [f"    {line.strip()}" for line in fields.split(";")]
    exec("\n".join(lines), module.__dict__)
    kind = getattr(module, name)
    kind.__module__ = module.__name__
    return kind


BASES = {
    "dataclass": "@dataclasses.dataclass\nclass C:",
    "NamedTuple": "class C(typing.NamedTuple):",
    "Struct": "class C(msgspec.Struct):",
}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES.keys())
def test_fields_may_come_and_go(job: ModuleType, base: str) -> None:
    """EV-4."""
    payload = encode(define(job, "C", base, "a: int; gone: int")(1, 2))
    define(job, "C", base, "a: int; new: int = 7")
    again = decode(payload)
    assert (again.a, again.new) == (1, 7)
    assert not hasattr(again, "gone")


@pytest.mark.parametrize("base", BASES.values(), ids=BASES.keys())
def test_new_field_without_default_is_refused(job: ModuleType, base: str) -> None:
    """EV-4."""
    payload = encode(define(job, "C", base, "a: int")(1))
    define(job, "C", base, "a: int; new: int")
    with pytest.raises(StateTypeError, match="new"):
        decode(payload)


def test_class_that_is_not_loaded_is_refused_and_never_imported(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = encode(define(job, "C", BASES["dataclass"], "a: int")(1))
    monkeypatch.delitem(sys.modules, "clicks_job")
    with pytest.raises(StateTypeError, match="must import the module 'clicks_job'"):
        decode(payload)
    assert "clicks_job" not in sys.modules


def test_name_that_is_no_data_class_now_is_refused(job: ModuleType) -> None:
    payload = encode(define(job, "C", BASES["dataclass"], "a: int")(1))
    job.__dict__["C"] = Undecorated
    with pytest.raises(StateTypeError, match="clicks_job:C"):
        decode(payload)


def test_lost_enum_member_is_refused(job: ModuleType) -> None:
    base = "import enum\nclass C(enum.Enum):"
    payload = encode(define(job, "C", base, "A = 1; B = 2").B)
    define(job, "C", base, "A = 1")
    with pytest.raises(StateTypeError, match="'B'"):
        decode(payload)


def test_class_of_the_job_file_has_one_tag_as_script_and_as_module(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ModuleType("__main__")
    main.__file__ = "/somewhere/clicks_job.py"
    kind = define(main, "C", BASES["dataclass"], "a: int")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert type_tag(kind) == "clicks_job:C"
    payload = encode(kind(1))
    assert type(decode(payload)) is kind
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    imported = define(job, "C", BASES["dataclass"], "a: int")
    assert decode(payload) == imported(1)
    assert encode(imported(1)) == payload


def test_job_file_that_was_renamed_is_told_its_old_name(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the job as job_v2.py once was told to import a class that it has."""
    main = ModuleType("__main__")
    main.__file__ = "/somewhere/clicks_v2.py"
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert hint_of_job_file("clicks:C") == ""
    define(main, "C", BASES["dataclass"], "a: int")
    assert "call the file clicks.py as before" in hint_of_job_file("clicks:C")
