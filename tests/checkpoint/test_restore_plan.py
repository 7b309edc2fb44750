"""Matching saved state with the operators of a plan: nothing is lost in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from streamlet.checkpoint.manifest import OperatorEntry, StateEntry
from streamlet.checkpoint.restore import RestoreOptions, RestoringOperator
from streamlet.checkpoint.restore_plan import Fit, RestorePlan, plan_restore
from streamlet.errors import RestoreError
from streamlet.state.schemas import ClassSchema
from tests.checkpoint.saved_operators import HERE, entry, manifest_of, operator


def plan_of(
    saved: Sequence[OperatorEntry],
    planned: Sequence[RestoringOperator],
    *,
    fingerprint: str = "same",
    allow: bool = False,
    uid_map: Mapping[str, str] | None = None,
) -> RestorePlan:
    options = RestoreOptions(allow, uid_map or {})
    return plan_restore(manifest_of(saved), HERE, planned, fingerprint, options)


def fits(plan: RestorePlan) -> dict[str, Fit]:
    return {op.uid: op.fit for op in plan.operators}


@pytest.mark.parametrize(
    ("saved", "planned"),
    [
        pytest.param([entry("a")], [operator("a"), operator("new")], id="a new operator SP-3"),
        pytest.param([entry("a", rows=0)], [], id="empty state of one that is gone SP-3"),
        pytest.param([entry("a")], [operator("a", 1)], id="scaled down"),
        pytest.param([entry("a")], [operator("a", 128)], id="scaled up to the limit"),
        pytest.param([entry("a")], [operator("a", 2, 512)], id="a derived maximum gives way KG-7"),
        pytest.param([entry("a")], [operator("a", 2, 128, explicit=True)], id="the same maximum"),
        pytest.param(
            [entry("a", keyed=False, items=1)],
            [operator("a", 200, 512, explicit=True)],
            id="state without keys knows no maximum",
        ),
        pytest.param(
            [entry("a", ambiguous=True)],
            [operator("a", ambiguous=True)],
            id="ambiguous, same graph",
        ),
        pytest.param([entry("a", rows=0)], [operator("a", kind="reduce")], id="kind without state"),
    ],
)
def test_what_fits_is_taken(saved: list[OperatorEntry], planned: list[RestoringOperator]) -> None:
    plan = plan_of(saved, planned)
    assert plan.is_fine
    plan.check()


@pytest.mark.parametrize(
    ("saved", "planned", "fingerprint", "said"),
    [
        ([entry("a")], [operator("b")], "same", "uid 'a'"),
        ([entry("a", keyed=False, items=2)], [], "same", "uid 'a'"),
        ([entry("a")], [operator("a", 129)], "same", "at most 128"),
        ([entry("a")], [operator("a", 2, 256, explicit=True)], "same", "set it to 128"),
        ([entry("a", ambiguous=True)], [operator("a")], "other", "automatic uid"),
        ([entry("a")], [operator("a", ambiguous=True)], "other", "automatic uid"),
        ([entry("a")], [operator("a", kind="reduce")], "same", "was of kind 'process'"),
    ],
)
def test_what_does_not_fit_is_refused(
    saved: list[OperatorEntry],
    planned: list[RestoringOperator],
    fingerprint: str,
    said: str,
) -> None:
    plan = plan_of(saved, planned, fingerprint=fingerprint)
    assert not plan.is_fine
    with pytest.raises(RestoreError, match=said):
        plan.check()


def test_refusal_says_what_would_be_lost_and_what_to_do_in_fifteen_lines() -> None:
    plan = plan_of([entry(f"old{i}") for i in range(9)], [operator(f"new{i}") for i in range(9)])
    with pytest.raises(RestoreError) as caught:
        plan.check()
    text = str(caught.value)
    assert len(text.splitlines()) <= 15
    for part in (str(HERE), "'Old0'", "total", "4 more", "'New0'", "--allow-non-restored-state"):
        assert part in text


def test_loss_may_be_allowed_and_allows_nothing_else() -> None:
    plan = plan_of([entry("a"), entry("b", kind="map")], [operator("b")], allow=True)
    plan.check()
    assert plan.is_fine
    assert plan.restored() == {}, "state of another kind is dropped, not given"
    with pytest.raises(RestoreError):
        plan_of([entry("a"), entry("b")], [operator("b", 200)], allow=True).check()


def test_each_operator_with_state_has_its_place_in_the_plan() -> None:
    saved = [entry("kept"), entry("gone"), entry("changed", kind="agg"), entry("empty", rows=0)]
    planned = [
        operator("kept", 3),
        operator("changed"),
        operator("new"),
        operator("empty"),
        operator("stateless", stateful=False),
    ]
    plan = plan_of(saved, planned)
    assert fits(plan) == {
        "kept": Fit.MATCHED,
        "changed": Fit.CHANGED,
        "new": Fit.NEW,
        "empty": Fit.MATCHED,
        "gone": Fit.ORPHANED,
    }
    kept = plan.to_dict()["operators"][0]
    assert kept["parallelism"] == {"saved": 2, "planned": 3}
    assert (kept["rows"], kept["states"], kept["key_types"]) == (10, ["total"], ["int"])


@pytest.mark.parametrize(
    ("saved", "planned", "guess"),
    [
        pytest.param([entry("x")], [operator("y")], "y", id="the only two of a kind"),
        pytest.param([entry("x")], [operator("y", kind="agg")], None, id="of another kind"),
        pytest.param([entry("x")], [operator("y"), operator("z")], None, id="it may be either"),
        pytest.param([entry("x"), entry("w")], [operator("y")], None, id="either may be it"),
    ],
)
def test_orphan_that_is_probably_a_new_operator_is_said_to_be(
    saved: list[OperatorEntry], planned: list[RestoringOperator], guess: str | None
) -> None:
    plan = plan_of(saved, planned)
    assert next(op.probably for op in plan.operators if op.fit is Fit.ORPHANED) == guess
    with pytest.raises(RestoreError) as caught:
        plan.check()
    assert (f"--map x={guess}" in str(caught.value)) == (guess is not None)


def test_mapped_state_goes_to_the_operator_with_the_new_uid() -> None:
    plan = plan_of(
        [entry("old", ambiguous=True), entry("b")],
        [operator("new"), operator("b")],
        fingerprint="other",
        uid_map={"old": "new"},
    )
    plan.check()
    assert plan.is_fine
    assert {uid: saved.uid for uid, saved in plan.restored().items()} == {"new": "old", "b": "b"}


def test_two_uids_may_change_places() -> None:
    plan = plan_of(
        [entry("a"), entry("b")], [operator("a"), operator("b")], uid_map={"a": "b", "b": "a"}
    )
    assert {uid: saved.uid for uid, saved in plan.restored().items()} == {"a": "b", "b": "a"}


def test_operator_whose_state_goes_to_another_starts_empty() -> None:
    plan = plan_of([entry("a")], [operator("a"), operator("b")], uid_map={"a": "b"})
    assert fits(plan) == {"a": Fit.NEW, "b": Fit.MATCHED}


@pytest.mark.parametrize(
    ("uid_map", "said"),
    [
        ({"gone": "new"}, "no operator of the snapshot has the uid 'gone'"),
        ({"a": "gone"}, "no operator of the pipeline has the uid 'gone'"),
        ({"a": "b"}, "'b' has state of its own"),
        ({"a": "new", "b": "new"}, "two states"),
    ],
)
def test_map_that_names_what_is_not_there_or_taken_is_refused(
    uid_map: dict[str, str], said: str
) -> None:
    with pytest.raises(RestoreError, match=said):
        plan_of([entry("a"), entry("b")], [operator("b"), operator("new")], uid_map=uid_map)


def test_mapped_state_must_fit_as_any_other() -> None:
    for planned in (operator("new", 200), operator("new", kind="reduce")):
        with pytest.raises(RestoreError):
            plan_of([entry("a")], [planned], uid_map={"a": "new"}).check()


def test_class_in_a_list_of_operator_state_that_cannot_be_read_is_refused() -> None:
    """EV-4: such lists are read at once."""
    states = [StateEntry("kept", "split list", classes=[ClassSchema("no_such_module:Visit")])]
    plan = plan_of([entry("a", keyed=False, items=1, states=states)], [operator("a")])
    with pytest.raises(RestoreError, match=r"'kept' of operator 'A': .*no_such_module:Visit"):
        plan.check()


def test_class_that_cannot_be_read_is_doubtful_as_the_state_may_not_be_asked_for() -> None:
    """EV-4, EV-5: the plan warns, and the restore itself goes on until the state is asked for."""
    states = [StateEntry("total", "value", classes=[ClassSchema("no_such_module:Visit")])]
    plan = plan_of([entry("a", states=states)], [operator("a")])
    assert not plan.is_fine
    assert "no_such_module:Visit" in plan.operators[0].doubts[0]
    plan.check()
