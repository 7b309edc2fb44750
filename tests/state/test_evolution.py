"""A later version of a program and the state of an earlier one: read, or refused by name."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
import pytest

from streamlet import (
    AggregateFunction,
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.errors import RestoreError
from streamlet.state.codec import encode
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog
from streamlet.state.schemas import StateEntry, merged_entries
from streamlet.testing import ManualClock

OpenLog: TypeAlias = Callable[..., StateLog]

CLASSES = {
    "dataclass": "@dataclasses.dataclass\nclass C:",
    "NamedTuple": "class C(typing.NamedTuple):",
    "Struct": "class C(msgspec.Struct):",
}


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A loaded module whose classes a test may replace."""
    module = ModuleType("visits_job")
    monkeypatch.setitem(sys.modules, "visits_job", module)
    return module


Define: TypeAlias = Callable[[str], Any]


@pytest.fixture(params=list(CLASSES.values()), ids=list(CLASSES))
def define(request: pytest.FixtureRequest, job: ModuleType) -> Define:
    """Gives the module the class C with these fields, as its source would."""

    def define(fields: str) -> Any:
        lines = ["import dataclasses, enum, msgspec, typing", request.param]
        lines += [f"    {line.strip()}" for line in fields.split(";")]
        exec("\n".join(lines), job.__dict__)
        kind = vars(job)["C"]
        kind.__module__ = job.__name__
        return kind

    return define


@dataclasses.dataclass
class Visits:
    count: int


class Latest(AggregateFunction[Any, list[Any], Any]):
    """Keeps the last value as it is."""

    def create_accumulator(self) -> list[Any]:
        return []

    def add(self, value: Any, accumulator: list[Any], /) -> list[Any]:
        return [value]

    def get_result(self, accumulator: list[Any], /) -> Any:
        return accumulator[0]

    def merge(self, a: list[Any], b: list[Any], /) -> list[Any]:
        return b or a


class Reversed:
    """A codec of the user's."""

    def encode(self, value: Any, /) -> bytes:
        return json.dumps(value).encode()[::-1]

    def decode(self, payload: bytes, /) -> Any:
        return json.loads(payload[::-1])


class Plain(Reversed):
    """Another."""

    def encode(self, value: Any, /) -> bytes:
        return json.dumps(value).encode()

    def decode(self, payload: bytes, /) -> Any:
        return json.loads(payload)


def last(old: Any, new: Any) -> Any:
    return new


def put(log: StateLog, state: str, value: Any, **options: Any) -> None:
    """Puts a value into a state of this kind, named after it."""
    log.key = "k"
    handles = KeyedStateHandles(log, ManualClock(1_000))
    if state == "value":
        handles.get_state(ValueStateDescriptor("s", **options)).update(value)
    elif state == "list":
        handles.get_list_state(ListStateDescriptor("s", **options)).add(value)
    elif state == "map":
        handles.get_map_state(MapStateDescriptor("s", **options)).put(1, value)
    elif state == "reducing":
        handles.get_reducing_state(ReducingStateDescriptor("s", last, **options)).add(value)
    elif state == "window":
        window = handles.namespaced((0, 10))
        window.get_state(ValueStateDescriptor("s", **options)).update(value)
    else:
        descriptor = AggregatingStateDescriptor[Any, Any]("s", Latest(), **options)
        handles.get_aggregating_state(descriptor).add(value)


def get(log: StateLog, state: str, **options: Any) -> Any:
    """The value that `put` has put."""
    log.key = "k"
    handles = KeyedStateHandles(log, ManualClock(1_000))
    if state == "value":
        return handles.get_state(ValueStateDescriptor("s", **options)).value()
    if state == "list":
        return handles.get_list_state(ListStateDescriptor("s", **options)).get()[0]
    if state == "map":
        return handles.get_map_state(MapStateDescriptor("s", **options)).get(1)
    if state == "reducing":
        return handles.get_reducing_state(ReducingStateDescriptor("s", last, **options)).get()
    if state == "window":
        window = handles.namespaced((0, 10))
        return window.get_state(ValueStateDescriptor("s", **options)).value()
    descriptor = AggregatingStateDescriptor[Any, Any]("s", Latest(), **options)
    return handles.get_aggregating_state(descriptor).get()


Saved: TypeAlias = tuple[list[pa.RecordBatch], bytes]
"""The rows of a checkpoint, and what its manifest notes of them."""


def saved(log: StateLog) -> Saved:
    """A checkpoint of all that is in the log."""
    rows = list(log.write(log.freeze()))
    return rows, msgspec.json.encode([merged_entries(log.entries()), log.types.key_types()])


def restored(checkpoint: Saved, open_log: OpenLog) -> StateLog:
    """The log of a later program that begins with the checkpoint."""
    rows, noted = checkpoint
    entries, keys = msgspec.json.decode(noted, type=tuple[list[StateEntry], list[str]])
    log: StateLog = open_log()
    log.types.expect(entries, keys, must_meet=True)
    log.restore(rows)
    return log


STATES = ["value", "list", "map", "reducing", "aggregating", "window"]


@pytest.mark.parametrize("ttl", [None, "1h"], ids=["", "ttl"])
@pytest.mark.parametrize("state", STATES)
def test_fields_with_a_default_may_come_and_others_may_go(
    open_log: OpenLog, define: Define, state: str, ttl: str | None
) -> None:
    """EV-4."""
    first = open_log()
    put(first, state, define("a: int; gone: str")(1, "x"), ttl=ttl)
    checkpoint = saved(first)
    define("a: int; new: int = 7")
    found = get(restored(checkpoint, open_log), state, ttl=ttl)
    assert (found.a, found.new) == (1, 7)
    assert not hasattr(found, "gone")


@pytest.mark.parametrize("state", ["value", "aggregating", "window"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("a: int; new: int", ["'visits_job:C'", "'new'", "default"]),
        ("a: str", ["'visits_job:C'", "'a'", "'int'", "'str'"]),
    ],
)
def test_field_that_cannot_be_read_is_refused_when_its_state_is_asked_for(
    open_log: OpenLog, define: Define, state: str, fields: str, said: list[str]
) -> None:
    """EV-4: not at the hundredth record that needs it."""
    first = open_log()
    put(first, state, [define("a: int")(1)])
    checkpoint = saved(first)
    define(fields)
    again = restored(checkpoint, open_log)
    with pytest.raises(RestoreError) as caught:
        get(again, state)
    assert len(str(caught.value).splitlines()) <= 15
    for part in ["s'", "in operator 'counts'", "another name", *said]:
        assert part in str(caught.value)


def test_wider_type_of_a_field_is_no_change(open_log: OpenLog, define: Define) -> None:
    first = open_log()
    put(first, "value", define("a: int; b: list")(1, [2]))
    checkpoint = saved(first)
    define("a: int | None; b: list[int]")
    assert get(restored(checkpoint, open_log), "value").b == [2]


def test_field_that_went_and_came_back_with_another_type_is_refused(
    open_log: OpenLog, define: Define
) -> None:
    """The rows of the first program are still as it wrote them."""
    first = open_log()
    put(first, "value", define("a: int; b: int = 0")(1, 2))
    rows, noted = saved(first)
    define("a: int")
    second = restored((rows, noted), open_log)
    assert get(second, "value").a == 1
    changes, noted = saved(second)
    assert changes == []
    define("a: int; b: str = ''")
    with pytest.raises(RestoreError, match="field 'b' was 'int' and is 'str'"):
        get(restored((rows, noted), open_log), "value")


def test_class_that_was_renamed_is_refused_and_an_alias_is_the_way_out(
    open_log: OpenLog, define: Define, job: ModuleType
) -> None:
    first = open_log()
    kind = define("a: int")
    put(first, "value", kind(1), type=kind)
    checkpoint = saved(first)
    del vars(job)["C"]
    again = restored(checkpoint, open_log)
    with pytest.raises(RestoreError, match=r"class 'visits_job:C'.* alias"):
        get(again, "value", type=kind)
    kind.__qualname__ = "Renamed"
    vars(job).update(Renamed=kind, C=kind)
    assert get(restored(checkpoint, open_log), "value", type=kind) == kind(1)


def test_bytes_that_look_like_an_encoded_class_are_no_class(open_log: OpenLog) -> None:
    """Else no restore could ever find it, and all of them would be refused."""
    payload = encode((Visits(1), b"")) + b"\x93\xa3a:b\xa6fields\x93\xacbuiltins:int\xa6fields"
    log = open_log()
    put(log, "value", payload)
    checkpoint = saved(log)
    assert [c.tag for c in log.entries()[0].classes] == [f"{__name__}:Visits"]
    assert get(restored(checkpoint, open_log), "value") == payload


def test_class_that_is_no_data_class_any_more_is_refused(
    open_log: OpenLog, define: Define, job: ModuleType
) -> None:
    first = open_log()
    put(first, "value", define("a: int")(1))
    checkpoint = saved(first)
    vars(job)["C"] = type("C", (), {})
    with pytest.raises(RestoreError, match="no dataclass"):
        get(restored(checkpoint, open_log), "value")


def test_state_that_is_not_asked_for_may_have_lost_its_class(
    open_log: OpenLog, define: Define, job: ModuleType
) -> None:
    """EV-5: it is carried along, and so is what the manifest says of it."""
    first = open_log()
    put(first, "value", define("a: int")(1))
    rows, noted = saved(first)
    noted_of_it = first.entries()[0]
    del vars(job)["C"]
    second = restored((rows, noted), open_log)
    second.flat("other").put("k", 1)
    _, noted = saved(second)
    third = restored((rows, noted), open_log)
    assert [entry.name for entry in third.entries()] == ["other", "s"]
    assert third.entries()[1] == noted_of_it


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("ttl", [None, "1h"], ids=["", "ttl"])
@pytest.mark.parametrize(
    ("before", "after"), [(Reversed(), Plain()), (Reversed(), None), (None, Reversed())]
)
def test_codec_that_was_changed_added_or_removed_is_refused_by_name(
    open_log: OpenLog, state: str, ttl: str | None, before: Any, after: Any
) -> None:
    first = open_log()
    put(first, state, "x", codec=before, ttl=ttl)
    again = restored(saved(first), open_log)
    with pytest.raises(RestoreError, match=r"codec was .*(Reversed|messagepack)"):
        get(again, state, codec=after, ttl=ttl)
    assert get(again, state, codec=before, ttl=ttl) == "x", "put back, it is read"


@pytest.mark.parametrize(
    ("before", "after"),
    [("value", "reducing"), ("value", "list"), ("list", "value"), ("reducing", "aggregating")],
)
def test_state_of_another_kind_is_refused(open_log: OpenLog, before: str, after: str) -> None:
    """ST-4, over a restore."""
    first = open_log()
    put(first, before, 1)
    with pytest.raises(RestoreError, match=f"was {before} state and is {after} state"):
        get(restored(saved(first), open_log), after)


@pytest.mark.parametrize(
    ("before", "after", "is_read"),
    [
        ({"type": int}, {"type": str}, False),
        ({"type": int}, {"type": int | None}, True),
        ({"type": int}, {}, True),
        ({}, {"type": int}, True),
    ],
)
def test_declared_type_of_a_state_may_not_change(
    open_log: OpenLog, before: dict[str, Any], after: dict[str, Any], is_read: bool
) -> None:
    """EV-3; who declares nothing is asked nothing."""
    first = open_log()
    put(first, "value", 1, **before)
    again = restored(saved(first), open_log)
    if is_read:
        assert get(again, "value", **after) == 1
    else:
        with pytest.raises(RestoreError, match="type was 'int' and is 'str'"):
            get(again, "value", **after)


def test_declared_type_of_map_keys_may_not_change(open_log: OpenLog) -> None:
    """EV-3: keys of another type would find nothing."""
    first = open_log()
    put(first, "map", 1, key_type=int)
    with pytest.raises(RestoreError, match=r"dict\[int, Any\]"):
        get(restored(saved(first), open_log), "map", key_type=str)


def test_state_without_rows_may_become_anything(open_log: OpenLog) -> None:
    first = open_log()
    KeyedStateHandles(first, ManualClock()).get_state(ValueStateDescriptor("s", int))
    assert get(restored(saved(first), open_log), "reducing", type=str) is None


def test_keys_of_another_type_are_refused_with_the_first_batch(open_log: OpenLog) -> None:
    """EV-3: they would find no state, and nobody would be told."""
    first = open_log()
    for key in (1, 2, None):
        first.flat("s").put(key, "x")
    again = restored(saved(first), open_log)
    again.prefetch([None])
    with pytest.raises(RestoreError, match=r"expected None or int, got str, such as '1'"):
        again.prefetch(["1", None])


def test_keys_are_looked_at_until_the_first_that_says_something(open_log: OpenLog) -> None:
    first = open_log()
    first.flat("s").put(1, "x")
    again = restored(saved(first), open_log)
    again.prefetch([7, "a"])
    again.prefetch(["b"])


def test_keys_of_own_checkpoints_and_of_older_manifests_are_not_questioned(
    open_log: OpenLog,
) -> None:
    for keys, must_meet in ((["int"], False), ([], True)):
        log = open_log()
        log.types.expect([], keys, must_meet=must_meet)
        log.prefetch(["a"])


def test_manifest_names_kind_codec_type_and_classes_of_each_state(
    open_log: OpenLog, define: Define
) -> None:
    log = open_log()
    kind = define("a: int; b: 'str | None' = None")
    put(log, "value", kind(1, "x"), type=kind)
    handles = KeyedStateHandles(log, ManualClock())
    handles.get_list_state(ListStateDescriptor("mine", codec=Plain())).add(1)
    saved(log)
    plain, mine = log.entries()
    assert (plain.kind, plain.codec, plain.value_type) == ("value", "messagepack", "C")
    assert [(c.tag, c.fields) for c in plain.classes] == [
        ("visits_job:C", {"a": "int", "b": "None | str"})
    ]
    assert (mine.kind, mine.codec, mine.classes) == ("list", f"{__name__}:Plain", [])
    assert log.types.key_types() == ["str"]
